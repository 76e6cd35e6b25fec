//! What a panic does.
//!
//! The host owns other people's sessions, so it does not die with one of its tasks. A lane that panics is started anew
//! with backoff; the monitor of a session that panics is replaced by one that adopts the session's process.

use crate::link::backoff;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::{JoinError, JoinHandle};

/// What is wrong with the daemon itself, for its operator.
#[derive(Debug, Clone, Default)]
pub(crate) struct Incidents {
    last: Arc<Mutex<Option<String>>>,
    /// What is broken now, by part of the host.
    trouble: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Incidents {
    fn note(&self, task: &str, error: JoinError) {
        let text = format!("{task} panicked and was started again: {}", panic_text(error));
        tracing::error!(event = "panic", task, "{text}");
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// A part of this host is broken. Said once, however often it is found to be.
    pub(crate) fn trouble(&self, part: &'static str, text: &str) {
        let known = self.broken().insert(part, text.to_owned());
        if known.as_deref() != Some(text) {
            tracing::error!(event = "trouble", part, "{text}");
        }
    }

    /// It works again.
    pub(crate) fn no_trouble(&self, part: &'static str) {
        if self.broken().remove(part).is_some() {
            tracing::info!(event = "trouble-over", part, "{part} work again");
        }
    }

    /// What is broken now, else the last panic.
    pub(crate) fn last(&self) -> Option<String> {
        let broken = self.broken().values().map(String::as_str).collect::<Vec<_>>().join("; ");
        if broken.is_empty() { self.last.lock().unwrap_or_else(PoisonError::into_inner).clone() } else { Some(broken) }
    }

    fn broken(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs what `make` makes until it ends; makes it again when it panics.
pub(crate) async fn keep_running<F>(incidents: Incidents, task: &'static str, mut make: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut delays = backoff();
    while let Some(error) = AbortOnDrop(tokio::spawn(make())).ended().await {
        incidents.note(task, error);
        if let Some(delay) = delays.next() {
            tokio::time::sleep(delay).await;
        }
    }
}

/// Runs `first`; when it panics, runs what `second` makes in its place, once.
pub(crate) async fn or_else<F, G>(
    incidents: Incidents,
    task: &'static str,
    first: F,
    second: impl FnOnce() -> Option<G>,
) where
    F: Future<Output = ()> + Send + 'static,
    G: Future<Output = ()> + Send,
{
    if let Some(error) = AbortOnDrop(tokio::spawn(first)).ended().await {
        incidents.note(task, error);
        if let Some(second) = second() {
            second.await;
        }
    }
}

/// A task that does not outlive its supervisor.
pub(crate) struct AbortOnDrop<T = ()>(pub(crate) JoinHandle<T>);

impl<T> AbortOnDrop<T> {
    /// Its panic, if that is how it ended.
    async fn ended(mut self) -> Option<JoinError> {
        (&mut self.0).await.err().filter(JoinError::is_panic)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a task said when it panicked.
pub(crate) fn panic_text(error: JoinError) -> String {
    let text = |payload: Box<dyn Any + Send>| {
        let literal = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        literal.or_else(|| payload.downcast_ref::<String>().cloned())
    };
    error.try_into_panic().ok().and_then(text).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_panics_runs_again_and_is_shown() {
        let (runs, incidents) = (Arc::new(AtomicU32::new(0)), Incidents::default());
        let counted = Arc::clone(&runs);
        keep_running(incidents.clone(), "heartbeat", move || {
            let runs = Arc::clone(&counted);
            async move {
                assert!(runs.fetch_add(1, SeqCst) == 2, "not yet");
            }
        })
        .await;
        assert_eq!(runs.load(SeqCst), 3);
        let shown = incidents.last().unwrap();
        assert!(shown.contains("heartbeat") && shown.contains("not yet"), "{shown}");
    }

    #[tokio::test]
    async fn a_replacement_takes_over() {
        let replaced = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&replaced);
        let second = move || {
            Some(async move {
                counted.fetch_add(1, SeqCst);
            })
        };
        or_else(Incidents::default(), "session", async { panic!("boom") }, second).await;
        assert_eq!(replaced.load(SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_outlives_its_supervisor() {
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let lane = keep_running(Incidents::default(), "poll", move || {
            let held = Arc::clone(&held);
            async move {
                std::future::pending::<()>().await;
                drop(held);
            }
        });
        let _elapsed = tokio::time::timeout(std::time::Duration::from_secs(1), lane).await;
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
