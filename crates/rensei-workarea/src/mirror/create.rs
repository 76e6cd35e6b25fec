//! A mirror from nothing, also in place of one that is damaged.

use super::salvage::{pins, salvage};
use super::{Mirror, MirrorLock, REFSPECS, resolve};
use crate::blocking::blocking;
use crate::network::{Failure, Upstream};
use crate::{WorkareaError, scratch};
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

impl Mirror {
    /// Tells the mirror that is here now from the one that it replaced; none when there is no mirror.
    pub(crate) fn generation(&self) -> Option<u64> {
        std::fs::metadata(self.dir()).ok().map(|metadata| metadata.ino())
    }

    /// Makes the mirror anew, because something in that generation of it is damaged. Once for all who find that.
    pub(crate) async fn rebuild(&self, upstream: &Upstream, damaged: Option<u64>) -> Result<(), WorkareaError> {
        let lock = self.lock().await?;
        if self.generation().is_some_and(|now| Some(now) != damaged) {
            return Ok(());
        }
        self.create(upstream, &lock).await
    }

    /// Clones beside the mirror and then takes its place, so that a half-made mirror is never mistaken for one.
    pub(super) async fn create(&self, upstream: &Upstream, lock: &Arc<MirrorLock>) -> Result<(), WorkareaError> {
        let building = scratch::building(self.dir().parent().unwrap_or(Path::new("/")));
        let result = self.create_in(&building, upstream, lock).await;
        if result.is_err() {
            blocking(move || scratch::remove(&building)).await.ok();
        }
        result
    }

    async fn create_in(
        &self,
        building: &Path,
        upstream: &Upstream,
        lock: &Arc<MirrorLock>,
    ) -> Result<(), WorkareaError> {
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).no_reinit(true).external_template(false).mkpath(true);
        git2::Repository::init_opts(building, &options)
            .map_err(|error| WorkareaError::local("make a mirror", &error))?;
        let fetched = self.fetch(building, upstream, &REFSPECS, lock).await;
        fetched.map_err(|failure| self.named(failure.error))?;
        self.fetch_pins(building, upstream, lock).await?;
        let (building, dir) = (building.to_owned(), self.dir().to_owned());
        blocking(move || {
            // Sessions borrow from the old one.
            salvage(&dir.join("objects"), &building)
                .map_err(|error| WorkareaError::local("keep objects of a damaged mirror", &error))?;
            put_in_place(&building, &dir).map_err(|error| WorkareaError::io("put in place", &dir, error))
        })
        .await
    }

    /// What the old mirror kept although no branch or tag leads to it. The remote may not have it any more.
    async fn fetch_pins(
        &self,
        building: &Path,
        upstream: &Upstream,
        lock: &Arc<MirrorLock>,
    ) -> Result<(), WorkareaError> {
        let dir = self.dir().to_owned();
        let pinned = blocking(move || pins(&dir)).await;
        let refspecs: Vec<String> = pinned.iter().map(|source| resolve::pinning(source)).collect();
        let refspecs: Vec<&str> = refspecs.iter().map(String::as_str).collect();
        if refspecs.is_empty() || self.fetch_if_any(building, upstream, &refspecs, lock).await? || refspecs.len() == 1 {
            return Ok(());
        }
        // One that is gone makes all fail.
        for refspec in refspecs {
            self.fetch_if_any(building, upstream, &[refspec], lock).await?;
        }
        Ok(())
    }

    /// Fetches what the remote may not have; false when it has not all of it.
    async fn fetch_if_any(
        &self,
        building: &Path,
        upstream: &Upstream,
        refspecs: &[&str],
        lock: &Arc<MirrorLock>,
    ) -> Result<bool, WorkareaError> {
        match self.fetch(building, upstream, refspecs, lock).await {
            Ok(()) => Ok(true),
            Err(Failure { ended: true, .. }) => Ok(false),
            Err(failure) => Err(self.named(failure.error)),
        }
    }
}

/// Lets the new take the place of the old in one step, and deletes the old.
fn put_in_place(building: &Path, dir: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, building, CWD, dir, RenameFlags::EXCHANGE) {
        Ok(()) => {}
        Err(Errno::NOENT) => return std::fs::rename(building, dir),
        // File systems that know no such flag.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            let aside = scratch::building(dir.parent().unwrap_or(Path::new("/")));
            std::fs::rename(dir, &aside)?;
            std::fs::rename(building, dir)?;
            std::fs::rename(aside, building)?;
        }
        Err(error) => return Err(error.into()),
    }
    if let Err(error) = scratch::remove(building) {
        // Swept at the next start.
        tracing::warn!(path = %building.display(), %error, "could not delete a damaged mirror");
    }
    Ok(())
}
