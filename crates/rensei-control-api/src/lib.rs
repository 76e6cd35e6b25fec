//! The local control API of a host, on loopback: the calls are listed in [`rensei_proto::control`].
//!
//! - Feature `client`: `ControlClient`, cheap to make and without TLS or DNS.
//! - Feature `server`: `ControlListener`, which serves a daemon's handle behind a guard.

#[cfg(feature = "client")]
mod client;
#[cfg(any(feature = "client", feature = "server"))]
mod headers;
#[cfg(feature = "server")]
mod server;

#[cfg(feature = "client")]
pub use client::{ControlClient, ControlError, OutputQuery, OutputStream};
#[cfg(feature = "server")]
pub use server::{BindError, ControlListener};
