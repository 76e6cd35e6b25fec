//! Routes of workareas: `/api/daemon/workareas`, and what archives and removes them.

use super::message::{Answer, OptionalBody, PathOf, SessionPath};
use super::refuse::with_status;
use super::reply::{Refusal, finish};
use super::routes::{Table, says};
use axum::extract::State;
use rensei_daemon_core::{ArchiveError, DaemonHandle};
use rensei_proto::control::{
    ArchiveRequest, PruneRequest, PruneResponse, RestoreRequest, WorkareaEnvelope, WorkareaList,
};
use rensei_proto::{ErrorBody, error_chain};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) fn routes<T: Table>(table: T) -> T {
    let listed =
        says("workareas", "workareas", "Live, restored and archived workareas, and those that are to be archived.");
    let shown =
        says("workareaDetail", "workareas", "One workarea: of a live session, restored, archived, or to be archived.");
    let restored = says("restoreWorkarea", "workareas", "Makes a workarea from an archive.");
    let archived = says(
        "archiveWorkarea",
        "workareas",
        "Archives the workarea of a live session as it is now, or one that could not be archived before.",
    );
    let pruned = says("pruneWorkareas", "workareas", "Removes archives by age, number and size, or what is named.");
    let table = table
        .get("/api/daemon/workareas", list, listed)
        .get_also("/api/daemon/workareas/", list)
        .get("/api/daemon/workareas/{id}", show, shown)
        .post("/api/daemon/workareas/{id}/restore", restore, restored)
        .post("/api/daemon/sessions/{id}/archive", archive, archived)
        .post("/api/daemon/archives/prune", prune, pruned);
    super::workarea_diff::routes(table)
}

#[derive(Debug, Deserialize, JsonSchema)]
struct WorkareaPath {
    /// The workarea.
    id: String,
}

async fn list(State(daemon): State<DaemonHandle>) -> Result<Answer<WorkareaList>, Refusal> {
    daemon.workareas().await.map(Answer).map_err(|error| refused("list workareas", &error))
}

async fn show(
    State(daemon): State<DaemonHandle>,
    PathOf(WorkareaPath { id }): PathOf<WorkareaPath>,
) -> Result<Answer<WorkareaEnvelope>, Refusal> {
    let found = daemon.workarea(&id).await;
    found.map(|workarea| Answer(WorkareaEnvelope { workarea })).map_err(|error| refused("inspect workarea", &error))
}

async fn restore(
    State(daemon): State<DaemonHandle>,
    PathOf(WorkareaPath { id }): PathOf<WorkareaPath>,
    OptionalBody(request): OptionalBody<RestoreRequest>,
) -> Result<Answer<WorkareaEnvelope, 201>, Refusal> {
    let restored = finish(async move { daemon.restore_workarea(&id, request).await }).await?;
    restored.map(|workarea| Answer(WorkareaEnvelope { workarea })).map_err(|error| refused("restore failed", &error))
}

async fn archive(
    State(daemon): State<DaemonHandle>,
    PathOf(SessionPath { id }): PathOf<SessionPath>,
    OptionalBody(request): OptionalBody<ArchiveRequest>,
) -> Result<Answer<WorkareaEnvelope, 201>, Refusal> {
    let session = id.clone();
    let reason = request.reason.unwrap_or_default();
    let archived = finish(async move { daemon.archive_workarea(&session, reason).await }).await?;
    archived
        .map(|workarea| Answer(WorkareaEnvelope { workarea }))
        .map_err(|error| refused("archive failed", &error).of_session(&id))
}

async fn prune(
    State(daemon): State<DaemonHandle>,
    OptionalBody(request): OptionalBody<PruneRequest>,
) -> Result<Answer<PruneResponse>, Refusal> {
    let pruned = finish(async move { daemon.prune_workareas(request).await }).await?;
    pruned.map(Answer).map_err(|error| refused("prune failed", &error))
}

/// The words in which the wire says why: `operation` is named when it is the host that failed.
pub(super) fn refused(operation: &str, error: &ArchiveError) -> Refusal {
    let text = match error {
        ArchiveError::Corrupted { reason, .. } => format!("archive corrupted: {reason}"),
        ArchiveError::InvalidSession { .. } => error_chain(error),
        ArchiveError::Io { .. } | ArchiveError::DiskFull { .. } => format!("{operation}: {}", error_chain(error)),
        other => other.to_string(),
    };
    let body = ErrorBody { hint: error.hint().map(str::to_owned), ..ErrorBody::new(text) };
    let refusal = with_status(error.http_status(), body);
    match error {
        ArchiveError::Saturated { retry_after } => {
            refusal.retry_after(u32::try_from(retry_after.as_secs()).unwrap_or(u32::MAX))
        }
        _ => refusal,
    }
}
