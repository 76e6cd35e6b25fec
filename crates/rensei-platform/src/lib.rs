//! The self-hosted control plane: one process, one SQLite file.
//!
//! [`init`] makes organisation, project and tokens; [`Platform`] serves the platform API to hosts, workers and operators.
//!
//! - **Storage** is behind two traits, durable state and queue, of which SQLite implements both; HTTP handlers see
//!   nothing else. Every operation is one transaction, so a process that is killed at any moment leaves the effect of
//!   whole operations only, and an answer is sent after the commit of what it reports.
//! - **A claim is leased.** A poll takes sessions out of the queue, mints their fencing number and starts their leases in
//!   one step. A host that falls silent loses its sessions to the queue, where they keep their place, and whatever it
//!   reports late carries a stale number and is refused.
//! - **Nothing is polled inside.** Requests that wait are woken by the operation that concerns them.
//! - **A machine is one worker.** Registering again with the same machine id, in the same organisation and project, keeps
//!   the worker id, so that sessions survive a new registration of their host.

mod clock;
mod connections;
mod data_dir;
mod http;
mod init;
mod jwt;
mod reaper;
mod runner;
mod server;
mod storage;
mod tokens;
mod wake;

pub use clock::{Clock, ManualClock, SystemClock};
pub use data_dir::DataDirError;
pub use init::{InitError, InitOptions, InitOutput, init};
pub use server::{LegacyAuth, Platform, ServeError, ServeOptions};
pub use storage::StorageError;
