//! Sessions as operators create, read and cancel them.

use super::rows::{self, select_session, session, status};
use super::{SqliteStorage, StorageError};
use crate::storage::{ACTIVITY_PAGE, NewSession, Scope, SessionFilter, SessionRow, score};
use crate::wake::{Offer, Place};
use rensei_proto::SessionStatus;
use rensei_proto::operator::{ActivityPage, RecordedActivity, Session};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Error, Row as _};

pub(super) async fn enqueue(db: &SqliteStorage, mut new: NewSession) -> Result<Session, StorageError> {
    let now = db.now();
    new.item.queued_at = now;
    let at = Place { org: new.scope.org.clone(), project: new.project.id.clone(), runner: new.runner };
    let answer = as_created(&new, now);
    db.write("enqueue", move |connection| Box::pin(insert(connection, new, now))).await?;
    db.wake.work(Offer::to_all(at));
    Ok(answer)
}

async fn insert(connection: &mut SqliteConnection, new: NewSession, now: i64) -> Result<(), Error> {
    let item = serde_json::to_string(&new.item).map_err(|error| Error::Encode(error.into()))?;
    let size = i64::try_from(item.len()).unwrap_or(i64::MAX);
    sqlx::query(
        "INSERT INTO sessions (id, org_id, project_id, runner, status, score, priority, repository, ref, title,
                               provider, created_at, updated_at, item_bytes)
         VALUES (?1, ?2, ?3, ?4, 'pending', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?13);
         INSERT INTO session_items (seq, item) VALUES (last_insert_rowid(), ?12)",
    )
    .bind(new.item.session_id.as_str())
    .bind(&new.scope.org)
    .bind(&new.project.id)
    .bind(new.runner.as_str())
    .bind(score(new.item.priority, now))
    .bind(new.item.priority)
    .bind(&new.item.repository)
    .bind(&new.item.r#ref)
    .bind(&new.item.title)
    .bind(&new.provider)
    .bind(now)
    .bind(item)
    .bind(size)
    .execute(connection)
    .await?;
    Ok(())
}

/// The session as the row that is about to be written will read.
fn as_created(new: &NewSession, now: i64) -> Session {
    Session {
        session_id: new.item.session_id.to_string(),
        project: new.project.slug.clone(),
        status: SessionStatus::Pending,
        repository: new.item.repository.clone(),
        r#ref: new.item.r#ref.clone(),
        title: new.item.title.clone(),
        provider: new.provider.clone(),
        priority: new.item.priority,
        attempt: 0,
        pending_reason: None,
        pending_detail: None,
        worker_id: None,
        hostname: None,
        worktree_path: None,
        error: None,
        summary: None,
        result: None,
        stop_requested: false,
        created_at: now,
        updated_at: now,
        claimed_at: None,
        started_at: None,
        ended_at: None,
    }
}

pub(super) async fn read(db: &SqliteStorage, scope: &Scope, id: &str) -> Result<Option<SessionRow>, StorageError> {
    let row = sqlx::query(select_session!("WHERE s.id = ?1 AND s.org_id = ?2 AND (?3 IS NULL OR s.project_id = ?3)"))
        .bind(id)
        .bind(&scope.org)
        .bind(&scope.project)
        .fetch_optional(&db.readers)
        .await;
    row.and_then(|row| row.as_ref().map(session).transpose()).map_err(StorageError::of("session"))
}

pub(super) async fn list(
    db: &SqliteStorage,
    scope: &Scope,
    filter: SessionFilter,
) -> Result<Vec<SessionRow>, StorageError> {
    let rows = sqlx::query(select_session!(
        "WHERE s.org_id = ?1 AND (?2 IS NULL OR s.project_id = ?2) AND (?3 IS NULL OR p.slug = ?3 OR p.id = ?3)
           AND (?4 IS NULL OR s.status = ?4) ORDER BY s.seq DESC LIMIT ?5"
    ))
    .bind(&scope.org)
    .bind(&scope.project)
    .bind(&filter.project)
    .bind(filter.status.map(SessionStatus::as_str))
    .bind(filter.limit)
    .fetch_all(&db.readers)
    .await;
    rows.and_then(|rows| rows.iter().map(session).collect()).map_err(StorageError::of("sessions"))
}

