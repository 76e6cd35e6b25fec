//! How claims end without a report.

use super::refusals;
use super::rows::held;
use super::{SqliteStorage, StorageError};
use crate::storage::release::{Cause, release};
use crate::storage::{HeldBy, Nack, Requeued};
use crate::wake::Offer;
use rensei_proto::SessionStatus;
use sqlx::Error;
use sqlx::sqlite::SqliteConnection;
use std::collections::HashSet;

/// Overdue sessions that one transaction takes back at most.
const REAP_BATCH: i64 = 256;

/// What became of a session whose claim was taken away.
#[derive(Debug)]
pub(super) struct Ended {
    id: String,
    worker: String,
    offer: Offer,
    /// When it is offered to the worker that refused it again.
    hidden_until: Option<i64>,
    /// `pending`, `failed` or `stopped`.
    pub(super) status: SessionStatus,
}

impl Ended {
    /// Wakes whoever waits for it. Call after the commit.
    pub(super) fn announce(self, db: &SqliteStorage) {
        db.wake.session(&self.id);
        db.wake.worker(&self.worker);
        if self.status == SessionStatus::Pending {
            db.wake.work(self.offer);
            self.hidden_until.into_iter().for_each(|until| db.wake.due(until));
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
    let word = cause.word(held.row.accepted);
    let ended_at = decision.status.is_terminal().then_some(now);
    sqlx::query(
        "UPDATE sessions SET status = ?2, lease_losses = ?3, unaccepted = ?4, error = coalesce(?5, error),
                requeue_reason = ?6, updated_at = max(?7, updated_at + 1), ended_at = ?8,
                requeue_detail = ?9, released_attempt = attempt, holder = NULL, lease_until = NULL, accept_until = NULL, due_at = NULL
         WHERE seq = ?1",
    )
    .bind(held.seq)
    .bind(decision.status.as_str())
    .bind(decision.lease_losses)
    .bind(decision.unaccepted)
    .bind(&decision.error)
    .bind(word)
    .bind(now)
    .bind(ended_at)
    .bind(cause.detail())
    .execute(&mut *connection)
    .await?;
    tracing::info!(
        event = "released", session_id = %held.id, worker_id = %held.worker, attempt = held.attempt,
        cause = word, status = %decision.status, reason = cause.detail(),
    );
    let (mut hidden_until, mut hidden_from) = (None, Vec::new());
    if decision.status == SessionStatus::Pending {
        if let Cause::Refused(Nack { host_fault, .. }) = cause {
            hidden_until = Some(refusals::note(connection, &held, *host_fault, now).await?);
        }
        hidden_from = refusals::hidden_from(connection, held.seq, now).await?;
    }
    let offer = Offer { place: held.place, hidden_from };
    Ok(Ended { id: held.id, worker: held.worker, offer, hidden_until, status: decision.status })
}

pub(super) async fn reap(db: &SqliteStorage) -> Result<Option<i64>, StorageError> {
    let now = db.now();
    let reaped = db.write("reap", move |connection| Box::pin(take_back(connection, now))).await?;
    reaped.offered_again.iter().for_each(|worker| db.wake.worker(worker));
    reaped.ended.into_iter().for_each(|ended| ended.announce(db));
    Ok(reaped.next)
}

#[derive(Debug, Default)]
struct Reaped {
    ended: Vec<Ended>,
    /// Workers to which sessions that they refused are offered again.
    offered_again: HashSet<String>,
    next: Option<i64>,
}

pub(super) const OVERDUE: &str = "SELECT * FROM sessions WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2";

async fn take_back(connection: &mut SqliteConnection, now: i64) -> Result<Reaped, Error> {
    let rows = sqlx::query(OVERDUE).bind(now).bind(REAP_BATCH).fetch_all(&mut *connection).await?;
    let mut reaped = Reaped { offered_again: refusals::over(connection, now).await?, ..Reaped::default() };
    for row in &rows {
        reaped.ended.push(let_go(connection, held(row)?, &Cause::Overdue, now).await?);
    }
    reaped.next = sqlx::query_scalar(NEXT).fetch_one(connection).await?;
    Ok(reaped)
}

const NEXT: &str = "SELECT min(at) FROM (SELECT min(due_at) AS at FROM sessions WHERE due_at IS NOT NULL UNION ALL
                                         SELECT min(hidden_until) FROM refusals WHERE hidden_until IS NOT NULL)";

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
