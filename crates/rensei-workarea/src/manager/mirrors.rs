//! The mirrors of a host: one per repository and owner, kept small.

use super::WorkareaManager;
use super::chore::Chore;
use crate::WorkareaError;
use crate::mirror::{Mirror, last_use, with_replaced};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// How long nobody must have used a mirror before nobody has it open.
const QUIET: Duration = Duration::from_secs(600);

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

    /// Looks after mirrors that an earlier process packed again and did not finish with.
    pub(super) fn remember_mirrors(&self) {
        for name in with_replaced(&self.inner.repos) {
            if let Err(error) = self.mirror(&name) {
                tracing::warn!(mirror = name, %error, "what was replaced in a mirror stays for now");
            }
        }
    }

    /// Removes what was replaced in one of the mirrors, for room; whether there was something.
    pub(super) fn drop_replaced(&self) -> bool {
        let (runtime, now) = (Handle::current(), Instant::now());
        let busy: HashSet<String> = self.inner.pool.mirrors_in_use().collect();
        let quiet = |dir: &Path| {
            let is_busy = dir.file_name().and_then(OsStr::to_str).is_none_or(|name| busy.contains(name));
            let unused = last_use(dir).ok().and_then(|used| used.elapsed().ok());
            !is_busy && unused.is_some_and(|unused| unused >= QUIET)
        };
        self.used_mirrors().iter().any(|mirror| runtime.block_on(mirror.drop_replaced(now, quiet(mirror.dir()))))
    }

    fn used_mirrors(&self) -> Vec<Arc<Mirror>> {
        let mirrors = self.inner.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        mirrors.values().cloned().collect()
    }

    /// One of those that were used since this process began.
    fn mirror_in_need(&self) -> Option<Arc<Mirror>> {
        // Packing takes room at first.
        let has_room = self.disk_is_filling().is_ok_and(|filling| !filling);
        self.used_mirrors().into_iter().find(|mirror| mirror.needs_upkeep(Instant::now(), has_room))
    }
}
