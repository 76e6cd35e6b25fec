//! What the daemon itself tells the control plane about a session.
//!
//! A worker reports its own end. The daemon reports for those that cannot: a worker that died, one that lost its
//! connection, or a program that knows nothing of control planes.

use super::monitor::Ended;
use super::table::{Entry, StopCause};
use super::{Origin, Sessions};
use crate::errors::chain;
use crate::link::{Link, backoff};
use rensei_platform_client::ClientError;
use rensei_proto::outcome::{Outcome, SessionResult};
use rensei_proto::platform::{StatusError, StatusRequest};
use rensei_proto::{SessionId, SessionStatus};
use std::time::Duration;

/// A session that ends sooner than this is only reported as ended.
const ANNOUNCE_AFTER: Duration = Duration::from_millis(10);

/// Tells that the session runs. One good try is enough: the heartbeat renews its lease and the worker reports too.
pub(super) async fn announce_running(sessions: &Sessions, id: &SessionId) {
    tokio::time::sleep(ANNOUNCE_AFTER).await;
    let Some(link) = &sessions.parts.link else { return };
    let Some(attempt) = sessions.attempt(id) else { return };
    for delay in backoff().take(5) {
        let sent = send(link, id, |worker_id| StatusRequest::new(worker_id, SessionStatus::Running, attempt)).await;
        match sent {
            Ok(()) => return,
            Err(error) if error.is_retryable() => tokio::time::sleep(delay).await,
            Err(error) => {
                tracing::debug!(session_id = %id, error = chain(&error), "running status refused");
                if is_lease_lost(&error) {
                    sessions.lease_lost(id);
                }
                return;
            }
        }
    }
}

/// Reports the end until the control plane accepts it or says that it is moot. Gives up only when the daemon itself
/// ends; the record then still says so and the next daemon goes on.
///
/// True when there was something to report.
pub(super) async fn terminal(sessions: &Sessions, id: &SessionId) -> bool {
    let Some(view) = sessions.view(id).filter(|view| !view.reported) else { return false };
    let (Some(link), Some(outcome)) = (&sessions.parts.link, &view.outcome) else { return false };
    let Some(attempt) = sessions.attempt(id) else { return false };
    let mut delays = backoff();
    loop {
        match send(link, id, |worker_id| request(worker_id, attempt, outcome)).await {
            Ok(()) => break,
            Err(error) if error.is_moot() => {
                tracing::info!(session_id = %id, error = chain(&error), "end of session was known already");
                break;
            }
            Err(error) => {
                let delay = error.retry_after().or_else(|| delays.next()).unwrap_or(Duration::from_secs(60));
                tracing::warn!(session_id = %id, error = chain(&error), "end of session not reported yet");
                tokio::time::sleep(delay).await;
            }
        }
    }
    sessions.with_table(|table| {
        if let Some(entry) = table.entry_mut(id) {
            entry.view.reported = true;
        }
    });
    true
}

/// Whether the control plane says that another attempt owns the session now.
fn is_lease_lost(error: &ClientError) -> bool {
    use rensei_proto::ErrorBody;
    matches!(error, ClientError::Status { body, .. } if body.code.as_deref() == Some(ErrorBody::LEASE_LOST))
}

async fn send(link: &Link, id: &SessionId, request: impl Fn(&str) -> StatusRequest) -> Result<(), ClientError> {
    link.call(|credentials| {
        let request = request(&credentials.worker_id);
        async move { link.client.status(&credentials.token, id.as_str(), &request).await }
    })
    .await
}

fn request(worker_id: &str, attempt: Option<u64>, outcome: &Outcome) -> StatusRequest {
    StatusRequest {
        error: outcome.error.clone().map(|message| StatusError { message }),
        worktree_path: outcome.worktree_path.clone(),
        result: Some(outcome.result.clone()),
        ..StatusRequest::new(worker_id, outcome.status, attempt)
    }
}

/// The end of a session whose worker left no outcome.
pub(super) fn derived_outcome(entry: &Entry, ended: &Ended, output_tail: Vec<String>) -> Option<Outcome> {
    let now = jiff::Timestamp::now().as_millisecond();
    let status = match (&ended.cause, ended.end) {
        (None | Some(_), Some(end)) if end.success() => SessionStatus::Completed,
        (Some(StopCause::Operator { .. } | StopCause::DaemonStop | StopCause::DrainDeadline), _) => {
            SessionStatus::Stopped
        }
        (Some(StopCause::TimeLimit { .. } | StopCause::LeaseLost) | None, _) => SessionStatus::Failed,
    };
    let error = (status != SessionStatus::Completed).then(|| {
        let worker = ended.end.map_or_else(|| "worker is gone".to_owned(), |end| format!("worker ended with {end}"));
        ended.reason().map_or_else(|| worker.clone(), |reason| format!("{reason}; {worker}"))
    });
    let failure_mode = match (&ended.cause, status) {
        (_, SessionStatus::Completed) => None,
        (Some(StopCause::TimeLimit { .. }), _) => Some("timeout"),
        (Some(StopCause::LeaseLost), _) => Some("lost-ownership"),
        (Some(_), _) => Some("stopped"),
        (None, _) => Some("silent-exit"),
    };
    Some(Outcome {
        version: 1,
        session_id: entry.view.session_id.clone(),
        status,
        provider_name: entry.detail.provider().to_owned(),
        worktree_path: None,
        failure_mode: failure_mode.map(str::to_owned),
        error,
        summary: None,
        result: SessionResult {
            exit_code: ended.end.and_then(rensei_process::End::code),
            signal: ended.end.and_then(rensei_process::End::signal),
            output_tail,
            ..SessionResult::default()
        },
        started_at: entry.view.accepted_at.parse::<jiff::Timestamp>().map_or(now, jiff::Timestamp::as_millisecond),
        finished_at: now,
        reported: entry.origin == Origin::Local,
    })
}
