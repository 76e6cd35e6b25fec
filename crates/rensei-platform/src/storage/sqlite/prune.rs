//! Sessions are not remembered for ever.

use super::{SqliteStorage, StorageError};
use crate::storage::{MAX_ACTIVITIES, RETENTION_MS};
use serde_json::json;
use sqlx::Error;
use sqlx::sqlite::SqliteConnection;

/// Sessions that one transaction removes at most.
const BATCH: i64 = 64;

pub(super) async fn prune(db: &SqliteStorage) -> Result<bool, StorageError> {
    let until = db.now() - RETENTION_MS;
    let (removed, more) =
        db.write("prune", move |connection| Box::pin(async move { remove_ended(connection, until).await })).await?;
    if removed > 0 {
        tracing::info!(event = "pruned", sessions = removed);
    }
    Ok(more)
}

pub(super) const ENDED: &str =
    "SELECT seq, activity_count FROM sessions WHERE ended_at <= ?1 ORDER BY ended_at LIMIT ?2";

/// Removes the sessions that ended first. Everybody else's writes wait meanwhile, so it is a few at a time.
async fn remove_ended(connection: &mut SqliteConnection, until: i64) -> Result<(usize, bool), Error> {
    let ended: Vec<(i64, i64)> = sqlx::query_as(ENDED).bind(until).bind(BATCH).fetch_all(&mut *connection).await?;
    let chosen = within_bounds(&ended);
    if chosen.is_empty() {
        return Ok((0, false));
    }
    let more = chosen.len() < ended.len() || ended.len() >= usize::try_from(BATCH).unwrap_or(usize::MAX);
    let list = json!(chosen).to_string();
    for sql in [
        "DELETE FROM activities WHERE session_seq IN (SELECT value FROM json_each(?1))",
        "DELETE FROM session_items WHERE seq IN (SELECT value FROM json_each(?1))",
        // Refusals go with it.
        "DELETE FROM sessions WHERE seq IN (SELECT value FROM json_each(?1))",
    ] {
        sqlx::query(sql).bind(&list).execute(&mut *connection).await?;
    }
    Ok((chosen.len(), more))
}

/// The first sessions, with no more activities together than one session may have.
fn within_bounds(ended: &[(i64, i64)]) -> Vec<i64> {
    let mut activities = 0;
    ended
        .iter()
        .take_while(|(_, count)| {
            let first = activities == 0;
            activities += (*count).clamp(1, MAX_ACTIVITIES);
            first || activities <= MAX_ACTIVITIES
        })
        .map(|(seq, _)| *seq)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded_and_never_empty() {
        assert!(within_bounds(&[]).is_empty());
        assert_eq!(within_bounds(&[(1, 0), (2, 3), (3, 0)]), [1, 2, 3]);
        assert_eq!(within_bounds(&[(1, MAX_ACTIVITIES * 7), (2, 0)]), [1]);
        assert_eq!(within_bounds(&[(1, 10), (2, MAX_ACTIVITIES), (3, 0)]), [1]);
    }
}
