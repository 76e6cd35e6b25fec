//! What the daemon itself tells the control plane about a session.
//!
//! A worker reports its own end. The daemon reports for those that cannot: a worker that died, one that lost its
//! connection, or a program that knows nothing of control planes.

use super::Sessions;
use super::monitor::Ended;
use super::table::{Entry, StopCause};
use crate::link::{Link, MAX_DELAY, backoff, patience};
use crate::org::Org;
use rensei_platform_client::ClientError;
use rensei_process::End;
use rensei_proto::outcome::{Outcome, SessionResult};
use rensei_proto::platform::{CompletionRequest, StatusError, StatusRequest};
use rensei_proto::{SessionId, SessionStatus, error_chain};
use std::sync::Arc;
use std::time::Duration;

/// Times that the control plane must say that it does not know a session, or does not want to hear of it, before that is
/// believed: a proxy whose control plane is being replaced says so, too.
const REFUSED_TIMES: u32 = 3;

/// A session that ends sooner than this is only reported as ended.
const ANNOUNCE_AFTER: Duration = Duration::from_millis(10);

/// Tells that the session runs, until the control plane has heard it: a claim that nobody says to run goes back to the
/// queue. Ends with the session at the latest.
pub(super) async fn announce_running(sessions: &Sessions, org: &Org, id: &SessionId) {
    tokio::time::sleep(ANNOUNCE_AFTER).await;
    let Some(link) = org.link() else { return };
    let Some(attempt) = sessions.attempt(id) else { return };
    let running = |worker_id: &str| StatusRequest::new(worker_id, SessionStatus::Running, attempt);
    if let Err(error) = until_heard(link, id, running).await
        && is_lease_lost(&error)
    {
        sessions.lease_lost(org, id);
    }
}

/// What came of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// There was nothing to tell.
    Nothing,
    /// The control plane knows, or has no use for it.
    Heard,
    /// It does not want to hear of it.
    Refused,
}

/// Reports the end until the control plane accepts it, says that it is moot, or refuses it for good. Gives up only then
/// or when the daemon itself ends; the record then still says so and the next daemon goes on.
pub(super) async fn terminal(sessions: &Sessions, id: &SessionId) -> Told {
    let Some(view) = sessions.record(id).filter(|view| !view.reported) else { return Told::Nothing };
    let Some((origin, attempt)) = sessions.sender(id) else { return Told::Nothing };
    let (Some(link), Some(outcome)) = (origin.link(), &view.outcome) else { return Told::Nothing };
    complete(link, id, attempt, outcome).await;
    let delivered = deliver(link, id, attempt, outcome).await;
    sessions.with_table(|table| {
        if let Some(entry) = table.entry_mut(id) {
            entry.view.reported = delivered.is_ok();
            let refused = |error| format!("its end was refused by the control plane: {}", error_chain(&error));
            entry.view.notes.extend(delivered.err().map(refused));
            return if entry.view.reported { Told::Heard } else { Told::Refused };
        }
        Told::Nothing
    })
}

/// Brings the end across: whole, or bare when the control plane does not like something in it.
async fn deliver(link: &Arc<Link>, id: &SessionId, attempt: Option<u64>, outcome: &Outcome) -> Result<(), ClientError> {
    let mut told = until_heard(link, id, |worker_id| request(worker_id, attempt, outcome)).await;
    if let Err(error) = &told
        && !error.is_moot()
        && error.auth_failure().is_none()
    {
        tracing::warn!(session_id = %id, error = error_chain(error), "report refused; sending the bare status");
        told = until_heard(link, id, |worker_id| StatusRequest::new(worker_id, outcome.status, attempt)).await;
    }
    settled(id, told)
}

/// What the control plane knew already is as good as heard.
fn settled(id: &SessionId, told: Result<(), ClientError>) -> Result<(), ClientError> {
    told.or_else(|error| {
        if error.is_moot() {
            tracing::info!(session_id = %id, error = error_chain(&error), "end of session was known already");
            return Ok(());
        }
        tracing::error!(session_id = %id, error = error_chain(&error), "end of session refused");
        Err(error)
    })
}

