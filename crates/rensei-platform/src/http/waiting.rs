//! Requests that are held until there is something to say, and claims that must not get lost on their way out.

use super::App;
use super::error::ApiError;
use crate::storage::{ClaimBy, Claimed, ClaimedWork, Queue};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The end of a held request: its time is over, or the server shuts down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Until(Instant);

impl Until {
    pub(super) fn after(wait: Duration) -> Self {
        Self(Instant::now() + wait)
    }
}

impl App {
    /// Whether `event` came before the end of the wait. `event` must be cancel-safe.
    pub(super) async fn came_before(&self, until: Until, event: impl Future<Output = ()>) -> bool {
        let mut stop = self.setup.stop.clone();
        let _held = Held::new(&self.held);
        // Every arm only waits, so losing the others loses nothing.
        tokio::select! {
            () = event => true,
            () = tokio::time::sleep_until(until.0) => false,
            _ = stop.wait_for(|stop| *stop) => false,
        }
    }

    /// Claims what the worker can take. The claim runs to its end even if the request goes away meanwhile.
    pub(super) async fn claim(&self, by: ClaimBy) -> Result<Delivery, ApiError> {
        let (send, receive) = oneshot::channel();
        let queue = Arc::clone(&self.queue);
        tokio::spawn(async move {
            let worker = by.worker.clone();
            let claimed = queue.claim(by).await;
            // Nobody there: the delivery is dropped, which gives the sessions back.
            drop(send.send(claimed.map(|claimed| Delivery { claimed: Some(claimed), worker, queue })));
        });
        let delivery = receive.await.map_err(|_| ApiError::Internal("the claim was interrupted"))?;
        Ok(delivery?)
    }
}

/// Counts a request for as long as it is held.
#[derive(Debug)]
struct Held<'a>(&'a AtomicUsize);

impl<'a> Held<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A claim on its way to the worker. Dropped before it is taken, it puts the sessions back where they were.
#[derive(Debug)]
pub(super) struct Delivery {
    claimed: Option<Claimed>,
    worker: String,
    queue: Arc<dyn Queue>,
}

impl Delivery {
    /// The claim. `None` when it was taken already.
    pub(super) const fn peek(&self) -> Option<&Claimed> {
        self.claimed.as_ref()
    }

    /// Whether the worker got something.
    pub(super) fn is_empty(&self) -> bool {
        !matches!(&self.claimed, Some(Claimed::Work { items, .. }) if !items.is_empty())
    }

    /// Takes the sessions out, to be answered without another wait.
    pub(super) fn take(mut self) -> Vec<ClaimedWork> {
        match self.claimed.take() {
            Some(Claimed::Work { items, .. }) => items,
            Some(Claimed::UnknownWorker) | None => Vec::new(),
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let Some(Claimed::Work { items, .. }) = self.claimed.take() else { return };
        if items.is_empty() {
            return;
        }
        let claims = items.into_iter().map(|item| (item.session_id, item.attempt)).collect();
        let (queue, worker) = (Arc::clone(&self.queue), std::mem::take(&mut self.worker));
        // Dropped outside of a runtime the process is ending, and the acceptance deadline returns the sessions.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = queue.give_back(&worker, claims).await {
                    tracing::warn!(event = "give_back_failed", worker_id = %worker, %error);
                }
            });
        }
    }
}
