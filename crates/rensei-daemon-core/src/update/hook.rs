//! What an embedder brings to update its program, and how it is kept from doing harm.

use crate::hook::HookError;
use crate::supervisor::{AbortOnDrop, panic_text};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Answer of an updater that takes its time.
pub type UpdateFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, HookError>> + Send + 'a>>;

/// Knows where newer versions of the program come from and how one takes the place of another.
///
/// Each step is bounded in time and runs as a task of its own; one that fails, panics or takes too long is an update that
/// failed, and the host goes on. A step that blocks should do so on a thread of its own, as `tokio::task::spawn_blocking`
/// has them. Futures are dropped when their time is over, when somebody stops or drains the host, and when it ends.
pub trait UpdateHook: fmt::Debug + Send + Sync + 'static {
    /// Looks for a version that is newer than `running`, fetches and verifies it. Sessions run meanwhile, so nothing of the
    /// program may change yet.
    fn fetch<'a>(&'a self, running: &'a str) -> UpdateFuture<'a, Fetched>;
}

/// What there is.
#[derive(Debug)]
pub enum Fetched {
    /// Nothing newer.
    Nothing {
        /// Why, such as `already-up-to-date`.
        reason: String,
    },
    /// Something newer that must not be installed.
    Refused {
        /// Why, such as `sig-rejected: …`.
        reason: String,
    },
    /// A newer version. Dropped when nothing comes of it, and should clean up then.
    Ready(Box<dyn FetchedUpdate>),
}

/// A newer version that was fetched and verified.
pub trait FetchedUpdate: fmt::Debug + Send + 'static {
    /// Its version.
    fn version(&self) -> &str;

    /// Puts it in the program's place, all or nothing: the host may be killed at any moment. No session runs any more.
    fn install(self: Box<Self>) -> UpdateFuture<'static, ()>;
}

/// An embedder's updater within bounds.
#[derive(Debug, Clone)]
pub(crate) struct Updater {
    hook: Arc<dyn UpdateHook>,
    limit: Duration,
}

/// Why a step of an update came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error("the updater failed")]
    Hook(#[source] HookError),
    #[error("the updater panicked: {0}")]
    Panicked(String),
    #[error("the updater took longer than {} ms", limit.as_millis())]
    TimedOut { limit: Duration },
}

impl Updater {
    pub(crate) fn new(hook: Arc<dyn UpdateHook>, limit: Duration) -> Self {
        Self { hook, limit }
    }

    pub(crate) async fn fetch(&self, running: &str) -> Result<Fetched, StepError> {
        let (hook, running) = (Arc::clone(&self.hook), running.to_owned());
        self.bounded(async move { hook.fetch(&running).await }).await
    }

    pub(crate) async fn install(&self, update: Box<dyn FetchedUpdate>) -> Result<(), StepError> {
        // Within the task, so that a panic before the first await is one of the task.
        self.bounded(async move { update.install().await }).await
    }

    /// What a version is called.
    pub(crate) fn version_of(&self, update: &dyn FetchedUpdate) -> Result<String, StepError> {
        // It is only read, and dropped after a panic.
        let version = catch_unwind(AssertUnwindSafe(|| update.version().to_owned()));
        version.map_err(|_payload| StepError::Panicked("it does not know its version".to_owned()))
    }

    async fn bounded<T: Send + 'static>(
        &self,
        step: impl Future<Output = Result<T, HookError>> + Send + 'static,
    ) -> Result<T, StepError> {
        let mut task = AbortOnDrop(tokio::spawn(step));
        match tokio::time::timeout(self.limit, &mut task.0).await {
            Ok(Ok(answer)) => answer.map_err(StepError::Hook),
            Ok(Err(error)) => Err(StepError::Panicked(panic_text(error))),
            Err(_elapsed) => Err(StepError::TimedOut { limit: self.limit }),
        }
    }
}
