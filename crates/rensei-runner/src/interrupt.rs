//! Reasons from outside to end a session early.

use rensei_proto::outcome::StopNotice;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How much later the worker may notice a signal than its children.
const SAME_SIGNAL: Duration = Duration::from_millis(250);

/// Why a session must end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// The worker was told to end.
    Shutdown {
        /// Why, if the daemon left word.
        notice: Option<StopNotice>,
    },
    /// An operator asked for the session to end.
    Stop {
        /// Why, if they said so.
        reason: Option<String>,
    },
    /// Another worker owns the session now.
    LostOwnership {
        /// How the control plane put it.
        reason: String,
    },
}

/// The first interrupt of a session; later ones change nothing. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Interrupts(Arc<watch::Sender<Option<Interrupt>>>);

impl Interrupts {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// Raises one. Losing the session is the one that overrules: nothing may be written on its behalf any more.
    pub(crate) fn raise(&self, interrupt: Interrupt) {
        self.0.send_if_modified(|current| {
            let overrules = matches!(interrupt, Interrupt::LostOwnership { .. });
            let changes = current.is_none() || (overrules && *current != Some(interrupt.clone()));
            if changes {
                *current = Some(interrupt);
            }
            changes
        });
    }

    /// Waits for one. Cancel-safe.
    pub(crate) async fn wait(&self) -> Interrupt {
        let mut receiver = self.0.subscribe();
        match receiver.wait_for(Option::is_some).await.map(|value| value.clone()) {
            Ok(Some(interrupt)) => interrupt,
            // The sender is `self`, and the condition says that there is one.
            _ => std::future::pending().await,
        }
    }

    /// The interrupt that explains a failure of this moment: a signal is often meant for the whole process group, so
    /// that a child of the worker dies of it just before the worker itself has noticed.
    pub(crate) async fn imminent(&self) -> Option<Interrupt> {
        tokio::time::timeout(SAME_SIGNAL, self.wait()).await.ok()
    }

    /// Runs `work` until it is done or an interrupt comes.
    pub(crate) async fn guard<T>(&self, work: impl Future<Output = T>) -> Result<T, Interrupt> {
        tokio::select! {
            biased;
            interrupt = self.wait() => Err(interrupt),
            value = work => Ok(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_one_counts_unless_the_session_is_lost() {
        let interrupts = Interrupts::new();
        assert_eq!(interrupts.guard(async { 7 }).await, Ok(7));
        interrupts.raise(Interrupt::Shutdown { notice: None });
        interrupts.raise(Interrupt::Stop { reason: None });
        assert_eq!(interrupts.wait().await, Interrupt::Shutdown { notice: None });
        assert_eq!(interrupts.guard(async { 7 }).await, Err(Interrupt::Shutdown { notice: None }));
        let lost = Interrupt::LostOwnership { reason: "gone".into() };
        interrupts.raise(lost.clone());
        interrupts.raise(Interrupt::Shutdown { notice: None });
        assert_eq!(interrupts.wait().await, lost);
    }
}
