//! What operators call.

use super::error::ApiError;
use super::extract::{Body, Id, Params};
use super::validate::{bounded_text, check_session, check_size};
use super::waiting::Until;
use super::{App, Shared, pending};
use crate::runner::Runner;
use crate::storage::{NewSession, Project, Scope, SessionFilter, SessionRow};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use rensei_proto::operator::{ActivityPage, CancelSession, CreateSession, Session, SessionList};
use rensei_proto::platform::PollItem;
use rensei_proto::{SessionDetail, SessionId, SessionStatus};
use serde::Deserialize;
use std::time::Duration;

/// Priority of a session that names none.
const DEFAULT_PRIORITY: i64 = 3;
/// Longest held request, in seconds.
const MAX_WAIT: u64 = 55;
/// Entries of a list, and the most that may be asked for.
const LIMIT: (i64, i64) = (50, 500);

pub(super) async fn create(
    State(app): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Session>), ApiError> {
    let scope = app.operator(&headers).await?;
    let request: CreateSession = body.json()?;
    check_session(&request)?;
    let project = app.project(&scope, request.project.as_deref()).await?;
    let new = new_session(request, scope, project)?;
    check_size(&new.item)?;
    let (runner, provider) = (new.runner, new.provider.clone());
    let session = app.queue.enqueue(new).await?;
    tracing::info!(
        event = "dispatch", session_id = %session.session_id, project = %session.project,
        runner = runner.as_str(), provider, priority = session.priority,
    );
    Ok((StatusCode::CREATED, Json(session)))
}

impl App {
    /// The project that the request names, or the only one that the caller sees.
    async fn project(&self, scope: &Scope, name: Option<&str>) -> Result<Project, ApiError> {
        let mut found = self.store.projects(scope, name).await?;
        match (found.len(), name) {
            (1, _) => found.pop().ok_or(ApiError::Internal("a project vanished")),
            (_, Some(name)) => Err(ApiError::NotFound { what: "project", id: bounded_text(name.to_owned(), 80) }),
            (0, None) => Err(ApiError::BadRequest("project is missing, and the API key sees none".to_owned())),
            (_, None) => Err(ApiError::BadRequest("project is missing: the API key sees several".to_owned())),
        }
    }
}

fn new_session(request: CreateSession, scope: Scope, project: Project) -> Result<NewSession, ApiError> {
    let repository = request.repository.unwrap_or_else(|| project.repository.clone());
    if repository.is_empty() {
        return Err(ApiError::BadRequest(format!("repository is missing, and project {} has none", project.slug)));
    }
    // A host that knows the project under that name would run the session on the project's own repository.
    let project_name = if repository == project.repository { project.slug.clone() } else { String::new() };
    let id = uuid::Uuid::new_v4().to_string();
    let session_id = SessionId::parse(&id).map_err(|_| ApiError::Internal("a UUID is no session id"))?;
    let runner = Runner::of_new_session(project.org_features.as_deref());
    let mut profile = request.resolved_profile.unwrap_or_default();
    profile.runner = runner.as_str().to_owned();
    let detail = SessionDetail { resolved_profile: Some(profile.clone()), ..SessionDetail::new(session_id.clone()) };
    let item = PollItem {
        session_id,
        attempt: None,
        project_name,
        repository,
        r#ref: request.r#ref.unwrap_or_default(),
        priority: request.priority.unwrap_or(DEFAULT_PRIORITY),
        env: request.env,
        max_duration_seconds: request.max_duration_seconds,
        resources: None,
        queued_at: 0,
        // There is no tracker: clients that insist on an issue get the session itself.
        issue_identifier: id.chars().take(8).collect(),
        issue_id: id,
        linear_session_id: String::new(),
        provider_session_id: String::new(),
        organization_id: scope.org.clone(),
        work_type: request.work_type.unwrap_or_default(),
        prompt_context: request.prompt.unwrap_or_default(),
        body: String::new(),
        title: request.title.unwrap_or_default(),
        mention_context: String::new(),
        parent_context: String::new(),
        branch: request.branch.unwrap_or_default(),
        resolved_profile: Some(profile),
        model_profile: None,
        stage_prompt: String::new(),
        stage_id: String::new(),
        stage_budget: None,
        stage_lifecycle: None,
        stage_source_event_id: String::new(),
    };
    Ok(NewSession { scope, project, runner, provider: detail.provider().to_owned(), item })
}

/// Which sessions to list.
#[derive(Debug, Deserialize)]
pub(super) struct ListParams {
    project: Option<String>,
    status: Option<String>,
    limit: Option<i64>,
}

