//! `daemon.yaml`.

mod load;
mod model;

pub use load::{ConfigError, Defaults, load};
pub use model::{AutoUpdate, Capacity, CloneStrategy, Config, Control, GitHints, Machine, Orchestrator, Project};
