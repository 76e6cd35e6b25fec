//! Room on the disk: what goes when there is little, and what is not begun then.

use super::WorkareaManager;
use crate::WorkareaError;
use crate::alternates::lenders;
use crate::blocking::blocking;
use crate::mirror::{last_use, remove_if_unused};
use crate::pool::{self, PoolSettings, Pressure};
use rustix::io::Errno;
use std::collections::HashSet;
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
                if !inner.pool.drop_oldest() && !manager.drop_unused_mirror() {
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
        let Some(since) = SystemTime::now().checked_sub(UNUSED) else { return false };
        let mut unused: Vec<_> = directories(&self.inner.repos)
            .filter_map(|mirror| Some((last_use(&mirror).ok()?, mirror)))
            .filter(|(used, _)| *used <= since)
            .collect();
        if unused.is_empty() {
            return false;
        }
        let Some(lending) = self.lending() else { return false };
        unused.retain(|(_, mirror)| !lending.contains(mirror));
        unused.sort();
        unused.into_iter().any(|(_, mirror)| match remove_if_unused(&mirror, since) {
            Ok(removed) => {
                let shown = mirror.display();
                tracing::info!(event = "mirror-evicted", mirror = %shown, removed, "the disk is full, and nobody uses a mirror");
                removed
            }
            Err(error) => {
                tracing::warn!(mirror = %mirror.display(), %error, "an unused mirror could not be deleted");
                false
            }
        })
    }

    /// Mirrors that somebody borrows from: checkouts of sessions, and what is left of those that failed. None when that
    /// cannot be found out.
    fn lending(&self) -> Option<HashSet<PathBuf>> {
        let inner = &self.inner;
        let mut lending: HashSet<PathBuf> = inner.pool.mirrors_in_use().map(|name| inner.repos.join(name)).collect();
        for tree in inner.heirs.iter().chain([&inner.worktrees]).flat_map(|dir| directories(dir)) {
            // An archive has a manifest beside its tree.
            for tree in [tree.join("tree"), tree] {
                match lenders(&tree) {
                    Ok(found) => lending.extend(found),
                    Err(Errno::NOENT | Errno::NOTDIR) => {}
                    Err(error) => {
                        let tree = tree.display();
                        tracing::warn!(%tree, %error, "no mirror is deleted: it is not known which ones are needed");
                        return None;
                    }
                }
            }
        }
        Some(lending)
    }
}

/// What is in a directory and neither hidden nor a file.
fn directories(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let shown = entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    shown.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

fn warn_of(full: Pressure, settings: &PoolSettings) {
    if full.reaches(settings.warn_percent) {
        tracing::warn!(event = "disk-pressure", bytes = full.bytes, inodes = full.inodes, "the disk is filling up");
    }
}
