//! Signals that ask the program to end.

use crate::error::{CommandError, CommandResult};
use rensei_process::ProcessIdentity;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for SIGTERM, SIGINT and SIGHUP from its creation on.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the signals over from their default action. Needs a runtime.
    pub(crate) fn listen() -> CommandResult<Self> {
        let take = |kind| signal(kind).map_err(|error| CommandError::context("failed to listen for signals", error));
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
            hangup: take(SignalKind::hangup())?,
        })
    }

    /// The next signal's name. Cancel-safe: each receiver is.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}

/// Resolves when process `pid` is gone; never for `None`.
pub(crate) async fn gone(pid: Option<u32>) {
    match pid.map(ProcessIdentity::of) {
        Some(Ok(identity)) => identity.wait_gone().await,
        Some(Err(_gone_already)) => {}
        None => std::future::pending().await,
    }
}
