//! The control plane over real HTTP, on a clock that the tests advance.

// Helpers that are not test functions themselves may unwrap too.
#![allow(clippy::unwrap_used)]

mod acceptance;
mod auth;
mod bench;
mod connections;
mod lifecycle;
mod operator;
mod queue;
mod refusals;
mod restart;
mod retention;
mod support;
