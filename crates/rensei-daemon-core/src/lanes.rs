//! The two loops that talk to the control plane, and the one that does as if.

pub(crate) mod acks;
mod git_token;
pub(crate) mod heartbeat;
mod mutation;
pub(crate) mod poll;
pub(crate) mod stub;
