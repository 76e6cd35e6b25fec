//! Retained workareas as operators see them.

use super::draft;
use crate::archive::{ArchiveError, ArchiveManifest, Archives, file_name};
use crate::tree::Tree;
use rensei_proto::control::{WorkareaDetail, WorkareaKind, WorkareaStatus, WorkareaSummary};

impl Archives {
    /// Workareas that are to be archived, by id: `releasing`, or `invalid` when that has failed.
    ///
    /// # Errors
    /// When their directory cannot be read. That there is none is not an error.
    pub fn retained(&self) -> Result<Vec<WorkareaSummary>, ArchiveError> {
        let ids = self.retained_ids()?;
        Ok(ids.into_iter().map(|id| self.retained_row(draft::read(self.retained_root(), &id))).collect())
    }

    /// One of them.
    ///
    /// # Errors
    /// [`ArchiveError::NotFound`] when there is none of that id.
    pub fn get_retained(&self, id: &str) -> Result<WorkareaDetail, ArchiveError> {
        let name = file_name(id)?;
        let found = Tree::open(self.retained_root()).and_then(|dir| dir.child(&name));
        found.map_err(|_gone| ArchiveError::NotFound { id: id.to_owned() })?;
        let row = self.retained_row(draft::read(self.retained_root(), id));
        let notes = self.why_not_archived(id);
        Ok(WorkareaDetail {
            id: row.id,
            kind: row.kind,
            provider_id: row.provider_id,
            status: row.status,
            session_id: row.session_id,
            project_id: row.project_id,
            path: self.retained_root().join(id).display().to_string(),
            r#ref: row.r#ref,
            repository: row.repository,
            released_at: row.released_at,
            notes: notes.into_iter().collect(),
            ..WorkareaDetail::default()
        })
    }

    /// Id of the newest retained workarea of a session.
    #[must_use]
    pub fn retained_of(&self, session: &str) -> Option<String> {
        let rows = self.retained().unwrap_or_default().into_iter();
        rows.filter(|row| row.session_id == session || row.id == session)
            .max_by(|a, b| a.released_at.cmp(&b.released_at))
            .map(|row| row.id)
    }

    fn why_not_archived(&self, id: &str) -> Option<String> {
        let reason = self.failures().reason(id).map(str::to_owned);
        reason.or_else(|| self.failed_for_good(id)).map(|reason| format!("not archived: {reason}"))
    }

    fn retained_row(&self, draft: ArchiveManifest) -> WorkareaSummary {
        let failed = self.why_not_archived(&draft.id);
        WorkareaSummary {
            kind: WorkareaKind::Active,
            status: if failed.is_some() { WorkareaStatus::Invalid } else { WorkareaStatus::Releasing },
            disposition: failed.unwrap_or(draft.disposition),
            id: draft.id,
            provider_id: draft.provider_id,
            session_id: draft.session_id,
            project_id: draft.project_id,
            r#ref: draft.r#ref,
            repository: draft.repository,
            released_at: Some(draft.created_at),
            ..WorkareaSummary::default()
        }
    }
}
