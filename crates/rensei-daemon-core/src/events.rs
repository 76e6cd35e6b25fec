//! What happens to sessions, for an embedder.

use rensei_proto::control::{SessionHandle, SessionView, Workarea};
use rensei_proto::{SessionId, SessionSpec};
use std::sync::Arc;
use tokio::sync::broadcast;

/// Events that a slow listener may be behind before it misses some.
const BACKLOG: usize = 1024;

/// Something happened to a session.
#[expect(clippy::large_enum_variant, reason = "travels behind an `Arc`")]
#[derive(Debug, Clone)]
pub enum SessionEvent {
    /// Its process runs. Published before the accept answers.
    Started {
        /// As the caller of accept gets it.
        handle: SessionHandle,
        /// As it was accepted.
        spec: SessionSpec,
    },
    /// Its process has ended and left nothing behind; the slot is free.
    Ended {
        /// How it ended.
        view: SessionView,
    },
    /// It got its workarea.
    WorkareaAcquired {
        /// As it gets it.
        workarea: Workarea,
    },
    /// It gave its workarea back.
    WorkareaReleased {
        /// The session.
        session_id: SessionId,
    },
}

/// Publishes events. Nobody needs to listen.
#[derive(Debug, Clone)]
pub(crate) struct EventBus<E>(broadcast::Sender<Arc<E>>);

impl<E> EventBus<E> {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }

    pub(crate) fn publish(&self, event: E) {
        // An error only says that nobody listens.
        let _nobody_listens = self.0.send(Arc::new(event));
    }

    pub(crate) fn subscribe(&self) -> Events<E> {
        Events { receiver: self.0.subscribe(), missed: 0 }
    }
}

/// Events from the moment of subscription, in their order.
#[derive(Debug)]
pub struct Events<E> {
    receiver: broadcast::Receiver<Arc<E>>,
    missed: u64,
}

/// What happens to sessions.
pub type SessionEvents = Events<SessionEvent>;

impl<E> Events<E> {
    /// The next event; `None` when the daemon is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Arc<E>> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(count)) => self.missed += count,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// Events that this listener was too slow for.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }
}
