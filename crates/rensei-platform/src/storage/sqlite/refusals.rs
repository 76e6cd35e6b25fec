//! Sessions that are hidden from workers which refused them.

use crate::storage::{HeldBy, MAX_REFUSAL_MS, REFUSAL_MS};
use sqlx::Error;
use sqlx::sqlite::SqliteConnection;
use std::collections::HashSet;

/// Refusals that one transaction ends at most.
const BATCH: i64 = 256;
/// Doublings after which the longest time is reached for sure.
const MAX_DOUBLINGS: i64 = 16;

/// Hides the session from the worker that held it, for longer than the last time. Answers until when.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    held: &HeldBy,
    host_fault: bool,
    now: i64,
) -> Result<i64, Error> {
    sqlx::query_scalar(
        "INSERT INTO refusals (session_seq, worker_id, streak, host_fault, hidden_until) VALUES (?1, ?2, 1, ?3, ?4 + ?5)
         ON CONFLICT (session_seq, worker_id) DO UPDATE
         SET streak = streak + 1, host_fault = excluded.host_fault,
             hidden_until = ?4 + min(?5 << min(streak, ?6), ?7)
         RETURNING hidden_until",
    )
    .bind(held.seq)
    .bind(&held.worker)
    .bind(host_fault)
    .bind(now)
    .bind(REFUSAL_MS)
    .bind(MAX_DOUBLINGS)
    .bind(MAX_REFUSAL_MS)
    .fetch_one(connection)
    .await
}

/// Workers that the session is hidden from.
pub(super) async fn hidden_from(connection: &mut SqliteConnection, seq: i64, now: i64) -> Result<Vec<String>, Error> {
    sqlx::query_scalar("SELECT worker_id FROM refusals WHERE session_seq = ?1 AND hidden_until > ?2")
        .bind(seq)
        .bind(now)
        .fetch_all(connection)
        .await
}

/// Ends what is over and answers whom to tell. How often each refused is kept.
pub(super) async fn over(connection: &mut SqliteConnection, now: i64) -> Result<HashSet<String>, Error> {
    let workers: Vec<String> = sqlx::query_scalar(
        "UPDATE refusals SET hidden_until = NULL
         WHERE (session_seq, worker_id) IN (SELECT session_seq, worker_id FROM refusals WHERE hidden_until <= ?1 LIMIT ?2)
         RETURNING worker_id",
    )
    .bind(now)
    .bind(BATCH)
    .fetch_all(connection)
    .await?;
    Ok(workers.into_iter().collect())
}
