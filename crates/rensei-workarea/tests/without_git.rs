//! The same tests as those of `workareas.rs`, on a machine without the `git` executable.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

/// No such program: libgit2 talks to remotes.
const PROGRAM: &str = "rensei-no-such-git";

#[path = "workareas/acquire.rs"]
mod acquire;
#[path = "workareas/fixture.rs"]
#[allow(dead_code, reason = "shared with tests that are not run here")]
mod fixture;
#[path = "workareas/http.rs"]
mod http;
#[path = "workareas/push.rs"]
mod push;
#[path = "workareas/tokens.rs"]
mod tokens;
