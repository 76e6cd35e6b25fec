//! Asking for an identity: one at a time, and to the end.

use crate::credentials::Credentials;
use rensei_platform_client::ClientError;
use std::sync::Arc;
use tokio::time::Instant;

/// What was asked for already.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// When a full registration was begun last.
    pub(super) registered: Option<Instant>,
    /// The generation for which no session's route gets another token: it came of one that was asked for there, or no
    /// better one is to be had.
    pub(super) settled: Option<u64>,
}

/// The right to ask for an identity. Whoever has it is alone with it.
pub(super) type Flight = tokio::sync::OwnedMutexGuard<Asked>;
/// What comes of asking for an identity.
pub(super) type Identity = Result<Arc<Credentials>, ClientError>;

/// Makes a call for an identity, also when its caller goes away meanwhile: what was asked for is then there for the next
/// one, who need not wait until it may be asked for again.
pub(super) async fn to_the_end(
    flight: Flight,
    call: impl Future<Output = Identity> + Send + 'static,
) -> (Flight, Identity) {
    let task = tokio::spawn(async move {
        let outcome = call.await;
        (flight, outcome)
    });
    match task.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime ends, and the caller with it.
        Err(Err(_cancelled)) => std::future::pending().await,
    }
}
