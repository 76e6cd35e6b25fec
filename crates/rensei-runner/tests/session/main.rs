//! Sessions from start to end: real agents, real git, and a scripted daemon and control plane on loopback.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like the tests themselves")]

mod agents;
mod control;
mod fixture;
mod flow;
mod plane;
mod reporting;
mod stub;