/// Passes the worker's summary on, once: it is for people, and the status does not wait for it.
async fn complete(link: &Arc<Link>, id: &SessionId, attempt: Option<u64>, outcome: &Outcome) {
    let Some(summary) = outcome.summary.as_ref().filter(|summary| !summary.trim().is_empty()) else { return };
    let sent = link
        .call(|credentials| {
            let worker_id = credentials.worker_id.clone();
            let request = CompletionRequest { worker_id, attempt, summary: summary.clone() };
            async move { link.client.completion(&credentials.token, id.as_str(), &request).await }
        })
        .await;
    if let Err(error) = sent {
        tracing::debug!(session_id = %id, error = error_chain(&error), "summary not passed on");
    }
}

/// Sends a status until it is answered with anything but an outage, and a few times when it is not wanted.
async fn until_heard(
    link: &Arc<Link>,
    id: &SessionId,
    request: impl Fn(&str) -> StatusRequest,
) -> Result<(), ClientError> {
    let mut delays = backoff();
    let (mut refused, mut heartbeats) = (0, link.heartbeats());
    loop {
        let Err(error) = send(link, id, &request).await else { return Ok(()) };
        let heard_of = std::mem::replace(&mut heartbeats, link.heartbeats());
        refused = match error.auth_failure() {
            // Nor are heartbeats accepted: that is about the host, which may be let in again, and not about the report.
            Some(_) if heartbeats == heard_of => refused,
            None if error.is_retryable() => 0,
            None if error.status() != Some(404) => return Err(error),
            Some(_) | None => refused + 1,
        };
        if refused >= REFUSED_TIMES {
            return Err(error);
        }
        let delay = patience(&error).or_else(|| delays.next()).unwrap_or(MAX_DELAY);
        tracing::warn!(session_id = %id, error = error_chain(&error), "status not heard yet");
        tokio::time::sleep(delay).await;
    }
}

/// Whether the control plane says that another attempt owns the session now.
fn is_lease_lost(error: &ClientError) -> bool {
    use rensei_proto::ErrorBody;
    matches!(error, ClientError::Status { body, .. } if body.code.as_deref() == Some(ErrorBody::LEASE_LOST))
}

async fn send(link: &Arc<Link>, id: &SessionId, request: &impl Fn(&str) -> StatusRequest) -> Result<(), ClientError> {
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
pub(super) fn derived_outcome(entry: &Entry, ended: &Ended, output_tail: Vec<String>) -> Outcome {
    let now = jiff::Timestamp::now().as_millisecond();
    let notice = ended.cause.as_ref().map(StopCause::notice);
    let completed = ended.success();
    let status = match &notice {
        _ if completed => SessionStatus::Completed,
        Some(notice) => notice.status,
        None => SessionStatus::Failed,
    };
    let error = (!completed).then(|| {
        let worker = ended.end.map_or_else(|| "worker is gone".to_owned(), |end| format!("worker ended with {end}"));
        ended.reason().map_or_else(|| worker.clone(), |reason| format!("{reason}; {worker}"))
    });
    let failure_mode = notice.map_or_else(|| "silent-exit".to_owned(), |notice| notice.failure_mode);
    Outcome {
        version: 1,
        session_id: entry.view.session_id.clone(),
        status,
        provider_name: entry.detail.provider().to_owned(),
        worktree_path: None,
        failure_mode: (!completed).then_some(failure_mode),
        error,
        summary: None,
        result: SessionResult {
            exit_code: ended.end.and_then(End::code),
            signal: ended.end.and_then(End::signal),
            output_tail,
            ..SessionResult::default()
        },
        started_at: entry.view.accepted_at.parse::<jiff::Timestamp>().map_or(now, jiff::Timestamp::as_millisecond),
        finished_at: now,
        reported: entry.origin.is_local(),
    }
}
