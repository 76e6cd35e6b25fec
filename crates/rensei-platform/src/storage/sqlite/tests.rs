use super::*;
use crate::clock::ManualClock;
use sqlx::Row as _;
use tempfile::TempDir;

async fn storage() -> (TempDir, SqliteStorage) {
    let dir = tempfile::tempdir().unwrap();
    let timing = Timing { lease: 90_000, accept: 60_000, offline: 90_000 };
    let clock = Arc::new(ManualClock::new(1_000));
    let path = crate::data_dir::DataDir::open(dir.path()).unwrap().database().unwrap();
    let storage = SqliteStorage::open(&path, clock, timing).await.unwrap();
    (dir, storage)
}

/// Adds an organisation and then fails if told so.
fn add_org(connection: &mut SqliteConnection, slug: String, fail: bool) -> JobFuture<'_, ()> {
    Box::pin(async move {
        sqlx::query("INSERT INTO orgs (id, slug, created_at) VALUES (?1, ?1, 0)")
            .bind(slug)
            .execute(&mut *connection)
            .await?;
        if fail { Err(sqlx::Error::RowNotFound) } else { Ok(()) }
    })
}

#[tokio::test]
async fn jobs_of_one_batch_fail_alone() {
    let (_dir, storage) = storage().await;
    let storage = Arc::new(storage);
    // On one thread the jobs pile up while the writer waits for its first turn, so they share transactions.
    let jobs: Vec<_> = (0..40)
        .map(|n| {
            let storage = Arc::clone(&storage);
            tokio::spawn(async move {
                let job = storage.write("add", move |connection| add_org(connection, format!("o{n}"), n % 3 == 0));
                job.await.is_ok()
            })
        })
        .collect();
    let mut kept = 0;
    for (n, job) in jobs.into_iter().enumerate() {
        assert_eq!(job.await.unwrap(), n % 3 != 0, "{n}");
        kept += i64::from(n % 3 != 0);
    }
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM orgs").fetch_one(&storage.readers).await.unwrap();
    assert_eq!(count, kept);
    storage.close().await;
    let stopped = storage.write("add", |connection| add_org(connection, "late".into(), false)).await;
    assert!(matches!(stopped, Err(StorageError::Stopped)));
}

#[tokio::test]
async fn the_hot_statements_walk_along_their_indexes() {
    let (_dir, storage) = storage().await;
    for (sql, index) in [
        (claims::CLAIM_IN_PROJECT, "sessions_queue_project"),
        (claims::CLAIM_IN_ORG, "sessions_queue_org"),
        ("SELECT * FROM sessions WHERE holder = ?1", "sessions_holder"),
        (leases::OVERDUE, "sessions_due"),
    ] {
        let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
        let rows = plan.fetch_all(&storage.readers).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.try_get("detail").unwrap()).collect();
        assert!(steps.iter().any(|step| step.contains(index)), "{index}: {steps:?}");
        assert!(!steps.iter().any(|step| step.contains("SCAN sessions") || step.contains("TEMP B-TREE")), "{steps:?}");
    }
}
