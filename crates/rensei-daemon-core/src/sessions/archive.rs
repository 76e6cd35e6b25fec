//! Archives of the workareas of live sessions.

use super::{Sessions, workarea};
use rensei_proto::SessionId;
use rensei_workarea::{ArchiveError, ArchiveManifest, ArchiveMetadata, Archives};

impl Sessions {
    pub(crate) const fn archives(&self) -> &Archives {
        &self.parts.archives
    }

    /// Archives the workarea of a live session as it is now.
    pub(crate) async fn archive_live(&self, id: &SessionId, reason: String) -> Result<ArchiveManifest, ArchiveError> {
        let path = self.parts.workareas.path(id).filter(|path| path.is_dir());
        let view = self.view(id).filter(|_| self.is_live(id));
        let (Some(path), Some(view)) = (path, view) else {
            return Err(ArchiveError::NotFound { id: id.to_string() });
        };
        let metadata = ArchiveMetadata {
            disposition: "live".to_owned(),
            reason: reason.chars().take(2000).collect(),
            ..workarea::metadata(view, self.parts.workareas.held(id))
        };
        let archives = self.parts.archives.clone();
        let manifest = blocking(move || archives.create(&path, &metadata)).await?;
        tracing::info!(event = "workarea-archived", session_id = %id, archive = manifest.id, "workarea archived");
        Ok(manifest)
    }
}

/// Runs something that waits for the disk where it may.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down and will not poll us again.
            Err(_) => std::future::pending().await,
        },
    }
}
