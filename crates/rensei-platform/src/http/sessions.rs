//! What hosts and workers say of sessions.

use super::auth::named;
use super::error::ApiError;
use super::extract::{Body, Id, Params, Wait};
use super::validate::{bounded_activity, bounded_result, bounded_text};
use super::waiting::Until;
use super::{App, Shared};
use crate::storage::{ClaimBy, ClaimOne, Nack, Report, Reporter, Requeued, StopState};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use rensei_proto::SessionStatus;
use rensei_proto::operator::Session;
use rensei_proto::platform::{
    Activity, ActivityRequest, ClaimRequest, ClaimResponse, CompletionRequest, LockRefreshRequest, LockRefreshResponse,
    NackRequest, StatusRequest,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Longest held lock refresh, in seconds.
const MAX_WAIT: u64 = 25;

/// The answer to a claim as it is sent: the item goes out as it is stored.
#[derive(Debug, serde::Serialize)]
#[serde(untagged)]
pub(super) enum ClaimAnswer {
    Claimed { claimed: bool, session: Value, work: Box<RawValue> },
    Refused(ClaimResponse),
}

pub(super) async fn claim(
    State(app): Shared,
    Id(id): Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ClaimAnswer>, ApiError> {
    let claims = app.host(&headers).await?;
    let request: ClaimRequest = body.json()?;
    named(&claims, &request.worker_id)?;
    let by = ClaimBy { scope: claims.visible(), worker: request.worker_id };
    match app.queue.claim_one(by.clone(), &id).await? {
        ClaimOne::UnknownWorker => Err(ApiError::worker_not_found(&by.worker)),
        ClaimOne::UnknownSession => Err(ApiError::session_not_found(&id)),
        ClaimOne::Refused(reason) => {
            let reason = Some(reason.to_owned());
            Ok(Json(ClaimAnswer::Refused(ClaimResponse { claimed: false, reason, ..ClaimResponse::default() })))
        }
        ClaimOne::Claimed(work) => {
            let session = json!({ "sessionId": id, "workerId": by.worker, "attempt": work.attempt });
            let work = RawValue::from_string(work.item);
            let work = work.map_err(|_| ApiError::Internal("a stored work item is not JSON"))?;
            Ok(Json(ClaimAnswer::Claimed { claimed: true, session, work }))
        }
    }
}

pub(super) async fn lock_refresh(
    State(app): Shared,
    Id(id): Id,
    Params(wait): Params<Wait>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<LockRefreshResponse>, ApiError> {
    let request: LockRefreshRequest = body.json_or_default()?;
    let by = app.session_host(&headers, &request.worker_id, request.attempt).await?;
    let refused = |refusal| ApiError::refused(refusal, &id, "renewed");
    let until = wait.up_to(MAX_WAIT).map(Until::after);
    let mut changes = until.map(|_| app.queue.wake().wait_for_session(&id));
    let mut state = app.queue.renew(&by, &id).await?.map_err(refused)?;
    while let (false, Some(until), Some(changes)) = (state.stop, until, changes.as_mut()) {
        if !app.came_before(until, changes.changed()).await {
            break;
        }
        state = app.queue.stop_state(&by, &id).await?.map_err(refused)?;
    }
    let StopState { stop, reason } = state;
    Ok(Json(LockRefreshResponse { refreshed: true, stop, stop_reason: reason.filter(|_| stop) }))
}

/// The body; a stranger learns nothing of what is wrong with it.
async fn read<T: DeserializeOwned>(app: &App, headers: &HeaderMap, body: &Body) -> Result<T, ApiError> {
    match body.json() {
        Ok(request) => Ok(request),
        Err(error) => {
            app.caller(headers).await?;
            Err(error)
        }
    }
}

pub(super) async fn nack(
    State(app): Shared,
    Id(id): Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let request: NackRequest = read(&app, &headers, &body).await?;
    let by = app.session_host(&headers, &request.worker_id, request.attempt).await?;
    let nack = Nack { reason: bounded_text(request.reason, 1_000), host_fault: request.host_fault };
    let outcome = app.queue.nack(&by, &id, nack).await?;
    let requeued = outcome.map_err(|refusal| ApiError::refused(refusal, &id, "pending"))?;
    Ok(Json(json!({ "nacked": true, "sessionId": id, "requeued": requeued == Requeued::Yes })))
}

pub(super) async fn read_status(State(app): Shared, Id(id): Id, headers: HeaderMap) -> Result<Json<Session>, ApiError> {
    let scope = app.reader(&headers).await?.scope();
    let row = app.store.session(&scope, &id).await?.ok_or_else(|| ApiError::session_not_found(&id))?;
    Ok(Json(row.session))
}

pub(super) async fn report_status(
    State(app): Shared,
    Id(id): Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let request: StatusRequest = read(&app, &headers, &body).await?;
    let by = app.reporter(&headers, &request.worker_id, request.attempt).await?;
    if by.worker.is_none() {
        return Err(ApiError::BadRequest("workerId must not be empty".to_owned()));
    }
    let report = read_report(request)?;
    let status = report.status;
    let outcome = app.queue.report(&by, &id, report).await?;
    let updated = outcome.map_err(|refusal| ApiError::refused(refusal, &id, status.as_str()))?;
    let session = json!({ "sessionId": id, "status": status, "workerId": by.worker });
    Ok(Json(json!({ "updated": updated, "session": session })))
}

fn read_report(request: StatusRequest) -> Result<Report, ApiError> {
    let reportable = |status: &SessionStatus| !matches!(status, SessionStatus::Pending | SessionStatus::Claimed);
    let status = SessionStatus::parse(&request.status).filter(reportable).ok_or_else(|| {
        ApiError::BadRequest("status must be one of running, finalizing, completed, failed, stopped".to_owned())
    })?;
    let number = |count: Option<u64>| count.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let result = request.result.map(bounded_result);
    Ok(Report {
        status,
        provider_session: request.provider_session_id.map(|id| bounded_text(id, 512)),
        worktree_path: request.worktree_path.map(|path| bounded_text(path, 4_096)),
        error: request.error.map(|error| bounded_text(error.message, 16 * 1024)),
        total_cost_usd: request.total_cost_usd.filter(|cost| cost.is_finite()),
        input_tokens: number(request.input_tokens),
        output_tokens: number(request.output_tokens),
        result: result.and_then(|result| serde_json::to_string(&result).ok()),
    })
}

pub(super) async fn activity(
    State(app): Shared,
    Id(id): Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let request: ActivityRequest = read(&app, &headers, &body).await?;
    let by = app.reporter(&headers, &request.worker_id, request.attempt).await?;
    let number = app.record(&by, &id, request.activity).await?;
    // There is no tracker to forward it to; it is kept here.
    Ok(Json(json!({ "forwarded": false, "reason": "no_tracker", "recorded": true, "activityId": number })))
}

impl App {
    async fn record(&self, by: &Reporter, id: &str, activity: Activity) -> Result<i64, ApiError> {
        if activity.r#type.is_empty() || activity.r#type.len() > 64 {
            return Err(ApiError::BadRequest("activity.type must have 1 to 64 bytes".to_owned()));
        }
        let outcome = self.queue.record_activity(by, id, bounded_activity(activity)).await?;
        outcome.map_err(|refusal| ApiError::refused(refusal, id, "added to"))
    }
}

pub(super) async fn completion(
    State(app): Shared,
    Id(id): Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let request: CompletionRequest = read(&app, &headers, &body).await?;
    let by = app.reporter(&headers, &request.worker_id, request.attempt).await?;
    if request.summary.trim().is_empty() {
        return Err(ApiError::BadRequest("summary must not be empty".to_owned()));
    }
    let summary = bounded_text(request.summary, 64 * 1024);
    let outcome = app.queue.complete(&by, &id, summary).await?;
    outcome.map_err(|refusal| ApiError::refused(refusal, &id, "summarised"))?;
    Ok(Json(json!({ "posted": true, "partsPosted": 1, "totalParts": 1 })))
}

/// Body of a progress report.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProgressRequest {
    #[serde(default)]
    worker_id: String,
    #[serde(default)]
    attempt: Option<u64>,
    message: String,
    #[serde(default)]
    milestone: Option<String>,
}

pub(super) async fn progress(
    State(app): Shared,
    Id(id): Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let request: ProgressRequest = read(&app, &headers, &body).await?;
    let by = app.reporter(&headers, &request.worker_id, request.attempt).await?;
    let content = match &request.milestone {
        Some(milestone) => format!("[{milestone}] {}", request.message),
        None => request.message,
    };
    let activity = Activity { r#type: "progress".to_owned(), content, ..Activity::default() };
    app.record(&by, &id, activity).await?;
    Ok(Json(json!({ "posted": true, "milestone": request.milestone })))
}
