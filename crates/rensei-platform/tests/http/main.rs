//! The control plane over real HTTP, on a clock that the tests advance.

// Helpers that are not test functions themselves may unwrap too.
#![allow(clippy::unwrap_used)]

mod auth;
mod bench;
mod lifecycle;
mod operator;
mod queue;
mod restart;
mod support;
