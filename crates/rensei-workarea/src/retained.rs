//! Workareas that are to be archived: out of everybody's hands, and kept until there is an archive of them.
//!
//! ```text
//! <retained>/<id>/        the workarea as its session left it
//! <retained>/<id>.json    what its archive is going to say
//! <retained>/<id>.failed  why there will be none, unless somebody asks again
//! ```
//!
//! A rename brings a workarea here, and its name is that of its archive to be. So whatever happens in between, a full disk
//! or a crash, it is archived once: it goes when an archive of that name is there, and not before. The note beside it is
//! a convenience; without it, as on a full disk, the name and the marker in the workarea say most of it.

mod draft;
mod due;
mod view;

pub(crate) use due::Failures;

use crate::archive::{
    ArchiveError, ArchiveManifest, ArchiveMetadata, Archives, create_from, file_name, private_directory,
};
use crate::pool::replace;
use crate::tree::{Tree, list};
use crate::{WorkareaError, scratch};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Archives that one session can have from the same second.
const MAX_SAME: u32 = 1000;
/// Extension of the notes about what cannot be archived.
const FAILED: &str = "failed";

impl Archives {
    /// Keeps a workarea until it is archived. `move_to` moves it to the path that it is told, on the disk of the retained
    /// ones, and says whether there was one. The answer is the id under which it is kept, which its archive will have.
    ///
    /// # Errors
    /// When the directory cannot be made, or `move_to` fails; the workarea is where it was then.
    pub fn retain(
        &self,
        metadata: &ArchiveMetadata,
        move_to: impl FnOnce(&Path) -> Result<bool, WorkareaError>,
    ) -> Result<Option<String>, WorkareaError> {
        let dir = self.retained_root();
        private_directory(dir).map_err(|error| WorkareaError::io("create", dir, error))?;
        let _alone = self.registering();
        let mut draft = metadata.draft();
        draft.id = self.unused(&draft.id)?;
        let note = self.note_of(&draft.id);
        let json =
            serde_json::to_vec_pretty(&draft).map_err(|error| WorkareaError::io("write", &note, error.into()))?;
        if let Err(error) = replace(&note, &json) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(session_id = draft.session_id, error, "a retained workarea has no note beside it");
        }
        let moved = move_to(&dir.join(&draft.id));
        if !moved.as_ref().is_ok_and(|moved| *moved) {
            // It means nothing without the workarea; the next start would remove it.
            let _ = std::fs::remove_file(&note);
        }
        Ok(moved?.then_some(draft.id))
    }

    /// Makes the archive of a retained workarea and deletes the workarea. When there is an archive of it already, as after
    /// a crash between the two, that is the answer. Blocks for as long as copying takes.
    ///
    /// # Errors
    /// [`ArchiveError`]; the workarea is kept, and [`settle_all`](Self::settle_all) tries again.
    pub fn settle(&self, id: &str) -> Result<ArchiveManifest, ArchiveError> {
        let name = file_name(id)?;
        let _alone = self.settling(id)?;
        let path = self.retained_root().join(id);
        let found = Tree::open(self.retained_root()).and_then(|dir| dir.child(&name));
        found.map_err(|_gone| ArchiveError::NotFound { id: id.to_owned() })?;
        let draft = draft::read(self.retained_root(), id);
        let mention = self.mention("archive", &draft.session_id, None);
        let archived = match self.made_before(&draft) {
            Some(made) => Ok(made),
            None => create_from(&path, self.root(), draft, &mention.running.progress),
        };
        match &archived {
            Ok(_) => self.drop_retained(&path)?,
            Err(error) => self.note_failure(id, error),
        }
        archived
    }

    /// Archives what is retained, but for what has failed and may not succeed yet; `now` is what that goes by. Blocks for
    /// as long as copying takes.
    pub fn settle_all(&self, now: Instant) {
        for id in self.retained_ids().unwrap_or_default() {
            if !self.failures().is_due(&id, self.root(), now) || self.has_failed_for_good(&id) {
                continue;
            }
            match self.settle(&id) {
                Ok(made) => {
                    tracing::info!(
                        event = "workarea-archived",
                        session_id = made.session_id,
                        archive = made.id,
                        "workarea archived"
                    );
                }
                // Somebody else is at it, or was.
                Err(ArchiveError::InUse { .. } | ArchiveError::NotFound { .. }) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(
                        event = "workarea-retained",
                        workarea_id = id,
                        error,
                        "a workarea could not be archived and is kept"
                    );
                }
            }
        }
    }

    /// Deletes a retained workarea without archiving it; how many bytes it had.
    pub(crate) fn remove_retained(&self, id: &str, dry_run: bool) -> Result<u64, ArchiveError> {
        self.get_retained(id)?;
        let path = self.retained_root().join(id);
        let size = scratch::bytes_below(&path);
        if dry_run {
            return Ok(size);
        }
        let _alone = self.settling(id)?;
        self.drop_retained(&path).map(|()| size)
    }

    /// Removes notes about workareas that are gone.
    pub(crate) fn forget_settled(&self) {
        let _alone = self.registering();
        for entry in std::fs::read_dir(self.retained_root()).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_note = path.extension().is_some_and(|extension| extension == "json" || extension == FAILED);
            if is_note && std::fs::symlink_metadata(path.with_extension("")).is_err() {
                // It says nothing without the workarea.
                let _ = std::fs::remove_file(path);
            }
        }
    }

    /// Names of what is retained, sorted.
    pub(crate) fn retained_ids(&self) -> Result<Vec<String>, ArchiveError> {
        let dir = self.retained_root();
        let failed = |error: Errno| ArchiveError::io("list", dir, error.into());
        let tree = match Tree::open(dir) {
            Ok(tree) => tree,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut ids = Vec::new();
        for entry in list(tree.root()).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.kind == FileType::Directory
                && let Ok(name) = entry.name.to_str()
                && file_name(name).is_ok()
            {
                ids.push(name.to_owned());
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// The archive of a workarea that was about to be deleted when somebody was killed.
    fn made_before(&self, draft: &ArchiveManifest) -> Option<ArchiveManifest> {
        let made = self.open(&draft.id).ok()?.manifest().ok()?.manifest;
        // One that was made of the live session in the same second is another.
        (made.session_id == draft.session_id && made.disposition != "live").then_some(made)
    }

    fn drop_retained(&self, path: &Path) -> Result<(), ArchiveError> {
        scratch::remove(path).map_err(|error| ArchiveError::io("delete", path, error))?;
        let id = path.file_name().unwrap_or_default().to_string_lossy();
        // It says nothing without the workarea; the next start would remove it.
        let _ = std::fs::remove_file(self.note_of(&id));
        let _ = std::fs::remove_file(self.failed_of(&id));
        self.failures().forget(&id);
        Ok(())
    }

    /// The first of the names that neither an archive nor a retained workarea has.
    fn unused(&self, first: &str) -> Result<String, WorkareaError> {
        let taken =
            |id: &str| [self.root(), self.retained_root()].iter().any(|dir| dir.join(id).symlink_metadata().is_ok());
        let numbered = (2..=MAX_SAME).map(|number| format!("{first}-{number}"));
        let free = std::iter::once(first.to_owned()).chain(numbered).find(|id| !taken(id));
        let exhausted =
            || WorkareaError::io("retain", &self.retained_root().join(first), io::ErrorKind::AlreadyExists.into());
        free.ok_or_else(exhausted)
    }

    fn note_of(&self, id: &str) -> PathBuf {
        self.retained_root().join(format!("{id}.json"))
    }

    fn failed_of(&self, id: &str) -> PathBuf {
        self.retained_root().join(format!("{id}.{FAILED}"))
    }
}