/// The status is read before the activities: nothing is added to a session that has ended, so a page that comes with
/// a terminal status leaves nothing out.
pub(super) async fn activities(
    db: &SqliteStorage,
    scope: &Scope,
    id: &str,
    after: i64,
) -> Result<Option<ActivityPage>, StorageError> {
    read_activities(db, scope, id, after).await.map_err(StorageError::of("activities"))
}

async fn read_activities(
    db: &SqliteStorage,
    scope: &Scope,
    id: &str,
    after: i64,
) -> Result<Option<ActivityPage>, Error> {
    let found = sqlx::query(
        "SELECT seq, status FROM sessions WHERE id = ?1 AND org_id = ?2 AND (?3 IS NULL OR project_id = ?3)",
    )
    .bind(id)
    .bind(&scope.org)
    .bind(&scope.project)
    .fetch_optional(&db.readers)
    .await?;
    let Some(found) = found else { return Ok(None) };
    let session_status = status(&found)?;
    let rows = sqlx::query(
        "SELECT id, recorded_at, activity FROM activities WHERE session_seq = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    )
    .bind(found.try_get::<i64, _>("seq")?)
    .bind(after)
    .bind(ACTIVITY_PAGE)
    .fetch_all(&db.readers)
    .await?;
    let activities: Vec<_> = rows.iter().map(recorded).collect::<Result<_, _>>()?;
    let cursor = activities.last().map_or(after, |last| last.id);
    Ok(Some(ActivityPage { activities, cursor, session_status }))
}

fn recorded(row: &SqliteRow) -> Result<RecordedActivity, Error> {
    let activity = serde_json::from_str(row.try_get("activity")?).map_err(|error| Error::Decode(error.into()))?;
    Ok(RecordedActivity { id: row.try_get("id")?, recorded_at: row.try_get("recorded_at")?, activity })
}

pub(super) async fn cancel(
    db: &SqliteStorage,
    scope: &Scope,
    id: &str,
    reason: Option<String>,
) -> Result<bool, StorageError> {
    let (now, scope, session) = (db.now(), scope.clone(), id.to_owned());
    let known = db
        .write_one("cancel", move |connection| Box::pin(request_stop(connection, scope, session, reason, now)))
        .await?;
    db.wake.session(id);
    Ok(known)
}

/// Asks for the end; a session that nobody holds has ended with that. Asking again changes nothing.
async fn request_stop(
    connection: &mut SqliteConnection,
    scope: Scope,
    id: String,
    reason: Option<String>,
    now: i64,
) -> Result<bool, Error> {
    let known: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM sessions WHERE id = ?1 AND org_id = ?2 AND (?3 IS NULL OR project_id = ?3))",
    )
    .bind(&id)
    .bind(&scope.org)
    .bind(&scope.project)
    .fetch_one(&mut *connection)
    .await?;
    if known {
        let row = sqlx::query(
            "UPDATE sessions SET stop_requested = 1, stop_reason = ?2, stop_requested_at = ?3,
                    updated_at = max(?3, updated_at + 1),
                    ended_at = CASE status WHEN 'pending' THEN ?3 END,
                    status = CASE status WHEN 'pending' THEN 'stopped' ELSE status END
             WHERE id = ?1 AND stop_requested = 0 AND status IN ('pending', 'claimed', 'running', 'finalizing')
             RETURNING status",
        )
        .bind(&id)
        .bind(reason)
        .bind(now)
        .fetch_optional(connection)
        .await?;
        if let Some(row) = row {
            tracing::info!(event = "stop_requested", session_id = %id, status = %rows::status(&row)?);
        }
    }
    Ok(known)
}

pub(super) async fn depth(db: &SqliteStorage, scope: &Scope) -> Result<u64, StorageError> {
    let count: Result<i64, Error> = sqlx::query_scalar(
        "SELECT count(*) FROM sessions WHERE org_id = ?1 AND (?2 IS NULL OR project_id = ?2) AND status = 'pending'",
    )
    .bind(&scope.org)
    .bind(&scope.project)
    .fetch_one(&db.readers)
    .await;
    count.map(|count| u64::try_from(count).unwrap_or(0)).map_err(StorageError::of("depth"))
}
