//! One piece of work for everybody who asks for it before it starts.

use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Lets work that is the same for all who ask be done once for all of them.
///
/// Who asks while it is already being done gets the next round, because the one under way may have looked too early.
#[derive(Debug)]
pub(crate) struct Gate<T> {
    next: Arc<Mutex<Option<watch::Receiver<Option<T>>>>>,
    running: Arc<tokio::sync::Mutex<()>>,
}

impl<T> Default for Gate<T> {
    fn default() -> Self {
        Self { next: Arc::default(), running: Arc::default() }
    }
}

impl<T: Clone + Send + Sync + 'static> Gate<T> {
    /// Result of `work`, or of the same work that somebody else asked for and that has not started yet. The work goes
    /// on when its askers lose interest. None when it never ended: it panicked, or the runtime is shut down.
    pub(crate) async fn run(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let mut result = self.join(work);
        let done = result.wait_for(Option::is_some).await.ok()?;
        done.clone()
    }

    fn join(&self, work: impl Future<Output = T> + Send + 'static) -> watch::Receiver<Option<T>> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = next.as_ref().filter(|waiting| waiting.has_changed().is_ok()) {
            return waiting.clone();
        }
        let (sender, receiver) = watch::channel(None);
        *next = Some(receiver.clone());
        let (queue, running) = (Arc::clone(&self.next), Arc::clone(&self.running));
        tokio::spawn(async move {
            let _turn = running.lock_owned().await;
            queue.lock().unwrap_or_else(PoisonError::into_inner).take();
            sender.send_replace(Some(work.await));
        });
        receiver
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    #[tokio::test]
    async fn late_askers_share_the_next_round() {
        let gate = Gate::default();
        let (started, finish, count) =
            (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let work = || {
            let (started, finish, count) = (started.clone(), finish.clone(), count.clone());
            async move {
                started.notify_one();
                finish.notified().await;
                count.fetch_add(1, Ordering::SeqCst) + 1
            }
        };
        let mut first = gate.join(work());
        started.notified().await;
        let late: Vec<_> = (0..10).map(|_| gate.join(work())).collect();
        finish.notify_one();
        assert_eq!(*first.wait_for(Option::is_some).await.unwrap(), Some(1));
        finish.notify_one();
        for mut asker in late {
            assert_eq!(*asker.wait_for(Option::is_some).await.unwrap(), Some(2));
        }
    }

    #[tokio::test]
    async fn work_that_panics_does_not_block_the_next() {
        let gate = Gate::default();
        assert_eq!(gate.run(async { panic!("on purpose") }).await, None::<u8>);
        assert_eq!(gate.run(async { 7 }).await, Some(7));
    }
}
