//! The host runtime: takes agent sessions, runs each in a process group of its own, and reports how it ended.
//!
//! ```text
//! DaemonBuilder ──build()──▶ PreparedDaemon ──with_control_url()──▶ Daemon ──run()──▶ Finished
//!                            state lock, config                      │
//!                                                                    └─ handle() ▶ DaemonHandle (control API, embedder)
//! ```
//!
//! - `config`: `daemon.yaml`.
//! - `org`: whom the host works for; each with its own identity, lanes and projects.
//! - `link`, `credentials`: identity at a control plane and how it is kept.
//! - `lanes`: heartbeat and poll.
//! - `sessions`: admission, start, supervision, end, adoption after a crash.
//! - `clock`: what a suspended machine and a clock that is set mean for all of these.
//! - `lifecycle`: the daemon's own states.
//! - `update`: how an embedder's updater replaces the program.
//! - `kits`: what the configuration says of them, as their registry wants it.
//! - `providers`, `routing`: what sessions can run with, what they got, and how well that went.
//!
//! The crate reads no environment variable, prints nothing and never ends the process: all that is handed to the
//! builder or answered by [`Daemon::run`].

mod accept;
mod admissions;
mod allowlist;
mod builder;
mod capabilities;
mod clock;
pub mod config;
mod control_token;
mod credentials;
mod daemon;
mod events;
mod handle;
mod hook;
mod host;
mod kits;
mod lanes;
mod lifecycle;
mod link;
mod org;
mod overview;
mod providers;
mod reload;
mod routing;
mod serving;
mod sessions;
mod state;
mod supervisor;
mod tasks;
mod update;
mod workarea_provider;
mod workareas;

pub use accept::AcceptError;
pub use admissions::Admissions;
pub use builder::{BuildError, DaemonBuilder, PreparedDaemon};
pub use clock::{Clock, SystemClock};
pub use daemon::{Daemon, EXIT_RESTART, Finished};
pub use events::{Events, SessionEvent, SessionEvents};
pub use handle::{AcquireError, ControlAuth, DaemonHandle};
pub use hook::{HookError, WorkerEnvironment};
pub use lifecycle::{Phase, TransitionError, UpdateStage};
pub use org::RegistrationChanges;
pub use overview::CapacityError;
pub use providers::{LocalRuntime, LocalRuntimes, ProviderRegistry};
pub use rensei_kits::{KitError, Registry as KitRegistry};
pub use rensei_platform_client::{ClientOptions, Timeouts};
pub use rensei_workarea::{
    AcquireRequest, ArchiveError, Archives, PoolSettings, ReleaseMode, WorkareaError, WorkareaManager,
};
pub use sessions::{Caller, OutputLine, OutputSink};
pub use state::StateError;
pub use update::{Fetched, FetchedUpdate, RunningUpdate, UpdateError, UpdateFuture, UpdateHook};
pub use workarea_provider::{WorkareaFuture, WorkareaProvider};
