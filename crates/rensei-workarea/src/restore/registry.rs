//! What has been restored and is still there: a directory with a note beside it.

use super::note::{self, Note};
use crate::archive::{ArchiveError, Archives, file_name};
use crate::scratch;
use crate::tree::{Tree, list};
use rensei_proto::control::{WorkareaDetail, WorkareaKind, WorkareaStatus, WorkareaSummary};
use rustix::io::Errno;

impl Archives {
    /// Restored workareas that are still there, by id.
    ///
    /// # Errors
    /// When their directory cannot be read. That there is none is not an error.
    pub fn restored(&self) -> Result<Vec<WorkareaSummary>, ArchiveError> {
        let mut rows: Vec<WorkareaSummary> = self.notes()?.into_iter().map(|(id, note)| row(id, note)).collect();
        rows.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(rows)
    }

    /// One restored workarea.
    ///
    /// # Errors
    /// [`ArchiveError::NotFound`] when there is none of that id.
    pub fn get_restored(&self, id: &str) -> Result<WorkareaDetail, ArchiveError> {
        let not_found = || ArchiveError::NotFound { id: id.to_owned() };
        let name = file_name(id)?;
        let root = self.open_restored()?.ok_or_else(not_found)?;
        root.child(&name).map_err(|_gone| not_found())?;
        let note = Note::read(&root, id).ok_or_else(not_found)?;
        let manifest = self.open(&note.archive_id).and_then(|archive| archive.manifest()).map(|read| read.verbatim);
        let path = self.restored_root().join(id).display().to_string();
        let known = note.workarea.unwrap_or_default();
        Ok(WorkareaDetail {
            id: id.to_owned(),
            kind: WorkareaKind::Active,
            status: WorkareaStatus::Ready,
            path,
            manifest: manifest.ok(),
            acquired_at: Some(note.restored_at),
            ..known
        })
    }

    /// Whether there is a restored workarea for that session.
    pub(super) fn is_restored_for(&self, session: &str) -> Result<bool, ArchiveError> {
        Ok(self.notes()?.iter().any(|(_, note)| note.into_session_id.as_deref() == Some(session)))
    }

    /// Removes a restored workarea; how many bytes it had.
    pub(crate) fn remove_restored(&self, id: &str, dry_run: bool) -> Result<u64, ArchiveError> {
        self.get_restored(id)?;
        let path = self.restored_root().join(id);
        let size = scratch::bytes_below(&path);
        if dry_run {
            return Ok(size);
        }
        let _alone = self.registering();
        scratch::remove(&path).map_err(|error| ArchiveError::io("delete", &path, error))?;
        forget(&path);
        Ok(size)
    }

    /// Removes notes about workareas that are gone.
    pub(crate) fn forget_gone(&self) {
        let _alone = self.registering();
        let Ok(Some(root)) = self.open_restored() else { return };
        for id in noted_ids(&root).unwrap_or_default() {
            let gone = file_name(&id).is_ok_and(|name| matches!(root.child(&name), Err(Errno::NOENT)));
            if gone && Note::read(&root, &id).is_some_and(|note| note.restore_id == id) {
                forget(&self.restored_root().join(&id));
            }
        }
    }

    /// Notes about workareas that are there.
    fn notes(&self) -> Result<Vec<(String, Note)>, ArchiveError> {
        let Some(root) = self.open_restored()? else { return Ok(Vec::new()) };
        let failed = |error: Errno| ArchiveError::io("list", &self.restored_root(), error.into());
        let ids = noted_ids(&root).map_err(failed)?.into_iter();
        let there = ids.filter(|id| file_name(id).is_ok_and(|name| root.child(&name).is_ok()));
        Ok(there.filter_map(|id| Note::read(&root, &id).map(|note| (id, note))).collect())
    }

    fn open_restored(&self) -> Result<Option<Tree>, ArchiveError> {
        match Tree::open_chosen(&self.restored_root()) {
            Ok(root) => Ok(Some(root)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(ArchiveError::io("open", &self.restored_root(), error.into())),
        }
    }
}

fn noted_ids(root: &Tree) -> Result<Vec<String>, Errno> {
    let mut ids = Vec::new();
    for entry in list(root.root())? {
        if let Some(id) = entry?.name.to_str().ok().and_then(|name| name.strip_suffix(".json")) {
            ids.push(id.to_owned());
        }
    }
    Ok(ids)
}

fn row(id: String, note: Note) -> WorkareaSummary {
    let known = note.workarea.unwrap_or_default();
    WorkareaSummary {
        id,
        kind: WorkareaKind::Active,
        status: WorkareaStatus::Ready,
        provider_id: known.provider_id,
        session_id: known.session_id,
        project_id: known.project_id,
        r#ref: known.r#ref,
        repository: known.repository,
        acquired_at: Some(note.restored_at),
        ..WorkareaSummary::default()
    }
}

/// Removes the note of a workarea that is gone; it says nothing any more.
fn forget(path: &std::path::Path) {
    let _ = std::fs::remove_file(note::path_of(path));
}
