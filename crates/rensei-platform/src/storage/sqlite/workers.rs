//! Registered hosts.

use super::leases::{self, Ended};
use super::rows::{held, place};
use super::{SqliteStorage, StorageError};
use crate::runner::Runner;
use crate::storage::release::Cause;
use crate::storage::{Beat, BeatAnswer, Kill, NewWorker, Scope, Worker};
use rensei_proto::platform::HeldSession;
use serde_json::json;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Error, Row as _};

/// Pending sessions are counted up to this for a heartbeat's answer.
const COUNT_LIMIT: i64 = 1_000;

pub(super) async fn register(db: &SqliteStorage, worker: NewWorker) -> Result<String, StorageError> {
    let now = db.now();
    let id = db.write_one("register", move |connection| Box::pin(upsert(connection, worker, now))).await?;
    db.wake.worker(&id);
    Ok(id)
}

/// A machine that registers again is the same worker, so that what it holds stays its own; whatever it said of
/// draining was of an earlier process.
async fn upsert(connection: &mut SqliteConnection, worker: NewWorker, now: i64) -> Result<String, Error> {
    sqlx::query_scalar(
        "INSERT INTO workers (id, org_id, project_id, registration_id, machine_id, hostname, version, runner,
                              capacity, provides, registered_at, last_beat_at, allowlist)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12)
         ON CONFLICT (org_id, ifnull(project_id, ''), machine_id) WHERE machine_id <> '' DO UPDATE
         SET registration_id = excluded.registration_id, hostname = excluded.hostname, version = excluded.version,
             runner = excluded.runner, capacity = excluded.capacity, provides = excluded.provides,
             draining = 0, foreign_count = 0, allowlist = coalesce(excluded.allowlist, allowlist), registered_at = excluded.registered_at, last_beat_at = excluded.last_beat_at
         RETURNING id",
    )
    .bind(&worker.id)
    .bind(&worker.scope.org)
    .bind(&worker.scope.project)
    .bind(&worker.registration_id)
    .bind(&worker.machine_id)
    .bind(&worker.hostname)
    .bind(&worker.version)
    .bind(worker.runner.as_str())
    .bind(worker.capacity)
    .bind(&worker.provides)
    .bind(now)
    .bind(&worker.allowlist)
    .fetch_one(connection)
    .await
}

pub(super) async fn list(db: &SqliteStorage, scope: &Scope, id: Option<&str>) -> Result<Vec<Worker>, StorageError> {
    let rows = sqlx::query(
        "SELECT w.*, (SELECT json_group_array(id) FROM (SELECT id FROM sessions WHERE holder = w.id ORDER BY seq)) AS held
         FROM workers w WHERE org_id = ?1 AND (?2 IS NULL OR project_id = ?2) AND (?3 IS NULL OR id = ?3)
         ORDER BY registered_at, id",
    )
    .bind(&scope.org)
    .bind(&scope.project)
    .bind(id)
    .fetch_all(&db.readers)
    .await;
    let online_since = db.now() - db.timing.offline;
    rows.and_then(|rows| rows.iter().map(|row| read(row, online_since)).collect()).map_err(StorageError::of("workers"))
}

fn read(row: &SqliteRow, online_since: i64) -> Result<Worker, Error> {
    let last_beat_at: i64 = row.try_get("last_beat_at")?;
    let sessions = serde_json::from_str(row.try_get("held")?).map_err(|error| Error::Decode(error.into()))?;
    Ok(Worker {
        id: row.try_get("id")?,
        project: row.try_get("project_id")?,
        registration_id: row.try_get("registration_id")?,
        hostname: row.try_get("hostname")?,
        version: row.try_get("version")?,
        runner: Runner::from_word(row.try_get("runner")?),
        capacity: row.try_get("capacity")?,
        draining: row.try_get("draining")?,
        online: last_beat_at >= online_since,
        registered_at: row.try_get("registered_at")?,
        last_beat_at,
        foreign: row.try_get("foreign_count")?,
        sessions,
    })
}

