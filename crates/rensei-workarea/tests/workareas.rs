//! Checkouts, commits and pushes with real git against real repositories.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

/// What talks to remotes; `without_git.rs` runs the same tests with another answer.
const PROGRAM: &str = "git";

#[path = "workareas/acquire.rs"]
mod acquire;
#[path = "workareas/commit.rs"]
mod commit;
#[path = "workareas/faults.rs"]
mod faults;
#[path = "workareas/fixture.rs"]
mod fixture;
#[path = "workareas/http.rs"]
mod http;
#[path = "workareas/kill.rs"]
mod kill;
#[path = "workareas/mirrors.rs"]
mod mirrors;
#[path = "workareas/pool.rs"]
mod pool;
#[path = "workareas/push.rs"]
mod push;
#[path = "workareas/repositories.rs"]
mod repositories;
#[path = "common/small_disk.rs"]
mod small_disk;
#[path = "workareas/tokens.rs"]
mod tokens;
