//! What the control plane remembers, behind two traits.
//!
//! [`Store`] is durable state: tenants, credentials, registrations, sessions as people read them, activities.
//! [`Queue`] decides who holds which session: order, claims, leases, slots, requeues, and the wake-ups that follow.
//! Each operation is one transaction (or one script) of its engine: all or nothing, whoever else works at the same
//! time. An engine that keeps the queue elsewhere than the state writes the session's row through to its store as part
//! of the operation. Handlers know these traits only.

pub(crate) mod model;
pub(crate) mod release;
pub(crate) mod sqlite;

pub(crate) use model::*;

use crate::wake::Wake;
use rensei_proto::operator::{ActivityPage, Session};
use rensei_proto::platform::Activity;
use std::pin::Pin;
use std::sync::Arc;

/// A future of a storage operation.
pub(crate) type StorageFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send + 'a>>;

/// The storage engine failed; the operation had no effect.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The database refused, or holds what this version cannot read.
    #[error("database operation `{operation}` failed")]
    Database {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        source: Arc<sqlx::Error>,
    },
    /// A write of somebody else failed so badly that the engine dropped the transaction that carried both.
    #[error("the transaction was rolled back because of a failure of the database")]
    RolledBack,
    /// The engine has been shut down.
    #[error("the storage engine has stopped")]
    Stopped,
}

impl StorageError {
    /// Attaches the operation to a database error.
    pub(crate) fn of(operation: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { operation, source: Arc::new(source) }
    }
}

/// Durable state.
pub(crate) trait Store: Send + Sync + std::fmt::Debug {
    /// Makes organisation and project unless they exist, and adds credentials.
    fn bootstrap(&self, wanted: Bootstrap) -> StorageFuture<'_, Bootstrapped>;
    /// Whether there is any organisation.
    fn has_org(&self) -> StorageFuture<'_, bool>;
    /// The credential with this digest.
    fn credential(&self, hash: crate::tokens::TokenHash) -> StorageFuture<'_, Option<Credential>>;
    /// Projects of `scope`, or the one whose slug or id is `name`; at most two.
    fn projects<'a>(&'a self, scope: &'a Scope, name: Option<&'a str>) -> StorageFuture<'a, Vec<Project>>;
    /// Registers a host; one that is known by its machine id in the same scope keeps its worker id.
    fn register(&self, worker: NewWorker) -> StorageFuture<'_, String>;
    /// Registrations in `scope`, or the one with the id, oldest first.
    fn workers<'a>(&'a self, scope: &'a Scope, id: Option<&'a str>) -> StorageFuture<'a, Vec<Worker>>;
    /// A session with everything an operator sees, `pendingReason` excepted for pending ones.
    fn session<'a>(&'a self, scope: &'a Scope, id: &'a str) -> StorageFuture<'a, Option<SessionRow>>;
    /// Sessions, newest first.
    fn sessions<'a>(&'a self, scope: &'a Scope, filter: SessionFilter) -> StorageFuture<'a, Vec<SessionRow>>;
    /// Activities after a cursor, oldest first.
    fn activities<'a>(&'a self, scope: &'a Scope, id: &'a str, after: i64) -> StorageFuture<'a, Option<ActivityPage>>;
}

/// Who holds what. Every operation that changes a session also wakes whoever waits for that ([`Queue::wake`]).
pub(crate) trait Queue: Send + Sync + std::fmt::Debug {
    /// Where waits are registered and wake-ups arrive. An engine that spans processes feeds it from its own channel.
    fn wake(&self) -> &Wake;
    /// Number of pending sessions.
    fn depth<'a>(&'a self, scope: &'a Scope) -> StorageFuture<'a, u64>;
    /// Adds a session at the end of its priority.
    fn enqueue(&self, session: NewSession) -> StorageFuture<'_, Session>;
    /// Claims the most urgent sessions that the worker may see and has slots for.
    fn claim(&self, by: ClaimBy) -> StorageFuture<'_, Claimed>;
    /// Claims one session by id; a success again for its owner.
    fn claim_one<'a>(&'a self, by: ClaimBy, id: &'a str) -> StorageFuture<'a, ClaimOne>;
    /// Undoes claims whose answer could not be delivered.
    fn give_back<'a>(&'a self, worker: &'a str, claims: Vec<(String, u64)>) -> StorageFuture<'a, ()>;
    /// The owner refuses a claimed session.
    fn nack<'a>(&'a self, by: &'a Reporter, id: &'a str, nack: Nack) -> StorageFuture<'a, Guarded<Requeued>>;
    /// The owner moves its session on. Answers whether anything changed.
    fn report<'a>(&'a self, by: &'a Reporter, id: &'a str, report: Report) -> StorageFuture<'a, Guarded<bool>>;
    /// The owner adds to its session's timeline. Answers the activity's id.
    fn record_activity<'a>(&'a self, by: &'a Reporter, id: &'a str, what: Activity) -> StorageFuture<'a, Guarded<i64>>;
    /// The owner says what was done.
    fn complete<'a>(&'a self, by: &'a Reporter, id: &'a str, summary: String) -> StorageFuture<'a, Guarded<()>>;
    /// Renews a lease, and tells whether the session should end.
    fn renew<'a>(&'a self, by: &'a Reporter, id: &'a str) -> StorageFuture<'a, Guarded<StopState>>;
    /// As [`Queue::renew`], without renewing.
    fn stop_state<'a>(&'a self, by: &'a Reporter, id: &'a str) -> StorageFuture<'a, Guarded<StopState>>;
    /// A host's beat. `None`: no such registration.
    fn beat<'a>(&'a self, worker: &'a str, beat: Beat) -> StorageFuture<'a, Option<BeatAnswer>>;
    /// An operator wants the session to end. `false`: no such session.
    fn cancel<'a>(&'a self, scope: &'a Scope, id: &'a str, reason: Option<String>) -> StorageFuture<'a, bool>;
    /// Removes a registration and queues what it held again. `None`: no such registration.
    fn retire<'a>(&'a self, scope: &'a Scope, worker: &'a str) -> StorageFuture<'a, Option<Vec<String>>>;
    /// Takes back whatever is overdue. Answers when to look again, if anything is held.
    fn reap(&self) -> StorageFuture<'_, Option<i64>>;
    /// Forgets some of the sessions that ended long ago. Answers whether there are more.
    fn prune(&self) -> StorageFuture<'_, bool>;
    /// Grants every live claim a full new period, after a time in which nobody could renew.
    fn grant_grace(&self) -> StorageFuture<'_, u64>;
}
