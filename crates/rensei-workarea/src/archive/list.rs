//! Archives as operators see them.

use super::manifest::{ManifestError, Read};
use super::{ArchiveError, Archives, id, read_manifest};
use crate::tree::{Tree, list};
use rensei_proto::control::{WorkareaDetail, WorkareaKind, WorkareaStatus, WorkareaSummary};
use rustix::fs::FileType;
use rustix::io::Errno;

impl Archives {
    /// All archives, by id. One whose manifest cannot be read is among them and says why.
    ///
    /// # Errors
    /// When the directory of the archives cannot be read. That there is none is not an error.
    pub fn list(&self) -> Result<Vec<WorkareaSummary>, ArchiveError> {
        let failed = |error: Errno| ArchiveError::io("list", self.root(), error.into());
        let root = match Tree::open_chosen(self.root()) {
            Ok(root) => root,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut found = Vec::new();
        for entry in list(root.root()).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.kind == FileType::Directory
                && let Ok(name) = entry.name.to_str()
                && id::is_valid(name)
                && let Some(row) = self.row(&root, name)
            {
                found.push(row);
            }
        }
        found.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    /// One archive.
    ///
    /// # Errors
    /// [`ArchiveError::NotFound`] also without a manifest, [`ArchiveError::Corrupted`] when that cannot be read.
    pub fn get(&self, id: &str) -> Result<WorkareaDetail, ArchiveError> {
        let archive = self.open(id)?;
        let read = archive.manifest()?;
        let path = self.root().join(id);
        Ok(WorkareaDetail {
            kind: WorkareaKind::Archived,
            status: WorkareaStatus::Archived,
            path: path.display().to_string(),
            archive_location: self.root().display().to_string(),
            ..detail(id, read)
        })
    }

    fn row(&self, root: &Tree, name: &str) -> Option<WorkareaSummary> {
        let directory = root.child(&id::file_name(name).ok()?);
        let row = WorkareaSummary {
            id: name.to_owned(),
            kind: WorkareaKind::Archived,
            status: WorkareaStatus::Archived,
            ..WorkareaSummary::default()
        };
        let told = |disposition: String| Some(WorkareaSummary { disposition, ..row.clone() });
        let read = match directory.map(|directory| read_manifest(&directory)) {
            Ok(Ok(read)) => read,
            // Removed or replaced since it was listed.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) | Ok(Err(ManifestError::Missing)) => return None,
            Ok(Err(ManifestError::Corrupted { reason })) => return told(format!("corrupted: {reason}")),
            Ok(Err(ManifestError::Unreadable(error))) => return told(format!("unreadable: {error}")),
            Err(error) => return told(format!("unreadable: {error}")),
        };
        let manifest = read.manifest;
        Some(WorkareaSummary {
            created_at: manifest.created().map(|_| manifest.created_at.clone()),
            size_bytes: manifest.size(),
            id: if manifest.id.is_empty() { name.to_owned() } else { manifest.id },
            provider_id: manifest.provider_id,
            session_id: manifest.session_id,
            project_id: manifest.project_id,
            r#ref: manifest.r#ref,
            repository: manifest.repository,
            source_provider: manifest.source_provider,
            disposition: manifest.disposition,
            ..row
        })
    }
}

/// What a manifest says, in the form of the wire.
pub(crate) fn detail(name: &str, read: Read) -> WorkareaDetail {
    let manifest = read.manifest;
    WorkareaDetail {
        id: if manifest.id.is_empty() { name.to_owned() } else { manifest.id },
        provider_id: manifest.provider_id,
        session_id: manifest.session_id,
        project_id: manifest.project_id,
        r#ref: manifest.r#ref,
        repository: manifest.repository,
        toolchain: manifest.toolchain,
        manifest: Some(read.verbatim),
        ..WorkareaDetail::default()
    }
}