pub(super) async fn beat(db: &SqliteStorage, worker: &str, beat: Beat) -> Result<Option<BeatAnswer>, StorageError> {
    let (now, lease) = (db.now(), db.timing.lease);
    let id = worker.to_owned();
    let done = db
        .write("beat", move |connection| {
            Box::pin(async move { take_beat(connection, &id, (beat, now, now + lease)).await })
        })
        .await?;
    let Some((answer, released)) = done else { return Ok(None) };
    released.into_iter().for_each(|ended| ended.announce(db));
    // Its capacity may have grown, or its drain been lifted.
    db.wake.worker(worker);
    Ok(Some(answer))
}

async fn take_beat(
    connection: &mut SqliteConnection,
    worker: &str,
    (beat, now, lease_until): (Beat, i64, i64),
) -> Result<Option<(BeatAnswer, Vec<Ended>)>, Error> {
    let Some(row) = note_beat(connection, worker, &beat, now).await? else { return Ok(None) };
    let (mut released, mut lost) = (Vec::new(), Vec::new());
    if let Some(sessions) = &beat.held {
        let listed = json!(sessions).to_string();
        renew_listed(connection, worker, &listed, lease_until).await?;
        if beat.resumed {
            released = release_unlisted(connection, worker, &listed, now).await?;
        }
        // Longer than a lease nothing winds up.
        lost = lost_of(connection, &row, (&listed, now - (lease_until - now))).await?;
    }
    let (pending, kills) = (pending(connection, &row).await?, kills(connection, worker).await?);
    let answer = BeatAnswer { pending, kills, lost };
    Ok(Some((answer, released)))
}

/// What runs there beyond the listed sessions is the host's own. A host that lists nothing is taken to run what it holds.
async fn note_beat(
    connection: &mut SqliteConnection,
    worker: &str,
    beat: &Beat,
    now: i64,
) -> Result<Option<SqliteRow>, Error> {
    sqlx::query(
        "UPDATE workers SET last_beat_at = ?2, draining = coalesce(?3, draining),
                capacity = CASE WHEN ?4 > 0 THEN ?4 ELSE capacity END,
                allowlist_hash = CASE ?5 WHEN '' THEN allowlist_hash ELSE ?5 END,
                allowlist = coalesce(?6, allowlist),
                foreign_count = max(0, ?7 - coalesce(?8, (SELECT count(*) FROM sessions WHERE holder = ?1)))
         WHERE id = ?1 RETURNING org_id, ifnull(project_id, '') AS project_id, runner",
    )
    .bind(worker)
    .bind(now)
    .bind(beat.draining)
    .bind(beat.capacity)
    .bind(&beat.allowlist_hash)
    .bind(beat.allowlist.as_ref().map(|entries| json!(entries).to_string()))
    .bind(beat.active)
    .bind(beat.held.as_ref().map(|held| i64::try_from(held.len()).unwrap_or(i64::MAX)))
    .fetch_optional(connection)
    .await
}

/// A host that lists a session has it: it need not say `running` in time any more, its lease is enough.
async fn renew_listed(
    connection: &mut SqliteConnection,
    worker: &str,
    listed: &str,
    lease_until: i64,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE sessions SET lease_until = ?2, due_at = ?2, accept_until = NULL
         WHERE holder = ?1 AND EXISTS (SELECT 1 FROM json_each(?3) l WHERE l.value ->> 'sessionId' = sessions.id
                                       AND coalesce(l.value ->> 'attempt', attempt) = attempt)",
    )
    .bind(worker)
    .bind(lease_until)
    .bind(listed)
    .execute(connection)
    .await?;
    Ok(())
}

async fn release_unlisted(
    connection: &mut SqliteConnection,
    worker: &str,
    listed: &str,
    now: i64,
) -> Result<Vec<Ended>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM sessions
         WHERE holder = ?1 AND NOT EXISTS (SELECT 1 FROM json_each(?2) l WHERE l.value ->> 'sessionId' = sessions.id
                                           AND coalesce(l.value ->> 'attempt', attempt) = attempt)
         ORDER BY seq",
    )
    .bind(worker)
    .bind(listed)
    .fetch_all(&mut *connection)
    .await?;
    let mut released = Vec::with_capacity(rows.len());
    for row in &rows {
        released.push(leases::let_go(connection, held(row)?, &Cause::HostRestarted, now).await?);
    }
    Ok(released)
}

