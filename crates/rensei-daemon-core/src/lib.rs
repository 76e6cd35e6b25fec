//! The host runtime.
mod accept;
mod handle;
mod lifecycle;

pub use accept::AcceptError;
pub use handle::{AcquireError, ControlAuth, DaemonHandle};
pub use lifecycle::TransitionError;
