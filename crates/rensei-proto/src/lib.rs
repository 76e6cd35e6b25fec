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
//! lose a session because a newer control plane sent more than it knows. `null` is the same as nothing
//! ([`lenient::from_slice`]). Field names are the wire's own, in camelCase.

pub mod control;
mod error_body;
mod error_chain;
mod ids;
pub mod lenient;
pub mod operator;
pub mod outcome;
pub mod platform;
mod secret;
mod session;
mod time;

pub use error_body::ErrorBody;
pub use error_chain::error_chain;
pub use ids::{InvalidSessionId, SessionId};
pub use platform::USER_AGENT;
pub use secret::Secret;
pub use session::{
    GitAccess, ModelProfile, ResolvedProfile, Resources, SessionDetail, SessionSpec, SessionStatus, StageBudget,
};
pub use time::{rfc3339_millis, rfc3339_seconds};
