//! What owners say of their sessions.

use super::rows::{held, status};
use super::{SqliteStorage, StorageError};
use crate::storage::{Guarded, HeldBy, MAX_ACTIVITIES, Refusal, Report, Reporter, StopState};
use rensei_proto::SessionStatus;
use rensei_proto::platform::Activity;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Error, Row as _};

/// A statement on the session that the reporter holds. [`bind_guard`] fills the first five parameters.
macro_rules! as_owner {
    ($head:literal, $tail:literal) => {
        concat!(
            $head,
            " WHERE id = ?1 AND org_id = ?2 AND (?3 IS NULL OR project_id = ?3) AND holder IS NOT NULL
                AND (?4 IS NULL OR holder = ?4) AND (?5 IS NULL OR attempt = ?5) ",
            $tail
        )
    };
}

type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

fn bind_guard<'q>(sql: &'static str, by: &'q Reporter, id: &'q str) -> Statement<'q> {
    sqlx::query(sql).bind(id).bind(&by.scope.org).bind(&by.scope.project).bind(&by.worker).bind(attempt(by))
}

fn attempt(by: &Reporter) -> Option<i64> {
    by.attempt.map(|attempt| i64::try_from(attempt).unwrap_or(i64::MAX))
}

/// The session as the reporter's, or why it is not.
pub(super) async fn classify(
    connection: &mut SqliteConnection,
    by: &Reporter,
    id: &str,
) -> Result<Guarded<HeldBy>, Error> {
    let Some(row) = find(connection, by, id).await? else { return Ok(Err(Refusal::NotFound)) };
    let current = is_current(&row, by)?;
    let session = held(&row)?;
    Ok(match session.row.status {
        SessionStatus::Pending => Err(Refusal::LeaseLost),
        _ if !current => Err(Refusal::LeaseLost),
        ended if ended.is_terminal() => Err(Refusal::Illegal { from: ended }),
        _ => Ok(session),
    })
}

async fn find(connection: &mut SqliteConnection, by: &Reporter, id: &str) -> Result<Option<SqliteRow>, Error> {
    sqlx::query("SELECT * FROM sessions WHERE id = ?1 AND org_id = ?2 AND (?3 IS NULL OR project_id = ?3)")
        .bind(id)
        .bind(&by.scope.org)
        .bind(&by.scope.project)
        .fetch_optional(connection)
        .await
}

/// Whether the reporter is the last one that claimed the session.
fn is_current(row: &SqliteRow, by: &Reporter) -> Result<bool, Error> {
    let owner: Option<&str> = row.try_get("worker_id")?;
    let same_worker = by.worker.as_deref().is_none_or(|worker| Some(worker) == owner);
    let number: i64 = row.try_get("attempt")?;
    Ok(same_worker && attempt(by).is_none_or(|reported| reported == number))
}

/// Why the guard let nothing through.
async fn refusal(connection: &mut SqliteConnection, by: &Reporter, id: &str) -> Result<Refusal, Error> {
    Ok(match classify(connection, by, id).await? {
        Err(refusal) => refusal,
        Ok(session) => Refusal::Illegal { from: session.row.status },
    })
}

pub(super) async fn report(
    db: &SqliteStorage,
    by: &Reporter,
    id: &str,
    report: Report,
) -> Result<Guarded<bool>, StorageError> {
    let (now, lease) = (db.now(), db.timing.lease);
    let (reporter, session) = (by.clone(), id.to_owned());
    let outcome = db
        .write_one("report", move |connection| {
            Box::pin(async move { move_on(connection, &reporter, &session, (report, now, now + lease)).await })
        })
        .await?;
    Ok(outcome.map(|moved| {
        let Some((status, worker)) = moved else { return false };
        tracing::info!(event = "status", session_id = %id, worker_id = %worker, %status);
        db.wake.session(id);
        if status.is_terminal() {
            db.wake.worker(&worker);
        }
        true
    }))
}

