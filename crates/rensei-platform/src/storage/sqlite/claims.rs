//! How sessions find their worker, and how they leave it unstarted.

use super::leases::{self, Ended};
use super::reports::classify;
use super::rows::{held, unsigned};
use super::{SqliteStorage, StorageError};
use crate::runner::Runner;
use crate::storage::release::Cause;
use crate::storage::{
    ClaimBy, ClaimOne, Claimed, ClaimedWork, Guarded, MAX_CLAIMS, Refusal, Reporter, Requeued, Timing,
};
use rensei_proto::SessionStatus;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Error, Row as _};

/// The claim itself; `$wanted` selects the rows to take. Binds: 1 worker, 2 now, 3 lease, 4 acceptance.
macro_rules! claim {
    ($wanted:literal) => {
        concat!(
            "UPDATE sessions SET status = 'claimed', attempt = attempt + 1, worker_id = ?1, holder = ?1,
                    claimed_at = ?2, started_at = NULL, updated_at = max(?2, updated_at + 1),
                    lease_until = ?3, accept_until = ?4, due_at = min(?3, ?4), refused_by = NULL
             WHERE seq IN (",
            $wanted,
            ") RETURNING id, attempt, score, (SELECT item FROM session_items i WHERE i.seq = sessions.seq) AS item"
        )
    };
}

pub(super) const CLAIM_IN_PROJECT: &str = claim!(
    "SELECT seq FROM sessions WHERE project_id = ?5 AND runner = ?6 AND status = 'pending'
        AND (refused_by IS NULL OR refused_by <> ?1) ORDER BY score, seq LIMIT ?7"
);
pub(super) const CLAIM_IN_ORG: &str = claim!(
    "SELECT seq FROM sessions WHERE org_id = ?5 AND runner = ?6 AND status = 'pending'
        AND (refused_by IS NULL OR refused_by <> ?1) ORDER BY score, seq LIMIT ?7"
);
const CLAIM_BY_ID: &str = claim!("SELECT seq FROM sessions WHERE id = ?5 AND status = 'pending'");

/// The claiming worker as its row says.
struct Claimant {
    id: String,
    runner: Runner,
    project: Option<String>,
    free: i64,
}

async fn claimant(connection: &mut SqliteConnection, by: &ClaimBy) -> Result<Option<Claimant>, Error> {
    let row = sqlx::query(
        "SELECT runner, project_id,
                CASE draining WHEN 0 THEN capacity - (SELECT count(*) FROM sessions WHERE holder = w.id) ELSE 0 END AS free
         FROM workers w WHERE id = ?1 AND org_id = ?2",
    )
    .bind(&by.worker)
    .bind(&by.scope.org)
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Claimant {
        id: by.worker.clone(),
        runner: Runner::from_word(row.try_get("runner")?),
        project: row.try_get("project_id")?,
        free: row.try_get::<i64, _>("free")?.max(0),
    }))
}

pub(super) async fn claim(db: &SqliteStorage, by: ClaimBy) -> Result<Claimed, StorageError> {
    let (now, timing) = (db.now(), db.timing);
    let claimed = db.write_one("claim", move |connection| Box::pin(claim_some(connection, by, now, timing))).await?;
    if let Claimed::Work { items, .. } = &claimed
        && !items.is_empty()
    {
        db.wake.due(now + timing.accept.min(timing.lease));
        items.iter().for_each(|item| db.wake.session(&item.session_id));
    }
    Ok(claimed)
}

async fn claim_some(
    connection: &mut SqliteConnection,
    by: ClaimBy,
    now: i64,
    timing: Timing,
) -> Result<Claimed, Error> {
    let Some(worker) = claimant(connection, &by).await? else { return Ok(Claimed::UnknownWorker) };
    let wanted = worker.free.min(MAX_CLAIMS);
    if wanted == 0 {
        return Ok(Claimed::Work { items: Vec::new(), free: 0, runner: worker.runner });
    }
    let (sql, queue) = match &worker.project {
        Some(project) => (CLAIM_IN_PROJECT, project),
        None => (CLAIM_IN_ORG, &by.scope.org),
    };
    let rows = sqlx::query(sql)
        .bind(&worker.id)
        .bind(now)
        .bind(now + timing.lease)
        .bind(now + timing.accept)
        .bind(queue)
        .bind(worker.runner.as_str())
        .bind(wanted)
        .fetch_all(connection)
        .await?;
    let items = in_order(&rows, &worker.id)?;
    let taken = i64::try_from(items.len()).unwrap_or(i64::MAX);
    Ok(Claimed::Work { items, free: worker.free - taken, runner: worker.runner })
}

