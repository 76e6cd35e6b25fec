//! Foreign directory trees: read, copied and compared without ever leaving them.
//!
//! Everything is opened relative to a directory that is already open, and never through a symbolic link, so that
//! nothing that is planted in a tree leads out of it, also when it is planted while we look. What is neither file,
//! directory nor link is named and never opened. Trees may be deeper than a path may be long.

mod beneath;
mod content;
mod copy;
mod error;
mod mode;
mod names;
mod queue;
mod step;

pub(crate) use beneath::{Tree, list, open_file};
pub(crate) use copy::{Copied, CopyRules, Limits, Progress, copy};
pub(crate) use error::TreeError;
pub(crate) use mode::{file_type, mode_text};
pub(crate) use names::{escaped, join, lossy, unescaped};

/// Threads that copy or compare. Two halve the time of every copy; more only wait for the same directory locks.
pub(crate) const WORKERS: usize = 2;
