//! Where the directories that sessions work in come from.

use rensei_proto::SessionId;
use rensei_proto::control::{EvictPoolRequest, EvictPoolResponse, Workarea, WorkareaPoolStats};
use rensei_workarea::{AcquireRequest, PoolSettings, ReleaseMode, WorkareaError, WorkareaManager};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;

/// Answer of a [`WorkareaProvider`] that takes its time.
pub type WorkareaFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, WorkareaError>> + Send + 'a>>;

/// Hands directories to sessions and takes them back. The host's own, [`WorkareaManager`], pools git checkouts; an
/// embedder may bring another.
///
/// A workarea belongs to one session from `acquire` to `release`. The host decides when: it acquires when a worker asks,
/// releases after the worker has ended, and archives what a failed session left in between, if the configuration says so.
/// Futures may be dropped when the daemon ends. Methods that are none are called on threads of the runtime and should
/// not wait for more than a look at a directory. One that panics fails what called it.
pub trait WorkareaProvider: fmt::Debug + Send + Sync + 'static {
    /// The workarea of a session; the same one when it has one.
    fn acquire<'a>(&'a self, session: &'a SessionId, request: AcquireRequest) -> WorkareaFuture<'a, Workarea>;

    /// Takes the workarea of a session back. That it has none is no error.
    fn release<'a>(&'a self, session: &'a SessionId, mode: ReleaseMode) -> WorkareaFuture<'a, ()>;

    /// Directory of the workarea that a session has.
    fn path(&self, session: &SessionId) -> Option<PathBuf>;

    /// The pool as it is now.
    fn stats(&self) -> WorkareaPoolStats;

    /// Deletes idle workareas of a repository. Never one that a session has.
    fn evict(&self, request: EvictPoolRequest) -> WorkareaFuture<'_, EvictPoolResponse>;

    /// The workarea that a session has, for what is noted on its archive. Default: not known.
    fn held(&self, _session: &SessionId) -> Option<Workarea> {
        None
    }

    /// Sessions that have a workarea, those of an earlier daemon included. The host discards what belongs to none that
    /// still runs. Default: none.
    ///
    /// # Errors
    /// When it cannot be found out.
    fn list(&self) -> io::Result<Vec<SessionId>> {
        Ok(Vec::new())
    }

    /// Moves the workarea of a session that has ended to `to`, as it is, so that it can be archived later if not now; the
    /// session has none when this answers true. The path does not exist, and is below the state root. Called where it may
    /// wait for the disk. Default: false, and the host archives it where it is.
    ///
    /// # Errors
    /// When the file system refuses; the workarea is where it was then.
    fn set_aside(&self, _session: &SessionId, _to: &Path) -> Result<bool, WorkareaError> {
        Ok(false)
    }

    /// At the start of a daemon: does away with a workarea of [`list`](Self::list). The session has none when this
    /// returns; `before` may be called later, with the directory, and before that is deleted. Default: only that call, as
    /// there is nothing in the default of `list`; who answers that needs this.
    ///
    /// # Errors
    /// When the file system refuses.
    fn discard(&self, session: &SessionId, before: Box<dyn FnOnce(&Path) + Send>) -> Result<(), WorkareaError> {
        if let Some(path) = self.path(session) {
            before(&path);
        }
        Ok(())
    }

    /// Keeps `count` workareas ready for each of these from now on, and for nothing else. Default: not done.
    fn prewarm(&self, _ahead: Vec<AcquireRequest>, _count: usize) {}

    /// Takes over what the configuration says of pools, at the start and after changes. Default: ignored.
    fn configure(&self, _settings: PoolSettings) {}

    /// Changes how many bytes idle workareas may take; 0: any. Default: ignored.
    fn limit_idle(&self, _max_bytes: u64) {}

    /// At the end of a daemon: ends what nobody waits for, and the processes that were started for it. Default: there is
    /// nothing.
    fn interrupt(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

impl WorkareaProvider for WorkareaManager {
    fn acquire<'a>(&'a self, session: &'a SessionId, request: AcquireRequest) -> WorkareaFuture<'a, Workarea> {
        Box::pin(Self::acquire(self, session, request))
    }

    fn release<'a>(&'a self, session: &'a SessionId, mode: ReleaseMode) -> WorkareaFuture<'a, ()> {
        Box::pin(Self::release(self, session, mode))
    }

    fn path(&self, session: &SessionId) -> Option<PathBuf> {
        Some(Self::path(self, session)).filter(|path| path.exists())
    }

    fn stats(&self) -> WorkareaPoolStats {
        self.pool_stats()
    }

    fn evict(&self, request: EvictPoolRequest) -> WorkareaFuture<'_, EvictPoolResponse> {
        Box::pin(Self::evict(self, request))
    }

    fn held(&self, session: &SessionId) -> Option<Workarea> {
        Self::held(self, session)
    }

    fn list(&self) -> io::Result<Vec<SessionId>> {
        Self::list(self)
    }

    fn set_aside(&self, session: &SessionId, to: &Path) -> Result<bool, WorkareaError> {
        Self::set_aside(self, session, to)
    }

    fn discard(&self, session: &SessionId, before: Box<dyn FnOnce(&Path) + Send>) -> Result<(), WorkareaError> {
        Self::discard(self, session, before)
    }

    fn prewarm(&self, ahead: Vec<AcquireRequest>, count: usize) {
        Self::prewarm(self, ahead, count);
    }

    fn configure(&self, settings: PoolSettings) {
        Self::configure(self, settings);
    }

    fn limit_idle(&self, max_bytes: u64) {
        Self::limit_idle(self, max_bytes);
    }

    fn interrupt(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(Self::interrupt(self))
    }
}
