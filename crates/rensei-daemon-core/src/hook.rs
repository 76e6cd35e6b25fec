//! The embedder's last word on a worker's environment.

use crate::accept::AcceptError;
use rensei_proto::SessionSpec;
use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Complete environment of a worker.
pub type WorkerEnvironment = BTreeMap<OsString, OsString>;
/// Why a hook refuses a session.
pub type HookError = Box<dyn Error + Send + Sync>;
/// What an embedder writes.
type HookFunction = dyn Fn(&SessionSpec, WorkerEnvironment) -> Result<WorkerEnvironment, HookError> + Send + Sync;

/// Called once per session, after its environment is composed and before its worker is started.
#[derive(Clone)]
pub(crate) struct PreSpawnHook {
    function: Arc<HookFunction>,
    limit: Duration,
}

impl fmt::Debug for PreSpawnHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreSpawnHook").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl PreSpawnHook {
    pub(crate) fn new(function: Arc<HookFunction>, limit: Duration) -> Self {
        Self { function, limit }
    }

    /// Runs the hook on a thread of its own, so that one that hangs costs its session and not the host.
    pub(crate) fn run(&self, spec: &SessionSpec, env: WorkerEnvironment) -> Result<WorkerEnvironment, AcceptError> {
        let (function, spec) = (Arc::clone(&self.function), spec.clone());
        let (sender, answer) = mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("pre-spawn-hook".to_owned())
            // The receiver is gone when the limit has passed.
            .spawn(move || drop(sender.send(function(&spec, env))))
            .map_err(AcceptError::Spawn)?;
        match answer.recv_timeout(self.limit) {
            Ok(Ok(env)) => Ok(env),
            Ok(Err(error)) => Err(AcceptError::Hook(error)),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(AcceptError::HookTimedOut { limit: self.limit }),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(AcceptError::Hook("it panicked".into())),
        }
    }
}
