//! The control API of a running daemon.
//!
//! One guard stands before all routes. It refuses hosts that are not loopback and everything that a browser sends for
//! a web page; bodies must be JSON. Where the daemon says so, only its own user and root may change anything or see
//! more than the status and the list of live sessions.

mod api;
mod asker;
mod bind;
mod body;
mod document;
mod events;
mod guard;
mod host;
mod journal;
mod kits;
mod log_file;
mod message;
mod metrics;
mod output;
mod overview;
mod peer;
mod pool;
mod proc_net;
mod providers;
mod refuse;
mod reply;
mod routes;
mod routing;
mod serve;
mod sessions;
#[cfg(target_os = "linux")]
mod sock_diag;
mod workarea_diff;
mod workareas;

pub use bind::{BindError, ControlListener};

use rensei_daemon_core::DaemonHandle;

impl ControlListener {
    /// Serves the control API of `handle` until `shutdown` resolves; open requests then have 5 s to finish.
    ///
    /// Needs a tokio runtime with I/O and time enabled.
    pub async fn serve(self, handle: DaemonHandle, shutdown: impl Future<Output = ()>) {
        serve::serve(self, handle, shutdown).await;
    }
}
