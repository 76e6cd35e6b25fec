//! How sessions find their worker, and how they leave it unstarted.

use super::leases::{self, Ended};
use super::reports::classify;
use super::rows::{held, unsigned};
use super::{SqliteStorage, StorageError};
use crate::runner::Runner;
use crate::storage::release::Cause;
use crate::storage::{
    ClaimBy, ClaimOne, Claimed, ClaimedWork, Guarded, ITEM_OVERHEAD, MAX_CLAIM_BYTES, MAX_CLAIMS, Nack, Refusal,
    Reporter, Requeued, Timing,
};
use rensei_proto::SessionStatus;
use serde_json::json;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Error, Row as _};

/// What a worker could take, most urgent first. Binds: 1 worker, 2 now, 3 project or organisation, 4 lane, 5 how many.
macro_rules! candidates {
    ($column:literal) => {
        concat!(
            "SELECT seq, item_bytes FROM sessions WHERE ",
            $column,
            " = ?3 AND runner = ?4 AND status = 'pending'
                AND NOT EXISTS (SELECT 1 FROM refusals r WHERE r.session_seq = sessions.seq AND r.worker_id = ?1
                                AND r.hidden_until > ?2)
             ORDER BY score, seq LIMIT ?5"
        )
    };
}

pub(super) const CANDIDATES_IN_PROJECT: &str = candidates!("project_id");
pub(super) const CANDIDATES_IN_ORG: &str = candidates!("org_id");
/// The claim itself. Only this connection writes, so whatever was pending a moment ago still is. Binds: 1 worker, 2 now,
/// 3 lease, 4 acceptance, 5 row numbers.
pub(super) const CLAIM: &str = "UPDATE sessions SET status = 'claimed', attempt = attempt + 1, worker_id = ?1,
            holder = ?1, claimed_at = ?2, started_at = NULL, updated_at = max(?2, updated_at + 1),
            lease_until = ?3, accept_until = ?4, due_at = min(?3, ?4)
     WHERE seq IN (SELECT value FROM json_each(?5)) AND status = 'pending'
     RETURNING id, attempt, score, (SELECT item FROM session_items i WHERE i.seq = sessions.seq) AS item";

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
                CASE draining WHEN 0 THEN capacity - foreign_count - (SELECT count(*) FROM sessions WHERE holder = w.id) ELSE 0 END AS free
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
        Some(project) => (CANDIDATES_IN_PROJECT, project),
        None => (CANDIDATES_IN_ORG, &by.scope.org),
    };
    let candidates: Vec<(i64, i64)> = sqlx::query_as(sql)
        .bind(&worker.id)
        .bind(now)
        .bind(queue)
        .bind(worker.runner.as_str())
        .bind(wanted)
        .fetch_all(&mut *connection)
        .await?;
    let chosen = within_bytes(&candidates);
    if chosen.is_empty() {
        return Ok(Claimed::Work { items: Vec::new(), free: worker.free, runner: worker.runner });
    }
    let items = in_order(&take(connection, &worker, &chosen, (now, timing)).await?, &worker.id)?;
    let taken = i64::try_from(items.len()).unwrap_or(i64::MAX);
    Ok(Claimed::Work { items, free: worker.free - taken, runner: worker.runner })
}

/// The first candidates, with items that fit into one answer together; always the first one.
fn within_bytes(candidates: &[(i64, i64)]) -> Vec<i64> {
    let mut total = 0;
    candidates
        .iter()
        .take_while(|(_, bytes)| {
            let first = total == 0;
            total += bytes + ITEM_OVERHEAD;
            first || total <= MAX_CLAIM_BYTES
        })
        .map(|(seq, _)| *seq)
        .collect()
}

async fn take(
    connection: &mut SqliteConnection,
    worker: &Claimant,
    chosen: &[i64],
    (now, timing): (i64, Timing),
) -> Result<Vec<SqliteRow>, Error> {
    sqlx::query(CLAIM)
        .bind(&worker.id)
        .bind(now)
        .bind(now + timing.lease)
        .bind(now + timing.accept)
        .bind(json!(chosen).to_string())
        .fetch_all(connection)
        .await
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
        "SELECT seq, id, attempt, status, holder, runner, (SELECT item FROM session_items i WHERE i.seq = s.seq) AS item
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
    let claimed = take(connection, &worker, &[row.try_get("seq")?], (now, timing)).await?;
    claimed.first().map_or(Err(Error::RowNotFound), |row| claimed_work(row).map(ClaimOne::Claimed))
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
    nack: Nack,
) -> Result<Guarded<Requeued>, StorageError> {
    let (now, reporter, session) = (db.now(), by.clone(), id.to_owned());
    let outcome =
        db.write("nack", move |connection| Box::pin(refuse(connection, reporter, session, (nack, now)))).await?;
    Ok(outcome.map(|ended| {
        let requeued = ended.requeued();
        ended.announce(db);
        requeued
    }))
}

async fn refuse(
    connection: &mut SqliteConnection,
    by: Reporter,
    id: String,
    (nack, now): (Nack, i64),
) -> Result<Guarded<Ended>, Error> {
    let row = match classify(connection, &by, &id).await? {
        Ok(row) => row,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if row.row.status != SessionStatus::Claimed {
        return Ok(Err(Refusal::Illegal { from: row.row.status }));
    }
    leases::let_go(connection, row, &Cause::Refused(nack), now).await.map(Ok)
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
