//! The real binary, in an environment of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod demo;
mod help;
mod host;
mod json;
mod kits;
mod logs;
mod platform;
mod snapshots;
mod studio;
mod update;
mod watch;
mod without_git;
mod workareas;
mod world;