pub(super) async fn list(
    State(app): Shared,
    Params(params): Params<ListParams>,
    headers: HeaderMap,
) -> Result<Json<SessionList>, ApiError> {
    let scope = app.operator(&headers).await?;
    let status = match params.status.as_deref() {
        None | Some("") => None,
        Some(word) => Some(SessionStatus::parse(word).ok_or_else(|| {
            ApiError::BadRequest(
                "status must be one of pending, claimed, running, finalizing, completed, failed, stopped".to_owned(),
            )
        })?),
    };
    let (default, most) = LIMIT;
    let limit = params.limit.unwrap_or(default);
    if !(1..=most).contains(&limit) {
        return Err(ApiError::BadRequest(format!("limit must be between 1 and {most}, not {limit}")));
    }
    if let Some(project) = &params.project {
        app.project(&scope, Some(project)).await?;
    }
    let rows = app.store.sessions(&scope, SessionFilter { project: params.project, status, limit }).await?;
    let sessions = app.as_seen(&scope, rows).await?;
    Ok(Json(SessionList { count: sessions.len(), sessions }))
}

impl App {
    /// Sessions with the reason why they wait.
    async fn as_seen(&self, scope: &Scope, rows: Vec<SessionRow>) -> Result<Vec<Session>, ApiError> {
        let waiting = rows.iter().any(|row| row.session.status == SessionStatus::Pending);
        // Workers of the whole organisation: one of another project tells a missing worker from a mismatched one.
        let whole = Scope { org: scope.org.clone(), project: None };
        let workers = if waiting { self.store.workers(&whole, None).await? } else { Vec::new() };
        let seen = |row: SessionRow| Session { pending_reason: pending::reason(&row, &workers), ..row.session };
        Ok(rows.into_iter().map(seen).collect())
    }

    async fn session(&self, scope: &Scope, id: &str) -> Result<Session, ApiError> {
        let row = self.store.session(scope, id).await?.ok_or_else(|| ApiError::session_not_found(id))?;
        let mut seen = self.as_seen(scope, vec![row]).await?;
        seen.pop().ok_or(ApiError::Internal("a session vanished"))
    }
}

/// How to wait for a change.
#[derive(Debug, Deserialize)]
pub(super) struct FollowParams {
    /// What the caller has seen: `updatedAt` of a session, the cursor of its activities.
    after: Option<i64>,
    /// Seconds.
    #[serde(default)]
    wait: u64,
}

impl FollowParams {
    fn until(&self) -> Option<Until> {
        (self.wait > 0).then(|| Until::after(Duration::from_secs(self.wait.min(MAX_WAIT))))
    }
}

pub(super) async fn show(
    State(app): Shared,
    Id(id): Id,
    Params(params): Params<FollowParams>,
    headers: HeaderMap,
) -> Result<Json<Session>, ApiError> {
    let scope = app.operator(&headers).await?;
    let until = params.until().filter(|_| params.after.is_some());
    let mut changes = until.map(|_| app.queue.wake().wait_for_session(&id));
    loop {
        let session = app.session(&scope, &id).await?;
        let (Some(until), Some(changes)) = (until, changes.as_mut()) else { return Ok(Json(session)) };
        let seen = params.after.is_some_and(|after| session.updated_at <= after);
        if !seen || session.status.is_terminal() || !app.came_before(until, changes.changed()).await {
            return Ok(Json(session));
        }
    }
}

pub(super) async fn cancel(
    State(app): Shared,
    Id(id): Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Session>, ApiError> {
    let scope = app.operator(&headers).await?;
    let request: CancelSession = body.json_or_default()?;
    let reason = request.reason.map(|reason| bounded_text(reason, 1_000));
    if !app.queue.cancel(&scope, &id, reason).await? {
        return Err(ApiError::session_not_found(&id));
    }
    app.session(&scope, &id).await.map(Json)
}

pub(super) async fn activities(
    State(app): Shared,
    Id(id): Id,
    Params(params): Params<FollowParams>,
    headers: HeaderMap,
) -> Result<Json<ActivityPage>, ApiError> {
    let scope = app.operator(&headers).await?;
    let (until, after) = (params.until(), params.after.unwrap_or(0));
    let mut changes = until.map(|_| app.queue.wake().wait_for_session(&id));
    loop {
        let page = app.store.activities(&scope, &id, after).await?;
        let page = page.ok_or_else(|| ApiError::session_not_found(&id))?;
        let (Some(until), Some(changes)) = (until, changes.as_mut()) else { return Ok(Json(page)) };
        let done = !page.activities.is_empty() || page.session_status.is_terminal();
        if done || !app.came_before(until, changes.changed()).await {
            return Ok(Json(page));
        }
    }
}