/// Statuses from which a report of `next` is taken, as a list that a statement can search.
fn allowed_from(next: SessionStatus) -> String {
    use SessionStatus::{Claimed, Finalizing, Running};
    [Claimed, Running, Finalizing]
        .into_iter()
        .filter(|from| from.may_become(next) || (*from == next && *from != Claimed))
        .fold(String::from(","), |list, from| list + from.as_str() + ",")
}

const MOVE_ON: &str = as_owner!(
    "UPDATE sessions SET status = ?6, updated_at = max(?7, updated_at + 1), accept_until = NULL, unaccepted = 0,
            started_at = coalesce(started_at, ?7),
            ended_at = CASE WHEN ?8 THEN ?7 END,
            holder = CASE WHEN ?8 THEN NULL ELSE holder END,
            lease_until = CASE WHEN ?8 THEN NULL ELSE ?9 END,
            due_at = CASE WHEN ?8 THEN NULL ELSE ?9 END,
            provider_session = coalesce(?11, provider_session), worktree_path = coalesce(?12, worktree_path),
            error = coalesce(?13, error), total_cost_usd = coalesce(?14, total_cost_usd),
            input_tokens = coalesce(?15, input_tokens), output_tokens = coalesce(?16, output_tokens),
            result = coalesce(?17, result)",
    "AND instr(?10, ',' || status || ',') > 0 RETURNING worker_id"
);

/// The move that happened: the new status and the owner. `None`: the session had ended like that before.
type Move = Option<(SessionStatus, String)>;

async fn move_on(
    connection: &mut SqliteConnection,
    by: &Reporter,
    id: &str,
    (report, now, lease_until): (Report, i64, i64),
) -> Result<Guarded<Move>, Error> {
    let moved = bind_guard(MOVE_ON, by, id)
        .bind(report.status.as_str())
        .bind(now)
        .bind(report.status.is_terminal())
        .bind(lease_until)
        .bind(allowed_from(report.status))
        .bind(&report.provider_session)
        .bind(&report.worktree_path)
        .bind(&report.error)
        .bind(report.total_cost_usd)
        .bind(report.input_tokens)
        .bind(report.output_tokens)
        .bind(&report.result)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(row) = moved {
        return Ok(Ok(Some((report.status, row.try_get("worker_id")?))));
    }
    Ok(match refusal(connection, by, id).await? {
        Refusal::Illegal { from } if from == report.status => Ok(None),
        refusal => Err(refusal),
    })
}

pub(super) async fn record_activity(
    db: &SqliteStorage,
    by: &Reporter,
    id: &str,
    what: Activity,
) -> Result<Guarded<i64>, StorageError> {
    let (now, lease) = (db.now(), db.timing.lease);
    let (reporter, session) = (by.clone(), id.to_owned());
    let outcome = db
        .write("activity", move |connection| {
            Box::pin(async move { append(connection, &reporter, &session, (what, now, now + lease)).await })
        })
        .await?;
    if outcome.is_ok() {
        db.wake.session(id);
    }
    Ok(outcome)
}

const COUNT_ACTIVITY: &str = as_owner!(
    "UPDATE sessions SET activity_count = activity_count + 1, lease_until = ?6, due_at = ?6, accept_until = NULL",
    "RETURNING seq, activity_count"
);

async fn append(
    connection: &mut SqliteConnection,
    by: &Reporter,
    id: &str,
    (what, now, lease_until): (Activity, i64, i64),
) -> Result<Guarded<i64>, Error> {
    let text = serde_json::to_string(&what).map_err(|error| Error::Encode(error.into()))?;
    let counted = bind_guard(COUNT_ACTIVITY, by, id).bind(lease_until).fetch_optional(&mut *connection).await?;
    let Some(row) = counted else { return refusal(connection, by, id).await.map(Err) };
    let (seq, number): (i64, i64) = (row.try_get("seq")?, row.try_get("activity_count")?);
    sqlx::query("INSERT INTO activities (session_seq, id, recorded_at, activity) VALUES (?1, ?2, ?3, ?4)")
        .bind(seq)
        .bind(number)
        .bind(now)
        .bind(text)
        .execute(&mut *connection)
        .await?;
    if number > MAX_ACTIVITIES {
        sqlx::query("DELETE FROM activities WHERE session_seq = ?1 AND id <= ?2")
            .bind(seq)
            .bind(number - MAX_ACTIVITIES)
            .execute(connection)
            .await?;
    }
    Ok(Ok(number))
}

