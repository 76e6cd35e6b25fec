//! Room on the disk: what goes when there is little, and what is not begun then.

use super::WorkareaManager;
use crate::WorkareaError;
use crate::alternates::lenders;
use crate::blocking::blocking;
use crate::mirror::{last_use, remove_if_unused};
use crate::pool::{self, PoolSettings, Pressure};
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long nobody must have used a mirror that is deleted.
const UNUSED: Duration = Duration::from_secs(24 * 3600);

impl WorkareaManager {
    /// Refuses when the disk is nearly full and nothing idle can make room.
    pub(super) async fn guard_disk(&self) -> Result<(), WorkareaError> {
        let (manager, settings) = (self.clone(), self.settings());
        blocking(move || {
            let inner = &manager.inner;
            loop {
                let full = match pool::pressure(&inner.worktrees) {
                    Ok(full) => full,
                    Err(error) => return Err(WorkareaError::io("look at the disk of", &inner.worktrees, error)),
                };
                if !full.reaches(settings.refuse_percent) {
                    warn_of(full, &settings);
                    return Ok(());
                }
                if !manager.drop_replaced() && !inner.pool.drop_oldest() && !manager.drop_unused_mirror() {
                    return Err(WorkareaError::nearly_full(&inner.worktrees, full.bytes, full.inodes));
                }
            }
        })
        .await
    }

    /// Whether it is too full for what nobody waits for.
    pub(super) fn disk_is_filling(&self) -> Result<bool, WorkareaError> {
        let dir = &self.inner.pool_dir;
        let full = pool::pressure(dir).map_err(|error| WorkareaError::io("look at the disk of", dir, error))?;
        Ok(full.reaches(self.settings().warn_percent))
    }

    /// Deletes the mirror that was used longest ago, of those that nobody has used for a day and that no checkout borrows
    /// from; whether there was one. It is made again when a session needs it.
    fn drop_unused_mirror(&self) -> bool {
        let dropped = SystemTime::now().checked_sub(UNUSED).map(|since| self.drop_mirror_unused_since(since));
        dropped.unwrap_or(Ok(false)).unwrap_or_else(|error| {
            tracing::warn!(%error, "no mirror that nobody needs could be found and deleted");
            false
        })
    }

    fn drop_mirror_unused_since(&self, since: SystemTime) -> io::Result<bool> {
        let mut unused: Vec<_> = directories(&self.inner.repos)?
            .into_iter()
            .filter_map(|mirror| Some((last_use(&mirror).ok()?, mirror)))
            .filter(|(used, _)| *used <= since)
            .collect();
        if unused.is_empty() {
            return Ok(false);
        }
        let lending = self.lending()?;
        unused.retain(|(_, mirror)| !lending.contains(mirror));
        unused.sort();
        for (_, mirror) in unused {
            if remove_if_unused(&mirror, since)? {
                let shown = mirror.display();
                tracing::info!(event = "mirror-evicted", mirror = %shown, "the disk is full, and nobody uses a mirror");
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Mirrors that somebody borrows from: checkouts of sessions, and what is left of those that failed.
    fn lending(&self) -> io::Result<HashSet<PathBuf>> {
        let inner = &self.inner;
        let mut lending: HashSet<PathBuf> = inner.pool.mirrors_in_use().map(|name| inner.repos.join(name)).collect();
        // In the order in which a checkout may move meanwhile.
        for dir in [&inner.worktrees].into_iter().chain(&inner.heirs) {
            for place in directories(dir)? {
                // An archive has a manifest beside its tree.
                for tree in [place.join("tree"), place] {
                    lending.extend(lenders(&tree)?);
                }
            }
        }
        Ok(lending)
    }
}

/// What is in a directory and neither hidden nor a file; nothing when there is no such directory.
fn directories(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") && entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn warn_of(full: Pressure, settings: &PoolSettings) {
    if full.reaches(settings.warn_percent) {
        tracing::warn!(event = "disk-pressure", bytes = full.bytes, inodes = full.inodes, "the disk is filling up");
    }
}
