//! From the pool or anew.

use super::Inner;
use super::build::{Failure, Plan, Tools};
use crate::files::{Listing, Snapshot};
use crate::marker::Marker;
use crate::pool::{Contents, Key, replace};
use crate::{WorkareaError, WorkareaErrorKind, scratch};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most submodules that are named.
const MAX_NAMED: usize = 5;

/// One checkout for one session.
#[derive(Debug, Clone)]
pub(super) struct Obtain {
    pub(super) inner: Arc<Inner>,
    pub(super) tools: Tools,
    pub(super) plan: Plan,
    pub(super) key: Key,
    /// Repository as people are shown it.
    pub(super) shown: String,
    /// Where the checkout is going to be.
    pub(super) path: PathBuf,
}

impl Obtain {
    /// Hands out a used checkout, or else a new one.
    pub(super) fn run(mut self) -> Result<Marker, Failure> {
        let listing = self.tools.listing(self.plan.base)?;
        let contents = Contents {
            r#ref: self.plan.marker.r#ref.clone(),
            checksum: listing.checksum(),
            lockfiles: listing.lockfiles(),
        };
        while let Some(id) = self.inner.pool.take(&self.key, &contents.lockfiles, &self.plan.marker.session_id) {
            match self.used(&id, &listing, &contents) {
                Ok(marker) => return Ok(marker),
                // Neither a new mirror nor more room comes from trying the next one.
                Err(failure) if failure.damaged || failure.error.kind() == WorkareaErrorKind::DiskFull => {
                    return Err(failure);
                }
                Err(failure) => {
                    let error = &failure.error as &dyn std::error::Error;
                    tracing::warn!(id, error, "a pooled workarea cannot be used");
                }
            }
        }
        let id = self.inner.pool.begin(&self.key, &self.shown)?;
        self.finish(&id, &listing, &contents, None)
    }

    fn used(&mut self, id: &str, listing: &Listing, contents: &Contents) -> Result<Marker, Failure> {
        let (tree, index) = (self.inner.pool.place(id).tree(), self.inner.pool.place(id).index());
        let fresh = std::mem::replace(&mut self.plan.marker.acquire_path, "pool-warm".to_owned());
        let unreadable = || WorkareaError::io("read", &index, std::io::ErrorKind::InvalidData.into());
        let before = Snapshot::read(&index).map_err(|error| WorkareaError::io("read", &index, error));
        let used = before
            .and_then(|before| before.ok_or_else(unreadable))
            .map_err(Failure::from)
            .inspect_err(|_| self.inner.pool.retire(id))
            .and_then(|before| self.finish(id, listing, contents, Some((&tree, &before))));
        if used.is_err() {
            self.plan.marker.acquire_path = fresh;
        }
        used
    }

    /// Makes the checkout beside its place, notes it, and puts it there. The entry is gone when that fails.
    fn finish(
        &mut self,
        id: &str,
        listing: &Listing,
        contents: &Contents,
        used: Option<(&Path, &Snapshot)>,
    ) -> Result<Marker, Failure> {
        id.clone_into(&mut self.plan.marker.entry);
        let building = scratch::building(&self.inner.worktrees);
        let made = self.make(&building, listing, used).and_then(|written| {
            self.plan.marker.notes = notes(listing);
            replace(&self.inner.pool.place(id).index(), &written.to_bytes())?;
            self.inner.pool.hand_out(id, &self.plan.marker.session_id, contents)?;
            Ok(self.plan.put_in_place(&building, &self.path)?)
        });
        if !made.as_ref().is_ok_and(|marker| marker.entry == id) {
            // Swept at the next start if even this fails.
            let _ = scratch::remove(&building);
            self.inner.pool.retire(id);
        }
        made
    }

    fn make(&self, building: &Path, listing: &Listing, used: Option<(&Path, &Snapshot)>) -> Result<Snapshot, Failure> {
        if let Some((tree, _)) = used {
            std::fs::rename(tree, building).map_err(|error| WorkareaError::io("take", tree, error))?;
        }
        self.plan.make(&self.tools, building, listing, used.map(|(_, before)| before))
    }
}

/// What the user of a checkout may miss in it.
fn notes(listing: &Listing) -> Vec<String> {
    let submodules: Vec<String> = listing.submodules().collect();
    let mut notes = Vec::new();
    if !submodules.is_empty() {
        let more = if submodules.len() > MAX_NAMED { ", …" } else { "" };
        let named = submodules[..submodules.len().min(MAX_NAMED)].join(", ");
        let count = submodules.len();
        notes.push(format!(
            "{count} submodules are empty directories ({named}{more}): `git submodule update --init` fetches them"
        ));
    }
    if listing.lfs {
        let what = "files that are in Git LFS are pointers in place of their content";
        notes.push(format!("{what}: `git lfs pull` fetches it"));
    }
    notes
}
