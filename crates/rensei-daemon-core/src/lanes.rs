//! The two loops that talk to the control plane.

pub(crate) mod acks;
mod git_token;
pub(crate) mod heartbeat;
mod mutation;
pub(crate) mod poll;
