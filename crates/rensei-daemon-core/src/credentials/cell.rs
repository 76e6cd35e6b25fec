//! The shared cell.

use rensei_proto::Secret;
use rensei_proto::platform::{EXTENSION_LONG_POLL, RegisterResponse};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Life of a runtime token whose expiry is unknown.
const ASSUMED_LIFE: Duration = Duration::from_secs(3600);
/// How long before its expiry a token is replaced.
const REFRESH_AHEAD: Duration = Duration::from_secs(300);
/// Most that is added to it, different for each worker.
const REFRESH_SPREAD: Duration = Duration::from_secs(60);

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
    /// When the token should be replaced, in time since boot: it grows old in a suspend as well.
    pub(crate) refresh_at: Duration,
}

impl Credentials {
    /// From an answer of the control plane.
    fn new(answer: &RegisterResponse, generation: u64, life: &Life) -> Self {
        let or = |ms: u64, default: u64| Duration::from_millis(if ms == 0 { default } else { ms });
        let left = life.left.unwrap_or(ASSUMED_LIFE);
        // A token that lives less than twice the margin is replaced at half its life.
        let ahead = (REFRESH_AHEAD + spread(&answer.worker_id)).min(left / 2);
        Self {
            worker_id: answer.worker_id.clone(),
            token: answer.runtime_token.clone(),
            heartbeat_interval: or(answer.heartbeat_interval, 30_000),
            poll_interval: or(answer.poll_interval, 5_000),
            long_poll: answer.has_extension(EXTENSION_LONG_POLL),
            generation,
            refresh_at: life.since_boot.saturating_add(left.saturating_sub(ahead)),
        }
    }
}

/// Hosts that registered together should not come back together.
fn spread(worker_id: &str) -> Duration {
    let mut hasher = DefaultHasher::new();
    worker_id.hash(&mut hasher);
    REFRESH_SPREAD.mul_f64((hasher.finish() % 1000) as f64 / 1000.0)
}

/// How old a token can get.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    /// When this was known.
    pub(crate) since_boot: Duration,
    /// What was left then, when that is known.
    pub(crate) left: Option<Duration>,
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

    /// Generation of the identity that comes next.
    pub(crate) fn next_generation(&self) -> u64 {
        self.current().map_or(0, |current| current.generation) + 1
    }

    /// Publishes a new identity and returns it.
    pub(crate) fn publish(&self, answer: &RegisterResponse, life: &Life) -> Arc<Credentials> {
        let credentials = Arc::new(Credentials::new(answer, self.next_generation(), life));
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
