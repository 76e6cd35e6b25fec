//! `daemon.yaml`: reading it, changing it, noticing that somebody else changed it.
//!
//! ```text
//! text ─▶ raw (as typed) ─▶ resolve (defaults, bounds, paths, tokens) ─▶ Config
//!   └──▶ document (tree with every byte) ─▶ edit (checked) ─▶ file (atomic) ─▶ text
//! ```
//!
//! The two ways never meet: a [`Config`] cannot be written back, and what edits the text never sees an expanded secret.

mod changes;
mod defaults;
mod document;
mod edit;
mod error;
mod file;
mod keys;
mod load;
mod model;
mod names;
mod paths;
mod raw;
mod reference;
mod resolve;
mod token;
mod watch;

pub use changes::{Changes, changes};
pub use document::Scalar;
pub use edit::{Edit, EditError, NewProject};
pub use error::{ConfigError, Location};
pub use file::ConfigFile;
pub use keys::{Applies, KEYS, Key};
pub use load::{ConfigWarning, Defaults, Loaded, inspect, load};
pub use model::{
    AutoUpdate, Capacity, Channel, CloneStrategy, Config, Control, GitHints, Kit, Machine, Observability, OnFailure,
    Orchestrator, Project, Reserved, Schedule, TokenSource, Trust, TrustMode, Workarea,
};
pub use names::project_id;
pub use reference::reference;
pub(crate) use token::without_overrides;
pub(crate) use watch::NameWatcher;
pub use watch::{ConfigWatcher, ConfigWriter, Reloaded};
