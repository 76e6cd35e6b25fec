//! Rows as values.

use crate::runner::Runner;
use crate::storage::release::HeldRow;
use crate::storage::{HeldBy, SessionRow};
use crate::wake::Place;
use rensei_proto::SessionStatus;
use rensei_proto::operator::Session;
use sqlx::Error;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

/// `SELECT` of everything that [`session`] reads; `$tail` goes on from the `FROM` clause.
macro_rules! select_session {
    ($tail:literal) => {
        concat!(
            "SELECT s.*, p.slug AS project_slug, w.hostname AS hostname ",
            "FROM sessions s JOIN projects p ON p.id = s.project_id LEFT JOIN workers w ON w.id = s.worker_id ",
            $tail
        )
    };
}
pub(super) use select_session;

fn damaged(what: &str, value: &str) -> Error {
    Error::Decode(format!("stored {what} `{value}` is unknown to this version").into())
}

/// Status column.
pub(super) fn status(row: &SqliteRow) -> Result<SessionStatus, Error> {
    let word: &str = row.try_get("status")?;
    SessionStatus::parse(word).ok_or_else(|| damaged("session status", word))
}

/// A count or number that is never negative.
pub(super) fn unsigned(row: &SqliteRow, column: &str) -> Result<u64, Error> {
    Ok(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or(0))
}

/// Place columns: `org_id`, `project_id`, `runner`.
pub(super) fn place(row: &SqliteRow) -> Result<Place, Error> {
    Ok(Place {
        org: row.try_get("org_id")?,
        project: row.try_get("project_id")?,
        runner: Runner::from_word(row.try_get("runner")?),
    })
}

/// A session that somebody holds.
pub(super) fn held(row: &SqliteRow) -> Result<HeldBy, Error> {
    Ok(HeldBy {
        seq: row.try_get("seq")?,
        id: row.try_get("id")?,
        attempt: unsigned(row, "attempt")?,
        worker: row.try_get::<Option<String>, _>("holder")?.unwrap_or_default(),
        place: place(row)?,
        row: HeldRow {
            status: status(row)?,
            accepted: row.try_get::<Option<i64>, _>("accept_until")?.is_none(),
            stop_requested: row.try_get("stop_requested")?,
            lease_losses: row.try_get("lease_losses")?,
            unaccepted: row.try_get("unaccepted")?,
        },
    })
}

/// A row of [`select_session!`].
pub(super) fn session(row: &SqliteRow) -> Result<SessionRow, Error> {
    let result: Option<&str> = row.try_get("result")?;
    let requeue_reason: Option<String> = row.try_get("requeue_reason")?;
    let requeue_detail: Option<String> = row.try_get("requeue_detail")?;
    let status = status(row)?;
    Ok(SessionRow {
        project_id: row.try_get("project_id")?,
        runner: Runner::from_word(row.try_get("runner")?),
        session: Session {
            session_id: row.try_get("id")?,
            project: row.try_get("project_slug")?,
            status,
            repository: row.try_get("repository")?,
            r#ref: row.try_get("ref")?,
            title: row.try_get("title")?,
            provider: row.try_get("provider")?,
            priority: row.try_get("priority")?,
            attempt: unsigned(row, "attempt")?,
            pending_reason: requeue_reason.clone(),
            pending_detail: requeue_detail.filter(|_| status == SessionStatus::Pending),
            worker_id: row.try_get("worker_id")?,
            hostname: row.try_get::<Option<String>, _>("hostname")?.filter(|name| !name.is_empty()),
            worktree_path: row.try_get("worktree_path")?,
            error: row.try_get("error")?,
            summary: row.try_get("summary")?,
            result: result.and_then(|json| serde_json::from_str(json).ok()),
            stop_requested: row.try_get("stop_requested")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            claimed_at: row.try_get("claimed_at")?,
            started_at: row.try_get("started_at")?,
            ended_at: row.try_get("ended_at")?,
        },
        requeue_reason,
    })
}
