//! The mirrors of a host: one per repository and owner, kept small.

use super::WorkareaManager;
use super::chore::Chore;
use crate::WorkareaError;
use crate::mirror::Mirror;
use std::os::unix::fs::DirBuilderExt;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

impl WorkareaManager {
    /// The mirror of that name, which may not exist yet.
    pub(super) fn mirror(&self, name: &str) -> Result<Arc<Mirror>, WorkareaError> {
        for dir in [&self.inner.repos, &self.inner.worktrees, &self.inner.pool_dir] {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(|error| WorkareaError::io("create", dir, error))?;
        }
        let mut mirrors = self.inner.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Mirror::new(self.inner.repos.join(name), self.inner.git.clone()));
        Ok(Arc::clone(mirrors.entry(name.to_owned()).or_insert_with(make)))
    }

    /// Has mirrors packed again in the background if they need it.
    pub(super) fn keep_mirrors_up(&self) {
        if self.mirror_in_need().is_some() {
            self.chore(Chore::Repack, async |manager| {
                while let Some(mirror) = manager.mirror_in_need() {
                    if let Err(error) = mirror.keep_up(Instant::now()).await {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(mirror = %mirror.dir().display(), error, "a mirror could not be packed again");
                    }
                }
            });
        }
    }

    /// One of those that were used since this process began.
    fn mirror_in_need(&self) -> Option<Arc<Mirror>> {
        let used: Vec<_> = {
            let mirrors = self.inner.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
            mirrors.values().cloned().collect()
        };
        // Packing takes room at first.
        let has_room = self.disk_is_filling().is_ok_and(|filling| !filling);
        used.into_iter().find(|mirror| mirror.needs_upkeep(Instant::now(), has_room))
    }
}
