//! Tasks that wind something up: counted, so that the daemon ends after them.

use std::sync::Arc;
use tokio::sync::watch;

/// Counts its tasks.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    running: Arc<watch::Sender<usize>>,
}

/// One running task.
struct Counted(Arc<watch::Sender<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self { running: Arc::new(watch::Sender::new(0)) }
    }

    /// Starts `future`. A panic in it ends this one task only and is counted out like a normal end.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.running.send_modify(|running| *running += 1);
        let counted = Counted(Arc::clone(&self.running));
        tokio::spawn(async move {
            let _counted = counted;
            future.await;
        });
    }

    /// Waits until none runs.
    pub(crate) async fn finished(&self) {
        let mut running = self.running.subscribe();
        let _sender_is_ours = running.wait_for(|running| *running == 0).await;
    }
}
