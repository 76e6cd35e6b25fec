//! Both traits on one SQLite file.
//!
//! All writes go through one connection ([`writer`]); reads have their own, which WAL lets run beside it. A transaction
//! is in the file before its caller hears of it, and the operating system keeps what was written when the process is
//! killed; a crash of the machine may lose the last moments (`synchronous=NORMAL`), never the file.

mod claims;
mod leases;
mod prune;
mod refusals;
mod reports;
mod rows;
mod sessions;
mod tenants;
mod workers;
mod writer;

use super::{
    Beat, BeatAnswer, Bootstrap, Bootstrapped, ClaimBy, ClaimOne, Claimed, Credential, Guarded, Nack, NewSession,
    NewWorker, Project, Queue, Report, Reporter, Requeued, Scope, SessionFilter, SessionRow, StopState, StorageError,
    StorageFuture, Store, Timing, Worker,
};
use crate::clock::Clock;
use crate::tokens::TokenHash;
use crate::wake::Wake;
use rensei_proto::operator::{ActivityPage, Session};
use rensei_proto::platform::Activity;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use writer::{JobFuture, Writer};

/// How long a connection waits for another process (`init` beside a running server) to finish its transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that read.
const READERS: u32 = 4;
/// Pages in the write-ahead log after which it is written back; larger than the default, because writing back syncs.
const CHECKPOINT_PAGES: &str = "4000";

/// State and queue in one file.
#[derive(Debug)]
pub(crate) struct SqliteStorage {
    readers: SqlitePool,
    writer: Writer,
    wake: Wake,
    clock: Arc<dyn Clock>,
    timing: Timing,
}

/// Settings that both kinds of connection share.
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Normal)
        .disable_statement_logging()
}

impl SqliteStorage {
    /// Opens the file, bringing its schema up to date.
    pub(crate) async fn open(path: &Path, clock: Arc<dyn Clock>, timing: Timing) -> Result<Self, StorageError> {
        let write = options(path).journal_mode(SqliteJournalMode::Wal).pragma("wal_autocheckpoint", CHECKPOINT_PAGES);
        let mut connection = SqliteConnection::connect_with(&write).await.map_err(StorageError::of("open"))?;
        sqlx::migrate!().run(&mut connection).await.map_err(|error| StorageError::of("migrate")(error.into()))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .connect_lazy_with(options(path).read_only(true));
        Ok(Self { readers, writer: Writer::start(connection), wake: Wake::default(), clock, timing })
    }

    /// Ends the writer and closes the file.
    pub(crate) async fn close(&self) {
        self.writer.stop().await;
        self.readers.close().await;
    }

    fn now(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Runs a job that writes with at most one statement, and reads before it only.
    async fn write_one<T, F>(&self, operation: &'static str, job: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> JobFuture<'c, T> + Send + 'static,
    {
        self.writer.run(operation, false, job).await
    }

    /// Runs a job as one transaction.
    async fn write<T, F>(&self, operation: &'static str, job: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> JobFuture<'c, T> + Send + 'static,
    {
        self.writer.run(operation, true, job).await
    }
}

impl Store for SqliteStorage {
    fn bootstrap(&self, wanted: Bootstrap) -> StorageFuture<'_, Bootstrapped> {
        Box::pin(tenants::bootstrap(self, wanted))
    }

    fn has_org(&self) -> StorageFuture<'_, bool> {
        Box::pin(tenants::has_org(self))
    }

    fn credential(&self, hash: TokenHash) -> StorageFuture<'_, Option<Credential>> {
        Box::pin(tenants::credential(self, hash))
    }

