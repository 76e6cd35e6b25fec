//! The files of a checkout: writing those of a commit, and bringing used ones to another commit.
//!
//! libgit2 writes a checkout with one thread and asks for attributes file by file. Here the files of a commit are
//! listed once, what is on the disk already is recognised by its stat data, and the rest is written by a few threads.
//! Nothing that a repository or a former user of the tree provides is run, followed or trusted.

mod index;
mod items;
mod keep;
mod scan;
mod write;

pub(crate) use index::Snapshot;
pub(crate) use items::{Item, ListError, Listing, list};
pub(crate) use keep::Keep;
pub(crate) use scan::{Present, Scan};
pub(crate) use write::{WriteError, Writer};
