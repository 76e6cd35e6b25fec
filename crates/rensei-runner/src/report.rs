//! Tells the control plane how a session ended.

use crate::link::{Link, is_transient};
use crate::runtime::Usage;
use rensei_platform_client::ClientError;
use rensei_proto::outcome::Outcome;
use rensei_proto::platform::{StatusError, StatusRequest};
use rensei_proto::{SessionStatus, error_chain};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Pauses between the attempts of one report.
const DELAYS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];
/// How long the whole report may take; then it is the daemon's.
const BOUND: Duration = Duration::from_secs(15);

/// What goes into the report beside the outcome.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extra {
    /// Id of the agent's conversation.
    pub(crate) provider_session_id: Option<String>,
    /// What the agent used.
    pub(crate) usage: Usage,
}

/// Reports the outcome. Says whether there is nothing left to report.
pub(crate) async fn deliver(outcome: &Outcome, extra: &Extra, link: &Link) -> bool {
    timeout(BOUND, post(outcome, extra, link)).await.unwrap_or(false)
}

/// Completion first, then status; the status goes out whatever became of the completion.
async fn post(outcome: &Outcome, extra: &Extra, link: &Link) -> bool {
    let summary = outcome.summary.as_deref().unwrap_or("Session ended");
    if let Err(error) = persist(|| link.completion(summary)).await {
        tracing::warn!(error = error_chain(&error), "completion was not accepted");
    }
    let request = status_request(outcome, extra, link);
    match persist(|| link.status(&request)).await {
        Ok(()) => true,
        // The session is gone, has ended or is somebody else's: nobody waits for this report.
        Err(error) if error.is_moot() => true,
        Err(error) => {
            tracing::warn!(
                error = error_chain(&error),
                "the session's end was not accepted; the daemon goes on trying"
            );
            false
        }
    }
}

fn status_request(outcome: &Outcome, extra: &Extra, link: &Link) -> StatusRequest {
    let mut request = link.status_request(outcome.status);
    request.worktree_path.clone_from(&outcome.worktree_path);
    request.provider_session_id.clone_from(&extra.provider_session_id);
    if outcome.status != SessionStatus::Completed {
        request.error = outcome.error.clone().map(|message| StatusError { message });
    }
    request.total_cost_usd = Some(extra.usage.cost_usd).filter(|cost| *cost > 0.0);
    request.input_tokens = Some(extra.usage.input_tokens).filter(|tokens| *tokens > 0);
    request.output_tokens = Some(extra.usage.output_tokens).filter(|tokens| *tokens > 0);
    request.result = Some(outcome.result.clone());
    request
}

/// Calls up to three times. A 404 is repeated, too: it may come from a proxy whose control plane is being replaced, and
/// an end that nobody has heard of is worked for again.
async fn persist<F>(call: impl Fn() -> F) -> Result<(), ClientError>
where
    F: Future<Output = Result<(), ClientError>>,
{
    for delay in DELAYS {
        match call().await {
            Err(error) if is_transient(&error) || error.status() == Some(404) => sleep(delay).await,
            result => return result,
        }
    }
    call().await
}
