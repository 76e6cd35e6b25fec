//! The pool after a crash: what is on the disk decides.

use super::record::Record;
use super::{Entry, Pool, State};
use crate::marker::Marker;
use crate::scratch;
use std::path::{Path, PathBuf};

/// What a restart found that needs work.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Entries that were given back but not cleaned.
    pub(crate) unclean: Vec<String>,
    /// Directories to be deleted.
    pub(crate) abandoned: Vec<PathBuf>,
}

/// Fills the table from the files.
pub(super) fn recover(pool: &Pool, worktrees: &Path) -> Found {
    let mut found = Found::default();
    Marker::forget_strays(worktrees);
    for entry in std::fs::read_dir(&pool.dir).into_iter().flatten().flatten() {
        let dir = entry.path();
        // What begins with a dot is being deleted, or nothing of ours.
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if hidden || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        match judge(pool, &dir, worktrees) {
            Some((record, state)) => {
                scratch::sweep(&dir);
                found.unclean.extend((state == State::Releasing).then(|| record.id.clone()));
                pool.entries().insert(record.id.clone(), Entry { record, state });
            }
            None if is_ours(&dir) => found.abandoned.push(dir),
            None => tracing::warn!(path = %dir.display(), "not a pool entry; left alone"),
        }
    }
    found
}

/// An entry and its state; none when it must go.
fn judge(pool: &Pool, dir: &Path, worktrees: &Path) -> Option<(Record, State)> {
    let record = Record::read(dir)?;
    let has_tree = std::fs::symlink_metadata(dir.join("tree")).is_ok_and(|metadata| metadata.is_dir());
    let held = record.acquired_by.as_ref().is_some_and(|session| {
        Marker::read(&worktrees.join(session.as_str())).is_some_and(|marker| marker.entry == record.id)
    });
    let same_boot = record.boot_id == pool.boot_id && !record.boot_id.is_empty();
    let state = match (held, has_tree) {
        (true, _) => State::Acquired,
        (false, true) if !same_boot => return None,
        (false, true) if record.acquired_by.is_some() => State::Releasing,
        (false, true) => State::Ready,
        (false, false) => return None,
    };
    Some((record, state))
}

/// Whether a directory holds nothing but parts of an entry, whole or not.
fn is_ours(dir: &Path) -> bool {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let is_part = |name: &str| matches!(name, "record.json" | "index" | "tree") || scratch::is_building(name);
    name.starts_with("wa-") && entries.all(|entry| entry.file_name().to_str().is_some_and(is_part))
}
