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
        (claims::CANDIDATES_IN_PROJECT, "sessions_queue_project"),
        (claims::CANDIDATES_IN_ORG, "sessions_queue_org"),
        (claims::CLAIM, "sessions USING INTEGER PRIMARY KEY"),
        (prune::ENDED, "sessions_ended"),
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

#[tokio::test]
async fn a_file_of_the_first_version_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let path = crate::data_dir::DataDir::open(dir.path()).unwrap().database().unwrap();
    let mut old = sqlx::migrate!();
    old.migrations = old.migrations[..1].to_vec().into();
    let mut connection = SqliteConnection::connect_with(&options(&path)).await.unwrap();
    old.run(&mut connection).await.unwrap();
    sqlx::raw_sql(
        r#"INSERT INTO orgs VALUES ('o', 'o', NULL, 0);
           INSERT INTO projects VALUES ('p', 'o', 'p', '', 0);
           INSERT INTO workers (id, org_id, registration_id, runner, capacity, registered_at, last_beat_at)
           VALUES ('w', 'o', 'r', 'go', 4, 0, 0);
           INSERT INTO sessions (seq, id, org_id, project_id, runner, status, score, priority, repository, created_at,
                                 updated_at, refused_by, due_at)
           VALUES (1, 's', 'o', 'p', 'go', 'pending', 1, 3, '/r', 0, 0, 'w', 5000);
           INSERT INTO session_items VALUES (1, '{"sessionId":"s","title":"ä"}');"#,
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let timing = Timing { lease: 90_000, accept: 60_000, offline: 90_000 };
    let storage = SqliteStorage::open(&path, Arc::new(ManualClock::new(1_000)), timing).await.unwrap();
    let bytes: i64 = sqlx::query_scalar("SELECT item_bytes FROM sessions").fetch_one(&storage.readers).await.unwrap();
    assert_eq!(bytes, 30, "bytes, not characters");
    assert_eq!(storage.reap().await.unwrap(), None, "a session that waits is never overdue");
    let by = ClaimBy { scope: Scope { org: "o".into(), project: None }, worker: "w".into() };
    let Claimed::Work { items, .. } = storage.claim(by).await.unwrap() else { panic!("the worker is known") };
    assert_eq!((items.len(), items[0].session_id.as_str()), (1, "s"));
}
