//! The control plane over real HTTP, on a clock that the tests advance.

mod auth;
mod bench;
mod lifecycle;
mod operator;
mod queue;
mod restart;
mod support;
