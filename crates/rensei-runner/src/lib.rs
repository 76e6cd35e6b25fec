//! `rensei agent run`: one session, one agent runtime, one result.
//!
//! [`run`] is the life of a worker:
//!
//! 1. The daemon is asked for the session's detail, and for its workarea at the same time.
//! 2. The kits of the host that apply to the workarea are found, and what they bring is set up.
//! 3. The agent runtime of the session is started in the workarea, in the worker's own process group.
//! 4. While it runs, its output becomes activities, the lease of the session is renewed, and limits are watched.
//! 5. What the agent left is committed, compared with where it started, and pushed if there is anything to push.
//! 6. The outcome is left in the session's directory, reported to the control plane, and returned.
//!
//! | ends because | status | `failureMode` | pushed |
//! |---|---|---|---|
//! | the agent succeeded | `completed` | | yes |
//! | the agent failed | `failed` | `provider-error`, `silent-exit` | yes |
//! | there is no such runtime, or it did not start | `failed` | `provider-resolve`, `spawn-failed` | |
//! | kits contradict each other, or could not be set up | `failed` | `kit-conflict`, `kit-setup` | |
//! | there is no workarea | `failed` | `worktree-provision` | |
//! | its work could not be committed or pushed | `failed` | `commit-failed`, `push-failed` | no |
//! | a limit of its stage was passed, or it took a day | `failed` | `budget-exceeded`, `timeout` | no |
//! | another worker owns the session | `failed`, not reported | `lost-ownership` | no |
//! | the operator or the host stopped it | `stopped` | `stopped` | no |
//! | it could not even begin | `failed`, exit code 2 | `preflight` | |
//!
//! A control plane that is away changes nothing of this: the lease is renewed when it is back, and an outcome that could
//! not be reported is marked so and left to the daemon.

mod activity;
mod agent_env;
mod budget;
mod conclusion;
mod daemon;
mod drive;
mod interrupt;
mod kits;
mod lease;
mod link;
mod notice;
mod options;
mod outcome_file;
mod preflight;
mod prompt;
mod publish;
mod report;
mod run;
mod runtime;
mod session;
mod tail;
mod task;
mod text;

pub use options::{Finished, RunOptions};
pub use run::run;
pub use runtime::{RUNTIMES, RuntimeInfo};
