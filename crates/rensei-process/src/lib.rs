//! Child processes of a host: groups, signals, identity that survives pid reuse, typed ends, and the files that hold
//! their output.
//!
//! A child is started with [`spawn_group`] as the leader of a process group of its own, with exactly the environment it
//! is given and with its output going straight into a file. It therefore needs nothing from its parent and outlives it.
//! [`ProcessIdentity`] finds it again after a crash of the parent, without ever mistaking a stranger with a recycled
//! pid for it.
//!
//! Nothing here uses `pre_exec`: it would force `fork`, which takes tens of milliseconds in a parent with a large heap,
//! where `posix_spawn` takes half of one.

mod child_file;
mod end;
mod group;
mod identity;
mod occupants;
#[cfg_attr(not(target_os = "linux"), path = "open_files_portable.rs")]
mod open_files;
#[cfg_attr(not(target_os = "linux"), path = "os_portable.rs")]
#[cfg_attr(target_os = "linux", path = "os_linux.rs")]
mod os;
pub mod output_log;
mod spawn;

pub use child_file::{append_child_file, open_child_file};
pub use end::End;
pub use group::{ProcessGroup, Signal, StopOutcome};
pub use identity::ProcessIdentity;
pub use occupants::{Eviction, evict_occupants};
pub use open_files::{give_former_open_files, raise_open_files};
pub use os::{env_values, find_by_env, kill_by_env, kill_marked, leads_its_group, lineage, socket_holders};
pub use spawn::{GroupChild, SpawnSpec, find_program, spawn_group};
