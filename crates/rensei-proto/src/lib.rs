//! What crosses a process border.
//!
//! Three parties talk to each other: the control plane, the host daemon and the worker that runs one session. This
//! crate holds the types they exchange and nothing else; it has no runtime and does no I/O.
//!
//! | module | between | transport |
//! |---|---|---|
//! | [`platform`] | daemon or worker and control plane | HTTP, bearer token |
//! | [`operator`] | operator's CLI and control plane | HTTP, API key |
//! | [`control`] | CLI or worker and daemon | HTTP on loopback |
//! | [`outcome`] | worker and daemon | a file in the session's directory |
//!
//! Wire types tolerate unknown fields and ignore optional fields of the wrong type (see [`lenient`]): a host must not
//! lose a session because a newer control plane sent more than it knows. Field names are the wire's own, in camelCase.

pub mod control;
mod error_body;
mod ids;
pub mod lenient;
pub mod operator;
pub mod outcome;
pub mod platform;
mod secret;
mod session;

pub use error_body::ErrorBody;
pub use ids::{InvalidSessionId, SessionId};
pub use secret::Secret;
pub use session::{
    GitAccess, ModelProfile, ResolvedProfile, Resources, SessionDetail, SessionSpec, SessionStatus, StageBudget,
};

/// `User-Agent` of every request that a daemon or one of its workers sends to a control plane.
pub const USER_AGENT: &str = concat!("rensei-daemon/", env!("CARGO_PKG_VERSION"));

/// Current time as the wire wants it: RFC 3339, UTC, whole seconds, `Z`.
#[must_use]
pub fn rfc3339_seconds(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Time with milliseconds, for records that order events: RFC 3339, UTC, `Z`.
#[must_use]
pub fn rfc3339_millis(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