/// Claimed rows, most urgent first: `RETURNING` promises no order.
fn in_order(rows: &[SqliteRow], worker: &str) -> Result<Vec<ClaimedWork>, Error> {
    let mut items = rows
        .iter()
        .map(|row| Ok((row.try_get::<i64, _>("score")?, claimed_work(row)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    items.sort_by_key(|(score, _)| *score);
    for (_, item) in &items {
        tracing::info!(event = "claimed", session_id = %item.session_id, worker_id = %worker, attempt = item.attempt);
    }
    Ok(items.into_iter().map(|(_, item)| item).collect())
}

fn claimed_work(row: &SqliteRow) -> Result<ClaimedWork, Error> {
    let attempt = unsigned(row, "attempt")?;
    Ok(ClaimedWork { session_id: row.try_get("id")?, attempt, item: with_attempt(row.try_get("item")?, attempt) })
}

/// The stored item with the attempt added. Stored items are objects that were written without one, and not empty.
fn with_attempt(item: &str, attempt: u64) -> String {
    item.strip_prefix('{').map_or_else(|| item.to_owned(), |rest| format!("{{\"attempt\":{attempt},{rest}"))
}

pub(super) async fn claim_one(db: &SqliteStorage, by: ClaimBy, id: &str) -> Result<ClaimOne, StorageError> {
    let (now, timing, session) = (db.now(), db.timing, id.to_owned());
    let outcome = db
        .write_one("claim_one", move |connection| Box::pin(claim_by_id(connection, by, session, (now, timing))))
        .await?;
    if let ClaimOne::Claimed(_) = &outcome {
        db.wake.due(now + timing.accept.min(timing.lease));
        db.wake.session(id);
    }
    Ok(outcome)
}

async fn claim_by_id(
    connection: &mut SqliteConnection,
    by: ClaimBy,
    id: String,
    (now, timing): (i64, Timing),
) -> Result<ClaimOne, Error> {
    let Some(worker) = claimant(connection, &by).await? else { return Ok(ClaimOne::UnknownWorker) };
    let row = sqlx::query(
        "SELECT id, attempt, status, holder, runner, (SELECT item FROM session_items i WHERE i.seq = s.seq) AS item
         FROM sessions s WHERE id = ?1 AND org_id = ?2 AND (?3 IS NULL OR project_id = ?3)",
    )
    .bind(&id)
    .bind(&by.scope.org)
    .bind(&worker.project)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(ClaimOne::UnknownSession) };
    if let Some(holder) = row.try_get::<Option<&str>, _>("holder")? {
        let own = holder == worker.id;
        return if own { claimed_work(&row).map(ClaimOne::Claimed) } else { Ok(ClaimOne::Refused("claimed_by_other")) };
    }
    if let Some(reason) = unclaimable(&row, &worker)? {
        return Ok(ClaimOne::Refused(reason));
    }
    let claimed = sqlx::query(CLAIM_BY_ID)
        .bind(&worker.id)
        .bind(now)
        .bind(now + timing.lease)
        .bind(now + timing.accept)
        .bind(&id)
        .fetch_one(connection)
        .await?;
    claimed_work(&claimed).map(ClaimOne::Claimed)
}

/// Why a session that nobody holds cannot be claimed by `worker`.
fn unclaimable(row: &SqliteRow, worker: &Claimant) -> Result<Option<&'static str>, Error> {
    Ok(if super::rows::status(row)? != SessionStatus::Pending {
        Some("session_ended")
    } else if Runner::from_word(row.try_get("runner")?) != worker.runner {
        Some("runner_mismatch")
    } else if worker.free == 0 {
        Some("no_free_slot")
    } else {
        None
    })
}

pub(super) async fn give_back(
    db: &SqliteStorage,
    worker: &str,
    claims: Vec<(String, u64)>,
) -> Result<(), StorageError> {
    let (now, owner) = (db.now(), worker.to_owned());
    let released = db
        .write("give_back", move |connection| {
            Box::pin(async move {
                let mut released = Vec::new();
                for (id, attempt) in claims {
                    let row = sqlx::query(
                        "SELECT * FROM sessions WHERE id = ?1 AND holder = ?2 AND attempt = ?3 AND status = 'claimed'",
                    )
                    .bind(id)
                    .bind(&owner)
                    .bind(i64::try_from(attempt).unwrap_or(i64::MAX))
                    .fetch_optional(&mut *connection)
                    .await?;
                    if let Some(row) = row {
                        released.push(leases::let_go(connection, held(&row)?, &Cause::Undelivered, now).await?);
                    }
                }
                Ok(released)
            })
        })
        .await?;
    released.into_iter().for_each(|ended| ended.announce(db));
    Ok(())
}

pub(super) async fn nack(
    db: &SqliteStorage,
    by: &Reporter,
    id: &str,
    reason: String,
) -> Result<Guarded<Requeued>, StorageError> {
    let (now, reporter, session) = (db.now(), by.clone(), id.to_owned());
    let outcome =
        db.write("nack", move |connection| Box::pin(refuse(connection, reporter, session, (reason, now)))).await?;
    Ok(outcome.map(|ended| {
        if ended.status == SessionStatus::Pending {
            db.wake.due(leases::refusal_over(now));
        }
        let requeued = ended.requeued();
        ended.announce(db);
        requeued
    }))
}

async fn refuse(
    connection: &mut SqliteConnection,
    by: Reporter,
    id: String,
    (reason, now): (String, i64),
) -> Result<Guarded<Ended>, Error> {
    let row = match classify(connection, &by, &id).await? {
        Ok(row) => row,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if row.row.status != SessionStatus::Claimed {
        return Ok(Err(Refusal::Illegal { from: row.row.status }));
    }
    leases::let_go(connection, row, &Cause::Refused { reason }, now).await.map(Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rensei_proto::platform::PollItem;

    #[test]
    fn a_claimed_item_carries_its_attempt() {
        let item: PollItem = serde_json::from_str(r#"{"sessionId":"s1","priority":3,"queuedAt":5}"#).unwrap();
        let stored = serde_json::to_string(&item).unwrap();
        let claimed: PollItem = serde_json::from_str(&with_attempt(&stored, 7)).unwrap();
        assert_eq!(claimed, PollItem { attempt: Some(7), ..item });
    }
}