pub(super) async fn complete(
    db: &SqliteStorage,
    by: &Reporter,
    id: &str,
    summary: String,
) -> Result<Guarded<()>, StorageError> {
    let (now, reporter, session) = (db.now(), by.clone(), id.to_owned());
    let outcome = db
        .write_one("complete", move |connection| {
            Box::pin(async move { summarise(connection, &reporter, &session, (summary, now)).await })
        })
        .await?;
    if outcome.is_ok() {
        db.wake.session(id);
    }
    Ok(outcome)
}

/// Takes the summary also after the end: a worker may send the two in either order.
async fn summarise(
    connection: &mut SqliteConnection,
    by: &Reporter,
    id: &str,
    (summary, now): (String, i64),
) -> Result<Guarded<()>, Error> {
    let Some(row) = find(connection, by, id).await? else { return Ok(Err(Refusal::NotFound)) };
    if status(&row)? == SessionStatus::Pending || !is_current(&row, by)? {
        return Ok(Err(Refusal::LeaseLost));
    }
    sqlx::query("UPDATE sessions SET summary = ?2, updated_at = max(?3, updated_at + 1) WHERE seq = ?1")
        .bind(row.try_get::<i64, _>("seq")?)
        .bind(summary)
        .bind(now)
        .execute(connection)
        .await?;
    Ok(Ok(()))
}

const RENEW: &str = as_owner!(
    "UPDATE sessions SET lease_until = ?6, due_at = ?6, accept_until = NULL",
    "RETURNING stop_requested, stop_reason"
);

pub(super) async fn renew(db: &SqliteStorage, by: &Reporter, id: &str) -> Result<Guarded<StopState>, StorageError> {
    let lease_until = db.now() + db.timing.lease;
    let (by, id) = (by.clone(), id.to_owned());
    db.write_one("renew", move |connection| {
        Box::pin(async move {
            let row = bind_guard(RENEW, &by, &id).bind(lease_until).fetch_optional(&mut *connection).await?;
            match row {
                Some(row) => stop(&row).map(Ok),
                None => refusal(connection, &by, &id).await.map(Err),
            }
        })
    })
    .await
}

const STOP_STATE: &str = as_owner!("SELECT stop_requested, stop_reason FROM sessions", "");

pub(super) async fn stop_state(
    db: &SqliteStorage,
    by: &Reporter,
    id: &str,
) -> Result<Guarded<StopState>, StorageError> {
    let read = async {
        let mut connection = db.readers.acquire().await?;
        match bind_guard(STOP_STATE, by, id).fetch_optional(&mut *connection).await? {
            Some(row) => stop(&row).map(Ok),
            None => refusal(&mut connection, by, id).await.map(Err),
        }
    };
    read.await.map_err(StorageError::of("stop_state"))
}

fn stop(row: &SqliteRow) -> Result<StopState, Error> {
    Ok(StopState { stop: row.try_get("stop_requested")?, reason: row.try_get("stop_reason")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_allow_what_the_life_cycle_allows() {
        assert_eq!(allowed_from(SessionStatus::Running), ",claimed,running,");
        assert_eq!(allowed_from(SessionStatus::Finalizing), ",claimed,running,finalizing,");
        assert_eq!(allowed_from(SessionStatus::Completed), ",claimed,running,finalizing,");
        assert_eq!(allowed_from(SessionStatus::Claimed), ",");
    }
}
