//! Signals that ask the program to end.

use crate::error::{CommandError, CommandResult};
use rensei_process::ProcessIdentity;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for SIGTERM, SIGINT and, unless it is ignored, SIGHUP from its creation on.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    /// Takes the signals over from their default action. Needs a runtime.
    pub(crate) fn listen() -> CommandResult<Self> {
        let take = |kind| signal(kind).map_err(|error| CommandError::context("failed to listen for signals", error));
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
            hangup: if is_hangup_ignored() { None } else { Some(take(SignalKind::hangup())?) },
        })
    }

    /// The next signal's name. Cancel-safe: each receiver is.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = received(&mut self.hangup) => "SIGHUP",
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether the program was started to outlive its terminal, as `nohup` does.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Signal 1 is the lowest bit.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Resolves when process `pid` is gone; never for `None`.
pub(crate) async fn gone(pid: Option<u32>) {
    match pid.map(ProcessIdentity::of) {
        Some(Ok(identity)) => identity.wait_gone().await,
        Some(Err(_gone_already)) => {}
        None => std::future::pending().await,
    }
}
