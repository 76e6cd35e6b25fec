//! How two archives differ, path by path.
//!
//! One thread lists both trees side by side in the order of whole paths, two compare what was listed, and the caller
//! gets what differs, in order and as it is found: neither tree is ever in memory.

mod compare;
mod patch;
mod pipeline;
mod walk;

pub use patch::{Patch, patch};

use crate::archive::{ArchiveError, Archives};
use crate::tree::TreeError;
use rensei_proto::control::{DiffEntry, DiffSummary};
use std::ops::ControlFlow;

/// One of the two trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    A,
    B,
}

/// Why a comparison could not be completed, and which tree is to blame.
#[derive(Debug)]
struct Failure {
    side: Side,
    error: TreeError,
}

impl Archives {
    /// Compares the trees of two archives and calls `emit` with every path that differs, in byte order. Blocks until
    /// everything is compared or `emit` breaks it off; the summary counts what was emitted.
    ///
    /// `.rensei` at the top is private and not compared. An archive never differs from itself.
    ///
    /// # Errors
    /// [`ArchiveError::NotFound`] when one has no tree, [`ArchiveError::Corrupted`] when one is damaged,
    /// [`ArchiveError::Io`] when it cannot be read now; what was emitted before that is right.
    pub fn diff(
        &self,
        a: &str,
        b: &str,
        mut emit: impl FnMut(DiffEntry) -> ControlFlow<()>,
    ) -> Result<DiffSummary, ArchiveError> {
        let mut summary = DiffSummary { workarea_a: a.to_owned(), workarea_b: b.to_owned(), ..DiffSummary::default() };
        let (opened_a, opened_b) = (self.open(a)?, self.open(b)?);
        if a == b {
            return opened_a.manifest().map(|_readable| summary);
        }
        let absent = |id: &str| ArchiveError::NotFound { id: id.to_owned() };
        let tree_a = opened_a.tree()?.ok_or_else(|| absent(a))?;
        let tree_b = opened_b.tree()?.ok_or_else(|| absent(b))?;
        let compared = pipeline::run(&tree_a, &tree_b, |entry| {
            summary.count(entry.status);
            emit(entry)
        });
        compared.map_err(|Failure { side, error }| {
            ArchiveError::while_reading(if side == Side::A { a } else { b }, error)
        })?;
        Ok(summary)
    }
}
