//! Routes of the pool of workareas.

use super::message::{Answer, Body};
use super::refuse::with_status;
use super::reply::{Refusal, finish};
use super::routes::{Table, says};
use axum::extract::State;
use rensei_daemon_core::DaemonHandle;
use rensei_proto::control::{EvictPoolRequest, EvictPoolResponse, WorkareaPoolStats};
use rensei_proto::{ErrorBody, error_chain};

pub(super) fn routes<T: Table>(table: T) -> T {
    let stats_of = says("poolStats", "pool", "Members of the workarea pool, and the disk that they take.");
    let evicted = says("evictPool", "pool", "Deletes idle workareas of a repository; never one that a session holds.");
    table.get("/api/daemon/pool/stats", stats, stats_of).post("/api/daemon/pool/evict", evict, evicted)
}

async fn stats(State(daemon): State<DaemonHandle>) -> Answer<WorkareaPoolStats> {
    Answer(daemon.pool_stats())
}

async fn evict(
    State(daemon): State<DaemonHandle>,
    Body(request): Body<EvictPoolRequest>,
) -> Result<Answer<EvictPoolResponse>, Refusal> {
    if request.repo_url.trim().is_empty() {
        return Err(Refusal::bad_request("repoUrl is required"));
    }
    if request.older_than_seconds < 0 {
        return Err(Refusal::bad_request("olderThanSeconds must not be negative"));
    }
    let evicted = finish(async move { daemon.evict_pool(request).await }).await?;
    evicted.map(Answer).map_err(|error| {
        let body = ErrorBody { hint: error.hint(), ..ErrorBody::new(format!("evict failed: {}", error_chain(&error))) };
        with_status(error.http_status(), body)
    })
}
