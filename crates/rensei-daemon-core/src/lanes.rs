//! The two loops that talk to the control plane.

pub(crate) mod heartbeat;
pub(crate) mod poll;
