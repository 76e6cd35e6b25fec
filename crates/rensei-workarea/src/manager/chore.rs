//! Long work in the background that gives way to everything else.

use super::background::in_background;
use super::{Inner, WorkareaManager};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// The least that the scheduler gives, and with it the disk: Linux takes the I/O priority of a thread from this where nobody
/// has set one.
#[cfg(target_os = "linux")]
const LOWEST_PRIORITY: i32 = 19;

/// How long work in the background may take to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// What there is to do. One thread does one of these.
#[derive(Debug, Clone, Copy)]
pub(super) enum Chore {
    /// Workareas are made ahead.
    Prewarm,
    /// Mirrors are packed again.
    Repack,
}

/// Which chores somebody is at.
#[derive(Debug, Default)]
pub(super) struct Chores {
    prewarm: AtomicBool,
    repack: AtomicBool,
    /// Everybody who is at one listens.
    stop: watch::Sender<()>,
}

impl Chore {
    const fn name(self) -> &'static str {
        match self {
            Self::Prewarm => "workarea-prewarm",
            Self::Repack => "mirror-repack",
        }
    }

    const fn busy(self, inner: &Inner) -> &AtomicBool {
        match self {
            Self::Prewarm => &inner.chores.prewarm,
            Self::Repack => &inner.chores.repack,
        }
    }
}

/// Lowers the priority of this thread and of what it starts. On other systems it would be that of the whole process.
#[cfg(target_os = "linux")]
fn give_way() {
    if let Err(error) = rustix::process::setpriority_process(None, LOWEST_PRIORITY) {
        tracing::debug!(%error, "work in the background runs at normal priority");
    }
}

/// Somebody is at it until this is dropped.
struct Busy(WorkareaManager, Chore);

impl Drop for Busy {
    fn drop(&mut self) {
        self.1.busy(&self.0.inner).store(false, Ordering::Release);
    }
}

impl Busy {
    /// For who has done the work: there may be more to do since the last look. Who could not even begin leaves it to the
    /// next one.
    fn done(self) {
        let manager = self.0.clone();
        drop(self);
        manager.tidy_soon();
    }
}

impl WorkareaManager {
    /// Ends what is done in the background at this moment, and the processes that were started for it; waits a moment for
    /// what cannot be interrupted.
    pub async fn interrupt(&self) {
        self.inner.chores.stop.send_replace(());
        if tokio::time::timeout(PATIENCE, self.inner.chores.stop.closed()).await.is_err() {
            tracing::debug!("work in the background goes on until the process ends");
        }
    }

    /// Has something done on one thread, on Linux at the lowest priority that there is, unless somebody is at it.
    pub(super) fn chore(&self, chore: Chore, work: impl AsyncFnOnce(&Self) + Send + 'static) {
        if chore.busy(&self.inner).swap(true, Ordering::AcqRel) {
            return;
        }
        let mut stop = self.inner.chores.stop.subscribe();
        let busy = Busy(self.clone(), chore);
        in_background(chore.name(), move || {
            #[cfg(target_os = "linux")]
            give_way();
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => {
                    let done = runtime.block_on(async {
                        tokio::select! { () = work(&busy.0) => true, _ = stop.changed() => false }
                    });
                    // With it go the processes that it has started.
                    drop(runtime);
                    if done {
                        busy.done();
                    }
                }
                Err(error) => tracing::warn!(name = chore.name(), %error, "no runtime for work in the background"),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GitEnvironment;
    use rensei_process::ProcessIdentity;
    use std::collections::BTreeMap;
    use std::sync::mpsc::TryRecvError;

    #[test]
    fn only_work_that_was_done_has_the_pool_looked_through_again() {
        let dir = tempfile::tempdir().unwrap();
        let git = GitEnvironment::new(BTreeMap::new());
        let (manager, _, asked) = WorkareaManager::unattended(dir.path(), git, Default::default());
        // As when there is no thread to be had.
        drop(Busy(manager.clone(), Chore::Prewarm));
        assert_eq!(asked.try_recv(), Err(TryRecvError::Empty));
        manager.chore(Chore::Prewarm, async |_| ());
        asked.recv().unwrap();
        assert!(!Chore::Prewarm.busy(&manager.inner).load(Ordering::Acquire));
    }

    #[tokio::test]
    async fn what_is_under_way_is_ended_with_what_it_has_started() {
        let dir = tempfile::tempdir().unwrap();
        let git = GitEnvironment::new(BTreeMap::new());
        let (manager, _, asked) = WorkareaManager::unattended(dir.path(), git, Default::default());
        let (begun, told) = tokio::sync::oneshot::channel();
        manager.chore(Chore::Repack, async move |_| {
            let mut sleep = tokio::process::Command::new("sleep");
            let child = sleep.arg("600").kill_on_drop(true).spawn().unwrap();
            begun.send(ProcessIdentity::of(child.id().unwrap()).unwrap()).unwrap();
            std::future::pending().await
        });
        let process = told.await.unwrap();
        tokio::time::timeout(Duration::from_secs(60), async {
            manager.interrupt().await;
            while process.is_alive() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        assert!(!Chore::Repack.busy(&manager.inner).load(Ordering::Acquire));
        assert_eq!(asked.try_recv(), Err(TryRecvError::Empty), "it does not begin again");
    }
}
