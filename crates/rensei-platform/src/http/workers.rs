//! What hosts call, and who looks at hosts.

use super::auth::{Caller, named};
use super::error::{ApiError, AuthError};
use super::extract::{Body, Id, Params, Wait};
use super::waiting::{Delivery, Until};
use super::{App, Shared};
use crate::clock::millis;
use crate::jwt::Claims;
use crate::runner::Runner;
use crate::storage::{Beat, BeatAnswer, ClaimBy, Claimed, Credential, Kill, NewWorker, Scope, Worker};
use crate::tokens::{TokenKind, random_hex};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use rensei_proto::platform::{
    EXTENSION_FENCING, EXTENSION_LONG_POLL, HeartbeatRequest, HeartbeatResponse, HostActivity, HostStatus,
    PendingMutation, PollResponse, RegisterRequest, RegisterResponse,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Longest poll, in seconds.
const MAX_WAIT: u64 = 55;
/// Most sessions that a host may run at once.
const MAX_CAPACITY: i64 = 10_000;

/// `ms` as the wire wants it.
pub(super) fn rfc3339(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map(rensei_proto::rfc3339_seconds).unwrap_or_default()
}

pub(super) async fn register(
    State(app): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<RegisterResponse>), ApiError> {
    let credential = app.registrar(&headers).await?;
    let request: RegisterRequest = body.json()?;
    let worker = new_worker(&request, &headers, &credential)?;
    let (runner, hostname) = (worker.runner, worker.hostname.clone());
    let id = app.store.register(worker).await?;
    tracing::info!(event = "registered", worker_id = %id, hostname, runner = runner.as_str());
    let answer = app.credentials_of(&id, &credential.scope, &credential.id)?;
    Ok((StatusCode::CREATED, Json(answer)))
}

fn new_worker(request: &RegisterRequest, headers: &HeaderMap, by: &Credential) -> Result<NewWorker, ApiError> {
    let capacity = request.effective_capacity();
    if !(0..=MAX_CAPACITY).contains(&capacity) {
        return Err(ApiError::BadRequest(format!("capacity must be between 0 and {MAX_CAPACITY}, not {capacity}")));
    }
    for (field, text) in
        [("machineId", &request.machine_id), ("hostname", &request.hostname), ("version", &request.version)]
    {
        if text.len() > 255 || text.chars().any(char::is_control) {
            return Err(ApiError::BadRequest(format!("{field} must be at most 255 bytes without control characters")));
        }
    }
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let allowlist = &request.daemon_projects;
    Ok(NewWorker {
        id: format!("wkr_{}", random_hex::<8>().map_err(|_| ApiError::Internal("no random bytes"))?),
        scope: by.scope.clone(),
        registration_id: by.id.clone(),
        machine_id: request.machine_id.clone(),
        hostname: request.hostname.clone(),
        version: request.version.clone(),
        runner: Runner::of_host(&request.runtime, agent),
        capacity,
        provides: json!(request.provides).to_string(),
        allowlist: (!allowlist.is_empty()).then(|| json!(allowlist).to_string()),
    })
}

impl App {
    /// A fresh runtime token and what goes with it.
    fn credentials_of(&self, worker: &str, scope: &Scope, registration: &str) -> Result<RegisterResponse, ApiError> {
        let options = &self.setup.options;
        let ttl = i64::try_from(options.token_ttl.as_secs()).unwrap_or(i64::MAX);
        let claims = Claims::new(worker, scope, registration, (self.now_ms() / 1000, ttl));
        let token = self.setup.signer.sign(&claims).ok_or(ApiError::Internal("the runtime token cannot be signed"))?;
        let interval = |period| u64::try_from(millis(period)).unwrap_or(0);
        Ok(RegisterResponse {
            worker_id: worker.to_owned(),
            runtime_token: token,
            runtime_token_expires_at: Some(rfc3339(claims.exp.saturating_mul(1000))),
            heartbeat_interval: interval(options.heartbeat_interval),
            poll_interval: interval(options.poll_interval),
            extensions: vec![EXTENSION_LONG_POLL.to_owned(), EXTENSION_FENCING.to_owned()],
        })
    }

    async fn worker(&self, scope: &Scope, id: &str) -> Result<Worker, ApiError> {
        self.store.workers(scope, Some(id)).await?.pop().ok_or_else(|| ApiError::worker_not_found(id))
    }
}

/// A new runtime token for the same worker: for whoever could register it, or still has a valid one.
pub(super) async fn refresh(
    State(app): Shared,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Json<RegisterResponse>, ApiError> {
    let caller = app.caller(&headers).await?;
    match &caller {
        Caller::Host(claims) => named(claims, &id)?,
        Caller::Holder(credential) if credential.kind != TokenKind::Worker => {}
        Caller::Holder(_) => {
            let (wants, got) = ("a registration token or a runtime token", "a worker API key");
            return Err(AuthError::WrongKind { wants, got }.into());
        }
    }
    let scope = caller.scope();
    let worker = app.worker(&scope, &id).await?;
    // The token keeps the scope of the registration, not that of a wider credential.
    let own = Scope { org: scope.org, project: worker.project };
    app.credentials_of(&id, &own, &worker.registration_id).map(Json)
}

pub(super) async fn heartbeat(
    State(app): Shared,
    Id(id): Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<HeartbeatResponse>, ApiError> {
    app.host_of(&headers, &id).await?;
    // A bare beat says that the host is there and nothing else.
    let bare = HeartbeatRequest { active_count: Some(0), ..HeartbeatRequest::default() };
    let request: HeartbeatRequest = if body.is_empty() { bare } else { body.json()? };
    let active = match request.active_count.or(request.active_sessions) {
        Some(count) if count >= 0 => count.min(MAX_CAPACITY),
        Some(_) => return Err(ApiError::BadRequest("activeCount must not be negative".to_owned())),
        None => return Err(ApiError::BadRequest("activeCount is missing".to_owned())),
    };
    for failure in &request.mutation_failures {
        tracing::warn!(event = "mutation_failed", worker_id = %id, mutation = %failure.id, error = %failure.error);
    }
    let beat = Beat {
        draining: request.status.map(|status| status == HostActivity::Draining),
        capacity: i64::from(request.max_sessions).min(MAX_CAPACITY),
        active,
        allowlist_hash: request.allowlist_hash,
        allowlist: request.allowlist,
        held: request.sessions,
        resumed: request.resumed,
    };
    let answer = app.queue.beat(&id, beat).await?.ok_or_else(|| ApiError::worker_not_found(&id))?;
    Ok(Json(app.beat_answer(answer)))
}

impl App {
    fn beat_answer(&self, answer: BeatAnswer) -> HeartbeatResponse {
        HeartbeatResponse {
            acknowledged: true,
            server_time: rfc3339(self.now_ms()),
            pending_work_count: answer.pending,
            host_status: Some(HostStatus {
                status: "ok".to_owned(),
                recommended_action: None,
                candidate_pool_ids: Vec::new(),
            }),
            pending_mutations: answer.kills.into_iter().map(kill_mutation).collect(),
            lost_sessions: answer.lost,
        }
    }
}

fn kill_mutation(kill: Kill) -> PendingMutation {
    PendingMutation {
        id: format!("kill-{}-{}", kill.session_id, kill.attempt),
        op: PendingMutation::SESSION_KILL.to_owned(),
        params: json!({ "sessionId": kill.session_id, "reason": kill.reason }),
        requested_at: rfc3339(kill.requested_at),
        requested_by: "operator".to_owned(),
    }
}

pub(super) async fn poll(
    State(app): Shared,
    Id(id): Id,
    Params(wait): Params<Wait>,
    headers: HeaderMap,
) -> Result<Json<PollResponse>, ApiError> {
    let claims = app.host_of(&headers, &id).await?;
    let by = ClaimBy { scope: claims.visible(), worker: id };
    let mut delivery = app.claim(by.clone()).await?;
    if delivery.is_empty()
        && let Some(wait) = wait.up_to(MAX_WAIT)
    {
        delivery = app.claim_within(by.clone(), Until::after(wait), delivery).await?;
    }
    match delivery.peek() {
        Some(Claimed::UnknownWorker) => Err(ApiError::worker_not_found(&by.worker)),
        Some(Claimed::Work { .. }) | None => answer_poll(delivery).map(Json),
    }
}

impl App {
    /// Looks again whenever there may be something, until there is. `last` is an empty look.
    async fn claim_within(&self, by: ClaimBy, until: Until, mut last: Delivery) -> Result<Delivery, ApiError> {
        let Some(Claimed::Work { runner, .. }) = last.peek() else { return Ok(last) };
        let mut wait = self.queue.wake().wait_for_work(&by.worker, &by.scope, *runner);
        loop {
            wait.begin_look();
            last = self.claim(by.clone()).await?;
            let free = match last.peek() {
                Some(Claimed::Work { free, .. }) => *free,
                Some(Claimed::UnknownWorker) | None => 0,
            };
            wait.end_look(free == 0);
            let unknown = matches!(last.peek(), Some(Claimed::UnknownWorker));
            if unknown || !last.is_empty() || !self.came_before(until, wait.woken()).await {
                return Ok(last);
            }
        }
    }
}

/// The answer that hands the sessions over.
fn answer_poll(delivery: Delivery) -> Result<PollResponse, ApiError> {
    let items = delivery.take();
    let claimed_session_ids = items.iter().map(|item| item.session_id.clone()).collect();
    let work = items.into_iter().map(|item| RawValue::from_string(item.item)).collect::<Result<Vec<_>, _>>();
    let work = work.map_err(|_| ApiError::Internal("a stored work item is not JSON"))?;
    Ok(PollResponse { pre_claimed: !work.is_empty(), work, claimed_session_ids, ..PollResponse::default() })
}

/// A worker as people see it.
fn view(worker: &Worker) -> Value {
    let status = match (worker.online, worker.draining) {
        (false, _) => "offline",
        (true, true) => "draining",
        (true, false) => "active",
    };
    json!({
        "id": worker.id,
        "hostname": worker.hostname,
        "version": worker.version,
        "runtime": worker.runner.as_str(),
        "projectId": worker.project,
        "status": status,
        "capacity": worker.capacity,
        "activeCount": worker.sessions.len(),
        "activeSessions": worker.sessions,
        "foreignCount": worker.foreign,
        "registeredAt": worker.registered_at,
        "lastHeartbeat": worker.last_beat_at,
    })
}

pub(super) async fn list(State(app): Shared, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    let scope = app.reader(&headers).await?.scope();
    let workers = app.store.workers(&scope, None).await?;
    let queued = app.queue.depth(&scope).await?;
    let online: Vec<_> = workers.iter().filter(|worker| worker.online).collect();
    let active: usize = workers.iter().map(|worker| worker.sessions.len()).sum();
    let available: i64 = online.iter().filter(|worker| !worker.draining).map(|worker| worker.free().max(0)).sum();
    Ok(Json(json!({
        "workers": workers.iter().map(view).collect::<Vec<_>>(),
        "summary": {
            "totalWorkers": workers.len(),
            "activeWorkers": online.len(),
            "totalCapacity": online.iter().map(|worker| worker.capacity).sum::<i64>(),
            "totalActive": active,
            "availableCapacity": available,
            "queueLength": queued,
        },
    })))
}

pub(super) async fn show(State(app): Shared, Id(id): Id, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    let caller = app.reader(&headers).await?;
    if let Caller::Host(claims) = &caller {
        named(claims, &id)?;
    }
    Ok(Json(view(&app.worker(&caller.scope(), &id).await?)))
}

pub(super) async fn remove(State(app): Shared, Id(id): Id, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    let caller = app.reader(&headers).await?;
    if let Caller::Host(claims) = &caller {
        named(claims, &id)?;
    }
    let requeued = app.queue.retire(&caller.scope(), &id).await?;
    let requeued = requeued.ok_or_else(|| ApiError::worker_not_found(&id))?;
    tracing::info!(event = "deregistered", worker_id = %id, requeued = requeued.len());
    Ok(Json(json!({ "deregistered": true, "unclaimedSessions": requeued })))
}
