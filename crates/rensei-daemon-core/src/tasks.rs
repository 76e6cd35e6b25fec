//! Tasks that wind something up: counted, so that the daemon ends after them, and ended when it is dropped.

use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Counts its tasks.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    running: Arc<watch::Sender<usize>>,
    set: Arc<Mutex<JoinSet<()>>>,
}

/// One running task.
struct Counted(Arc<watch::Sender<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

/// Ends all tasks when dropped.
#[derive(Debug)]
pub(crate) struct AbortAll(Tasks);

impl Drop for AbortAll {
    fn drop(&mut self) {
        self.0.set().abort_all();
    }
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self { running: Arc::new(watch::Sender::new(0)), set: Arc::default() }
    }

    fn set(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts `future`. A panic in it ends this one task only and is counted out like a normal end.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.running.send_modify(|running| *running += 1);
        let counted = Counted(Arc::clone(&self.running));
        let mut set = self.set();
        while set.try_join_next().is_some() {}
        set.spawn(async move {
            let _counted = counted;
            future.await;
        });
    }

    /// Ends what still runs when the answer is dropped: a daemon that is dropped must do nothing more.
    pub(crate) fn abort_on_drop(&self) -> AbortAll {
        AbortAll(self.clone())
    }

    /// Waits until none runs.
    pub(crate) async fn finished(&self) {
        let mut running = self.running.subscribe();
        let _sender_is_ours = running.wait_for(|running| *running == 0).await;
    }
}
