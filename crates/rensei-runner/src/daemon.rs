//! The daemon that started this worker.

use rensei_control_api::{ControlClient, ControlError};
use rensei_proto::control::Workarea;
use rensei_proto::{SessionDetail, SessionId};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Pauses between the attempts to get the detail.
const DETAIL_DELAYS: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(400)];
/// How long a daemon may be away, as it is while it restarts, until its session gives up on a workarea.
const AWAY: Duration = Duration::from_secs(20);
const AWAY_DELAY: Duration = Duration::from_millis(200);

/// What a worker asks of its daemon. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Daemon {
    client: ControlClient,
}

impl Daemon {
    /// # Errors
    /// When the URL cannot be used.
    pub(crate) fn at(url: &str) -> Result<Self, ControlError> {
        Ok(Self { client: ControlClient::new(url)? })
    }

    /// Everything about the session, with the credentials of this moment. Tried three times.
    pub(crate) async fn detail(&self, id: &SessionId) -> Result<SessionDetail, ControlError> {
        for delay in DETAIL_DELAYS {
            match self.client.session_detail(id).await {
                Err(error) if error.is_retryable() => sleep(delay).await,
                result => return result,
            }
        }
        self.client.session_detail(id).await
    }

    /// The session's workarea, made now unless it exists. Waits out a restart of the daemon.
    pub(crate) async fn workarea(&self, id: &SessionId) -> Result<Workarea, ControlError> {
        let give_up = Instant::now() + AWAY;
        loop {
            match self.client.workarea(id).await {
                Err(error) if is_away(&error) && Instant::now() < give_up => sleep(AWAY_DELAY).await,
                result => return result,
            }
        }
    }
}

fn is_away(error: &ControlError) -> bool {
    match error {
        ControlError::NotRunning { .. } | ControlError::Transport { .. } => true,
        // A 503 may also be about the repository's host; only a daemon that starts says so.
        ControlError::Refused { status, body } => *status == 503 && body.status.as_deref() == Some("starting"),
        ControlError::InvalidUrl { .. } | ControlError::TimedOut { .. } | ControlError::Decode { .. } => false,
    }
}
