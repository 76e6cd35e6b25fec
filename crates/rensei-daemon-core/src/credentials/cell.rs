//! The shared cell.

use rensei_proto::Secret;
use rensei_proto::platform::{EXTENSION_LONG_POLL, RegisterResponse};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Life of a runtime token whose expiry is unknown.
const ASSUMED_LIFE: Duration = Duration::from_secs(3600);
/// How long before its expiry a token is replaced.
const REFRESH_AHEAD: Duration = Duration::from_secs(300);

/// One identity. Lanes hold it behind an `Arc` and compare generations to tell "mine was rejected" from "somebody has
/// already replaced it".
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) worker_id: String,
    pub(crate) token: Secret,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) poll_interval: Duration,
    pub(crate) long_poll: bool,
    pub(crate) generation: u64,
    /// When the token should be replaced, on this machine's monotonic clock.
    pub(crate) refresh_at: Instant,
}

impl Credentials {
    /// From an answer of the control plane; `life` is what is left of the token, when that is known.
    fn new(answer: &RegisterResponse, generation: u64, life: Option<Duration>) -> Self {
        let or = |ms: u64, default: u64| Duration::from_millis(if ms == 0 { default } else { ms });
        let life = life.unwrap_or(ASSUMED_LIFE);
        // A token that lives less than twice the margin is replaced at half its life.
        let ahead = REFRESH_AHEAD.min(life / 2);
        Self {
            worker_id: answer.worker_id.clone(),
            token: answer.runtime_token.clone(),
            heartbeat_interval: or(answer.heartbeat_interval, 30_000),
            poll_interval: or(answer.poll_interval, 5_000),
            long_poll: answer.has_extension(EXTENSION_LONG_POLL),
            generation,
            refresh_at: Instant::now() + life.saturating_sub(ahead),
        }
    }
}

/// The one place that knows the current identity.
#[derive(Debug)]
pub(crate) struct CredentialCell {
    current: watch::Sender<Option<Arc<Credentials>>>,
}

impl CredentialCell {
    pub(crate) fn new() -> Self {
        Self { current: watch::Sender::new(None) }
    }

    pub(crate) fn current(&self) -> Option<Arc<Credentials>> {
        self.current.borrow().clone()
    }

    /// Publishes a new identity and returns it.
    pub(crate) fn publish(&self, answer: &RegisterResponse, life: Option<Duration>) -> Arc<Credentials> {
        let generation = self.current().map_or(0, |old| old.generation) + 1;
        let credentials = Arc::new(Credentials::new(answer, generation, life));
        self.current.send_replace(Some(Arc::clone(&credentials)));
        credentials
    }

    /// Waits for the first identity.
    pub(crate) async fn available(&self) -> Arc<Credentials> {
        let mut receiver = self.current.subscribe();
        loop {
            if let Some(credentials) = receiver.borrow_and_update().clone() {
                return credentials;
            }
            if receiver.changed().await.is_err() {
                // Unreachable while `self` holds the sender.
                std::future::pending::<()>().await;
            }
        }
    }
}
