//! The `rensei` command as a library, so that `rensei`, `rensei-daemon` and `rensei-platform` are one program under
//! three names.
//!
//! | module | task |
//! |---|---|
//! | `args` | what can be typed, one module per noun |
//! | `commands` | what it does, one module per command |
//! | `output` | the one owner of stdout and stderr |
//! | `error` | what failed, why, what to do next, and the exit code |
//! | `logging` | the daemon's log file and what a person sees of it |
//! | `reference` | `docs/cli.md`, written by a test |
//! | `env`, `state_root` | the process environment, read once |
//!
//! Exit codes: 0 done, 1 failed, 2 called wrongly or could not begin, 3 updated and to be started again, 130 interrupted.

mod args;
mod commands;
mod env;
mod error;
#[cfg(test)]
mod hints;
mod logging;
mod output;
#[cfg(test)]
mod reference;
mod signals;
mod start;
mod state_root;

pub use start::{main_daemon, main_platform, main_rensei};
