//! Workareas as operators see and use them: live ones, restored ones, archives.

use crate::config::Workarea;
use crate::handle::DaemonHandle;
use crate::host::Host;
use jiff::Timestamp;
use rensei_proto::control::{
    PruneRequest, PruneResponse, RestoreRequest, SessionHandle, WorkareaDetail, WorkareaKind, WorkareaList,
    WorkareaStatus, WorkareaSummary,
};
use rensei_proto::{SessionId, error_chain};
use rensei_workarea::{ArchiveError, Archives, RestoreContext, Retention, blocking};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time between two looks for archives that are too old.
const RETENTION_PAUSE: Duration = Duration::from_secs(300);

impl DaemonHandle {
    /// Live, restored and archived workareas, and those that are to be archived.
    ///
    /// # Errors
    /// When the archives cannot be read.
    pub async fn workareas(&self) -> Result<WorkareaList, ArchiveError> {
        let mut active: Vec<WorkareaSummary> = self.live_sessions().iter().map(|live| self.live_row(live)).collect();
        active.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let archives = self.archives();
        blocking(move || {
            active.extend(archives.restored()?);
            active.extend(archives.retained()?);
            Ok(WorkareaList { active, archived: archives.list()?, in_progress: archives.in_progress() })
        })
        .await
    }

    /// One workarea: of a live session, restored, archived, or to be archived.
    ///
    /// # Errors
    /// [`ArchiveError`] when it is none of these, or an archive that cannot be read.
    pub async fn workarea(&self, id: &str) -> Result<WorkareaDetail, ArchiveError> {
        if let Some(live) = self.live_sessions().iter().find(|live| live.session_id.as_str() == id) {
            let notes = self.session_view(&live.session_id).map(|view| view.notes).unwrap_or_default();
            return Ok(WorkareaDetail { notes, ..live_detail(self.live_row(live)) });
        }
        let (archives, id) = (self.archives(), id.to_owned());
        blocking(move || {
            let is_missing = |found: &Result<_, _>| matches!(found, Err(ArchiveError::NotFound { .. }));
            let places = [Archives::get_restored, Archives::get];
            let found = places.into_iter().map(|get| get(&archives, &id)).find(|found| !is_missing(found));
            found.unwrap_or_else(|| archives.get_retained(&id))
        })
        .await
    }

    /// Makes a workarea from an archive.
    ///
    /// # Errors
    /// [`ArchiveError`], in the order of [`Archives::restore`].
    pub async fn restore_workarea(&self, id: &str, request: RestoreRequest) -> Result<WorkareaDetail, ArchiveError> {
        let (archives, host, id) = (self.archives(), Arc::clone(&self.host), id.to_owned());
        let restored = blocking(move || {
            let context = RestoreContext {
                saturated: &|| archives.saturated(),
                is_live: &|session| SessionId::parse(session).is_ok_and(|session| host.sessions.is_live(&session)),
                now: Timestamp::now(),
            };
            archives.restore(&id, &request, &context)
        })
        .await?;
        tracing::info!(event = "workarea-restored", workarea_id = restored.id, "workarea restored");
        Ok(restored)
    }

    /// Archives the workarea of a live session as it is now; the session goes on. Or else that of an ended session that is
    /// still to be archived, named by session or by its own id.
    ///
    /// # Errors
    /// [`ArchiveError::NotFound`] when there is neither.
    pub async fn archive_workarea(&self, id: &SessionId, reason: String) -> Result<WorkareaDetail, ArchiveError> {
        let manifest = self.host.sessions.archive_now(id, reason).await?;
        let archives = self.archives();
        blocking(move || archives.get(&manifest.id)).await
    }

    /// Removes archives and restored workareas: those that are named, else those that the limits do not keep.
    ///
    /// # Errors
    /// When the archives cannot be read.
    pub async fn prune_workareas(&self, request: PruneRequest) -> Result<PruneResponse, ArchiveError> {
        let archives = self.archives();
        let response = blocking(move || {
            if !request.ids.is_empty() {
                return Ok(archives.remove(&request.ids, request.dry_run));
            }
            let retention = Retention {
                max_age: request.older_than_seconds.map(Duration::from_secs),
                max_count: request.keep,
                max_bytes: request.max_bytes,
            };
            archives.prune(&retention, Timestamp::now(), request.dry_run)
        })
        .await?;
        if !response.dry_run && !response.removed.is_empty() {
            tracing::info!(event = "workareas-pruned", count = response.removed.len(), "workareas removed");
        }
        Ok(response)
    }

    /// Archives of this host.
    #[must_use]
    pub fn archives(&self) -> Archives {
        self.host.sessions.archives().clone()
    }

    /// Entries of a difference above which it is answered line by line.
    #[must_use]
    pub fn diff_streaming_threshold(&self) -> usize {
        usize::try_from(self.host.config.workarea.diff_streaming_threshold).unwrap_or(usize::MAX)
    }

    fn live_row(&self, live: &SessionHandle) -> WorkareaSummary {
        let view = self.session_view(&live.session_id);
        let known = view.map(|view| (view.repository, view.r#ref, view.project_id));
        let (repository, r#ref, project_id) = known.unwrap_or_default();
        WorkareaSummary {
            id: live.session_id.to_string(),
            session_id: live.session_id.to_string(),
            project_id,
            repository,
            r#ref,
            acquired_at: Some(live.accepted_at.clone()),
            ..WorkareaSummary::default()
        }
    }
}

fn live_detail(row: WorkareaSummary) -> WorkareaDetail {
    WorkareaDetail {
        id: row.id,
        kind: WorkareaKind::Active,
        status: WorkareaStatus::Ready,
        session_id: row.session_id,
        project_id: row.project_id,
        repository: row.repository,
        r#ref: row.r#ref,
        acquired_at: row.acquired_at,
        ..WorkareaDetail::default()
    }
}

/// Archives what could not be archived before, and removes archives that the configuration does not keep, until dropped.
pub(crate) async fn keep_archives_bounded(host: Arc<Host>) {
    loop {
        let (archives, retention) = (host.sessions.archives().clone(), retention(&host.config.workarea));
        let kept = blocking(move || {
            archives.settle_all(Instant::now());
            archives.prune(&retention, Timestamp::now(), false)
        });
        if let Err(error) = kept.await {
            tracing::warn!(error = error_chain(&error), "old archives could not be removed");
        }
        tokio::time::sleep(RETENTION_PAUSE).await;
    }
}

/// Which archives the configuration keeps.
fn retention(configured: &Workarea) -> Retention {
    let limit = |number: u32| (number > 0).then_some(number);
    Retention {
        max_age: limit(configured.archive_max_age_days).map(|days| Duration::from_secs(u64::from(days) * 24 * 3600)),
        max_count: limit(configured.archive_max_count).and_then(|count| usize::try_from(count).ok()),
        max_bytes: limit(configured.archive_max_disk_gb).map(|gibibytes| u64::from(gibibytes) << 30),
    }
}
