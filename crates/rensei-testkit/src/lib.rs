//! For tests only: a control plane that misbehaves as told, a host to put before it, and what both left in the log.
//!
//! - [`FakePlatform`]: a real HTTP server on `127.0.0.1:0`. Without a script it is a decent control plane; a [`Fault`]
//!   queued for a [`Call`] replaces its next answer. Every request is recorded.
//! - `TempHost` (feature `host`): a whole daemon in this process, on a temporary state directory. Its workers are shell scripts that
//!   come from each session's environment ([`WorkItem::script`]).
//! - `serve_git` (feature `git`): a repository behind real git and HTTP.
//! - `Sigstore` (feature `sigstore`): a complete sigstore of our own, which signs whatever it is given.
//! - `serve_tls` (feature `tls`): any server, behind TLS.
//! - `SetClock` (feature `host`): clocks for that daemon that jump and sleep.
//! - [`Capture`]: everything that was logged and every panic of this process.
//!
//! Nothing here sleeps to synchronise: [`FakePlatform::until`] looks again after every request.
//!
//! ```
//! # #[cfg(feature = "host")] {
//! use rensei_testkit::{Answer, Call, FakePlatform, TempState, WorkItem};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let platform = FakePlatform::start().await;
//! platform.fault(Call::Heartbeat, Answer::json(503, r#"{"error":"busy"}"#));
//! platform.enqueue(&WorkItem::new("s1").attempt(1).script("echo hello"));
//! let host = TempState::new(&platform).start().await;
//!
//! let status = platform.ended("s1").await;
//! assert_eq!(status["status"], "completed");
//! assert!(platform.count(Call::Heartbeat) >= 2, "the refused beat was repeated");
//! host.stop().await;
//! # });
//! # }
//! ```
//!
//! A failed step is a failed test, so this crate panics where a library would answer with an error.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a failed step is a failed test")]

mod capture;
#[cfg(feature = "host")]
mod clock;
mod fault;
#[cfg(feature = "git")]
mod git_server;
#[cfg(feature = "host")]
mod host;
mod platform;
#[cfg(feature = "sigstore")]
mod sigstore;
#[cfg(feature = "tls")]
mod tls;

pub use capture::Capture;
#[cfg(feature = "host")]
pub use clock::SetClock;
pub use fault::{Answer, Call, Fault};
#[cfg(feature = "git")]
pub use git_server::serve_git;
#[cfg(feature = "host")]
pub use host::{TempHost, TempState};
pub use platform::{FakePlatform, PATIENCE, REGISTRATION_TOKEN, Recorded, TOKEN_MARK, WorkItem};
#[cfg(feature = "sigstore")]
pub use sigstore::{Signing, Sigstore};
#[cfg(feature = "tls")]
pub use tls::{AUTHORITY, serve_tls, tls_acceptor};