/// What is listed under a claim that was taken away, whatever became of the session then, or that somebody reported as
/// ended before `settled`. One that has ended since may just be winding up.
async fn lost_of(
    connection: &mut SqliteConnection,
    worker: &SqliteRow,
    (listed, settled): (&str, i64),
) -> Result<Vec<HeldSession>, Error> {
    let at = place(worker)?;
    let rows = sqlx::query(
        "SELECT s.id, l.value ->> 'attempt' AS listed
         FROM json_each(?1) l JOIN sessions s ON s.id = l.value ->> 'sessionId'
         WHERE s.org_id = ?2 AND (?3 = '' OR s.project_id = ?3)
               AND (s.released_attempt >= listed OR (s.attempt = listed AND s.ended_at <= ?4))",
    )
    .bind(listed)
    .bind(at.org)
    .bind(at.project)
    .bind(settled)
    .fetch_all(connection)
    .await?;
    let read = |row: &SqliteRow| {
        let listed: i64 = row.try_get("listed")?;
        Ok(HeldSession { session_id: row.try_get("id")?, attempt: u64::try_from(listed).ok() })
    };
    rows.iter().map(read).collect()
}

/// Sessions waiting in the worker's lane.
async fn pending(connection: &mut SqliteConnection, worker: &SqliteRow) -> Result<u64, Error> {
    let at = place(worker)?;
    let (sql, queue) = if at.project.is_empty() {
        (
            "SELECT count(*) FROM (SELECT 1 FROM sessions WHERE org_id = ?1 AND runner = ?2 AND status = 'pending' LIMIT ?3)",
            at.org,
        )
    } else {
        (
            "SELECT count(*) FROM (SELECT 1 FROM sessions WHERE project_id = ?1 AND runner = ?2 AND status = 'pending' LIMIT ?3)",
            at.project,
        )
    };
    let count: i64 =
        sqlx::query_scalar(sql).bind(queue).bind(at.runner.as_str()).bind(COUNT_LIMIT).fetch_one(connection).await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

async fn kills(connection: &mut SqliteConnection, worker: &str) -> Result<Vec<Kill>, Error> {
    let rows = sqlx::query(
        "SELECT id, attempt, stop_reason, ifnull(stop_requested_at, 0) AS requested_at
         FROM sessions WHERE holder = ?1 AND stop_requested = 1 ORDER BY seq",
    )
    .bind(worker)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Kill {
                session_id: row.try_get("id")?,
                attempt: row.try_get("attempt")?,
                reason: row.try_get("stop_reason")?,
                requested_at: row.try_get("requested_at")?,
            })
        })
        .collect()
}

pub(super) async fn retire(
    db: &SqliteStorage,
    scope: &Scope,
    worker: &str,
) -> Result<Option<Vec<String>>, StorageError> {
    let (now, scope, id) = (db.now(), scope.clone(), worker.to_owned());
    let released = db.write("retire", move |connection| Box::pin(remove(connection, scope, id, now))).await?;
    db.wake.worker(worker);
    let announce = |ended: Ended| {
        let id = ended.id().to_owned();
        ended.announce(db);
        id
    };
    Ok(released.map(|released| released.into_iter().map(announce).collect()))
}

/// Removes the row and gives back what was claimed and not accepted. What runs keeps its lease: its process may be
/// alive, and a second one must not start beside it.
async fn remove(
    connection: &mut SqliteConnection,
    scope: Scope,
    worker: String,
    now: i64,
) -> Result<Option<Vec<Ended>>, Error> {
    let removed = sqlx::query("DELETE FROM workers WHERE id = ?1 AND org_id = ?2 AND (?3 IS NULL OR project_id = ?3)")
        .bind(&worker)
        .bind(&scope.org)
        .bind(&scope.project)
        .execute(&mut *connection)
        .await?;
    if removed.rows_affected() == 0 {
        return Ok(None);
    }
    let rows = sqlx::query("SELECT * FROM sessions WHERE holder = ?1 AND accept_until IS NOT NULL ORDER BY seq")
        .bind(&worker)
        .fetch_all(&mut *connection)
        .await?;
    let mut released = Vec::with_capacity(rows.len());
    for row in &rows {
        released.push(leases::let_go(connection, held(row)?, &Cause::WorkerRemoved, now).await?);
    }
    Ok(Some(released))
}
