//! Routes below `/api/daemon/sessions`.

use super::body;
use super::host::Host;
use super::reply::{Refusal, json};
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use rensei_proto::SessionId;
use rensei_proto::control::{PostSession, StopRequest};
use serde::Deserialize;

/// An `{id}` in a path, as axum found it.
pub(super) type PathId = Result<Path<String>, PathRejection>;

/// The session id in the path.
pub(super) fn session_id(id: PathId) -> Result<SessionId, Refusal> {
    let Path(text) = id.map_err(|rejection| Refusal::bad_request(format!("invalid path: {rejection}")))?;
    SessionId::parse(&text).map_err(|error| Refusal::bad_request(error.to_string()))
}

/// A query string, as axum found it.
pub(super) fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Refusal> {
    query.map(|Query(value)| value).map_err(|rejection| Refusal::bad_request(format!("invalid query: {rejection}")))
}

#[derive(Debug, Deserialize)]
pub(super) struct ListQuery {
    /// Ended ones too, if it is the word `true`.
    #[serde(default)]
    all: String,
}

pub(super) async fn list<H: Host>(
    State(host): State<H>,
    list: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let all = query(list)?.all == "true";
    Ok(if all { json(StatusCode::OK, &host.all_sessions()) } else { json(StatusCode::OK, &host.live_sessions()) })
}

pub(super) async fn create<H: Host>(State(host): State<H>, body: Body) -> Result<Response, Refusal> {
    let post: PostSession = body::required(body).await?;
    let handle = finish(async move { host.post_session(post).await }).await?;
    Ok(json(StatusCode::ACCEPTED, &handle))
}

pub(super) async fn detail<H: Host>(State(host): State<H>, id: PathId) -> Result<Response, Refusal> {
    let id = session_id(id)?;
    let detail = host.session_detail(&id).ok_or_else(|| Refusal::session_not_found(&id))?;
    Ok(json(StatusCode::OK, &detail))
}

pub(super) async fn record<H: Host>(State(host): State<H>, id: PathId) -> Result<Response, Refusal> {
    let id = session_id(id)?;
    let view = host.session_view(&id).ok_or_else(|| Refusal::session_not_found(&id))?;
    Ok(json(StatusCode::OK, &view))
}

pub(super) async fn stop<H: Host>(State(host): State<H>, id: PathId, body: Body) -> Result<Response, Refusal> {
    let id = session_id(id)?;
    let request: StopRequest = body::optional(body).await?;
    let stopped = host.stop_session(&id, request.reason).ok_or_else(|| Refusal::session_not_found(&id))?;
    Ok(json(StatusCode::OK, &stopped))
}

pub(super) async fn workarea<H: Host>(State(host): State<H>, id: PathId) -> Result<Response, Refusal> {
    let id = session_id(id)?;
    let workarea = finish(async move { host.acquire_workarea(&id).await }).await?;
    Ok(json(StatusCode::OK, &workarea))
}

/// Runs `work` to its end, also when the client hangs up: half a session helps nobody.
async fn finish<T: Send + 'static>(
    work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(Refusal::internal(&error)))
}
