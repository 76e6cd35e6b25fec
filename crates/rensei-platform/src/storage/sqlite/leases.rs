//! How claims end without a report.

use super::rows::held;
use super::{SqliteStorage, StorageError};
use crate::storage::release::{Cause, release};
use crate::storage::{HeldBy, REFUSAL_MS, Requeued};
use crate::wake::Place;
use rensei_proto::SessionStatus;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Error, Row as _};

/// Overdue sessions that one transaction takes back at most.
const REAP_BATCH: i64 = 256;

/// When a refused session is offered to the same worker again.
pub(super) const fn refusal_over(now: i64) -> i64 {
    now + REFUSAL_MS
}

/// What became of a session whose claim was taken away.
#[derive(Debug)]
pub(super) struct Ended {
    id: String,
    worker: String,
    place: Place,
    /// `pending`, `failed` or `stopped`.
    pub(super) status: SessionStatus,
}

impl Ended {
    /// Wakes whoever waits for it. Call after the commit.
    pub(super) fn announce(self, db: &SqliteStorage) {
        db.wake.session(&self.id);
        db.wake.worker(&self.worker);
        if self.status == SessionStatus::Pending {
            db.wake.work(self.place);
        }
    }

    pub(super) const fn requeued(&self) -> Requeued {
        match self.status {
            SessionStatus::Pending => Requeued::Yes,
            ended => Requeued::Ended(ended),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

/// Takes the claim away and does with the session what [`release`] decides. It keeps its score.
pub(super) async fn let_go(
    connection: &mut SqliteConnection,
    held: HeldBy,
    cause: &Cause,
    now: i64,
) -> Result<Ended, Error> {
    let decision = release(&held.row, cause);
    let accepted = held.row.status != SessionStatus::Claimed;
    let refused = matches!(cause, Cause::Refused { .. }) && decision.status == SessionStatus::Pending;
    let ended_at = decision.status.is_terminal().then_some(now);
    sqlx::query(
        "UPDATE sessions SET status = ?2, lease_losses = ?3, unaccepted = ?4, error = coalesce(?5, error),
                requeue_reason = ?6, updated_at = max(?7, updated_at + 1), ended_at = ?8,
                holder = NULL, lease_until = NULL, accept_until = NULL,
                refused_by = CASE WHEN ?9 IS NULL THEN NULL ELSE holder END, due_at = ?9
         WHERE seq = ?1",
    )
    .bind(held.seq)
    .bind(decision.status.as_str())
    .bind(decision.lease_losses)
    .bind(decision.unaccepted)
    .bind(&decision.error)
    .bind(cause.word(accepted))
    .bind(now)
    .bind(ended_at)
    .bind(refused.then(|| refusal_over(now)))
    .execute(connection)
    .await?;
    tracing::info!(
        event = "released", session_id = %held.id, worker_id = %held.worker, attempt = held.attempt,
        cause = cause.word(accepted), status = %decision.status,
    );
    Ok(Ended { id: held.id, worker: held.worker, place: held.place, status: decision.status })
}

pub(super) async fn reap(db: &SqliteStorage) -> Result<Option<i64>, StorageError> {
    let now = db.now();
    let reaped = db.write("reap", move |connection| Box::pin(take_back(connection, now))).await?;
    reaped.offered.into_iter().for_each(|place| db.wake.work(place));
    reaped.ended.into_iter().for_each(|ended| ended.announce(db));
    Ok(reaped.next)
}

#[derive(Debug, Default)]
struct Reaped {
    ended: Vec<Ended>,
    /// Places of refused sessions that are offered to everybody again.
    offered: Vec<Place>,
    next: Option<i64>,
}

pub(super) const OVERDUE: &str = "SELECT * FROM sessions WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2";

async fn take_back(connection: &mut SqliteConnection, now: i64) -> Result<Reaped, Error> {
    let rows = sqlx::query(OVERDUE).bind(now).bind(REAP_BATCH).fetch_all(&mut *connection).await?;
    let mut reaped = Reaped::default();
    for row in &rows {
        let overdue = held(row)?;
        if overdue.row.status == SessionStatus::Pending {
            offer_again(connection, overdue.seq).await?;
            reaped.offered.push(overdue.place);
        } else {
            reaped.ended.push(let_go(connection, overdue, &Cause::Overdue, now).await?);
        }
    }
    reaped.next = sqlx::query("SELECT min(due_at) AS next FROM sessions WHERE due_at IS NOT NULL")
        .fetch_one(connection)
        .await?
        .try_get("next")?;
    Ok(reaped)
}

async fn offer_again(connection: &mut SqliteConnection, seq: i64) -> Result<(), Error> {
    sqlx::query("UPDATE sessions SET refused_by = NULL, due_at = NULL WHERE seq = ?1")
        .bind(seq)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn grant_grace(db: &SqliteStorage) -> Result<u64, StorageError> {
    let (now, timing) = (db.now(), db.timing);
    db.write_one("grant_grace", move |connection| {
        Box::pin(async move {
            let result = sqlx::query(
                "UPDATE sessions SET lease_until = ?1, accept_until = CASE WHEN accept_until IS NULL THEN NULL ELSE ?2 END,
                        due_at = CASE WHEN accept_until IS NULL THEN ?1 ELSE min(?1, ?2) END
                 WHERE holder IS NOT NULL",
            )
            .bind(now + timing.lease)
            .bind(now + timing.accept)
            .execute(connection)
            .await?;
            Ok(result.rows_affected())
        })
    })
    .await
}