    fn projects<'a>(&'a self, scope: &'a Scope, name: Option<&'a str>) -> StorageFuture<'a, Vec<Project>> {
        Box::pin(tenants::projects(self, scope, name))
    }

    fn register(&self, worker: NewWorker) -> StorageFuture<'_, String> {
        Box::pin(workers::register(self, worker))
    }

    fn workers<'a>(&'a self, scope: &'a Scope, id: Option<&'a str>) -> StorageFuture<'a, Vec<Worker>> {
        Box::pin(workers::list(self, scope, id))
    }

    fn session<'a>(&'a self, scope: &'a Scope, id: &'a str) -> StorageFuture<'a, Option<SessionRow>> {
        Box::pin(sessions::read(self, scope, id))
    }

    fn sessions<'a>(&'a self, scope: &'a Scope, filter: SessionFilter) -> StorageFuture<'a, Vec<SessionRow>> {
        Box::pin(sessions::list(self, scope, filter))
    }

    fn activities<'a>(&'a self, scope: &'a Scope, id: &'a str, after: i64) -> StorageFuture<'a, Option<ActivityPage>> {
        Box::pin(sessions::activities(self, scope, id, after))
    }
}

impl Queue for SqliteStorage {
    fn wake(&self) -> &Wake {
        &self.wake
    }

    fn depth<'a>(&'a self, scope: &'a Scope) -> StorageFuture<'a, u64> {
        Box::pin(sessions::depth(self, scope))
    }

    fn enqueue(&self, session: NewSession) -> StorageFuture<'_, Session> {
        Box::pin(sessions::enqueue(self, session))
    }

    fn claim(&self, by: ClaimBy) -> StorageFuture<'_, Claimed> {
        Box::pin(claims::claim(self, by))
    }

    fn claim_one<'a>(&'a self, by: ClaimBy, id: &'a str) -> StorageFuture<'a, ClaimOne> {
        Box::pin(claims::claim_one(self, by, id))
    }

    fn give_back<'a>(&'a self, worker: &'a str, claims: Vec<(String, u64)>) -> StorageFuture<'a, ()> {
        Box::pin(claims::give_back(self, worker, claims))
    }

    fn nack<'a>(&'a self, by: &'a Reporter, id: &'a str, nack: Nack) -> StorageFuture<'a, Guarded<Requeued>> {
        Box::pin(claims::nack(self, by, id, nack))
    }

    fn report<'a>(&'a self, by: &'a Reporter, id: &'a str, report: Report) -> StorageFuture<'a, Guarded<bool>> {
        Box::pin(reports::report(self, by, id, report))
    }

    fn record_activity<'a>(&'a self, by: &'a Reporter, id: &'a str, what: Activity) -> StorageFuture<'a, Guarded<i64>> {
        Box::pin(reports::record_activity(self, by, id, what))
    }

    fn complete<'a>(&'a self, by: &'a Reporter, id: &'a str, summary: String) -> StorageFuture<'a, Guarded<()>> {
        Box::pin(reports::complete(self, by, id, summary))
    }

    fn renew<'a>(&'a self, by: &'a Reporter, id: &'a str) -> StorageFuture<'a, Guarded<StopState>> {
        Box::pin(reports::renew(self, by, id))
    }

    fn stop_state<'a>(&'a self, by: &'a Reporter, id: &'a str) -> StorageFuture<'a, Guarded<StopState>> {
        Box::pin(reports::stop_state(self, by, id))
    }

    fn beat<'a>(&'a self, worker: &'a str, beat: Beat) -> StorageFuture<'a, Option<BeatAnswer>> {
        Box::pin(workers::beat(self, worker, beat))
    }

    fn cancel<'a>(&'a self, scope: &'a Scope, id: &'a str, reason: Option<String>) -> StorageFuture<'a, bool> {
        Box::pin(sessions::cancel(self, scope, id, reason))
    }

    fn retire<'a>(&'a self, scope: &'a Scope, worker: &'a str) -> StorageFuture<'a, Option<Vec<String>>> {
        Box::pin(workers::retire(self, scope, worker))
    }

    fn reap(&self) -> StorageFuture<'_, Option<i64>> {
        Box::pin(leases::reap(self))
    }

    fn prune(&self) -> StorageFuture<'_, bool> {
        Box::pin(prune::prune(self))
    }

    fn grant_grace(&self) -> StorageFuture<'_, u64> {
        Box::pin(leases::grant_grace(self))
    }
}

#[cfg(test)]
mod tests;
