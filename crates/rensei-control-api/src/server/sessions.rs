//! Routes below `/api/daemon/sessions`.

use super::asker::Asker;
use super::message::{Answer, Body, OptionalBody, PathOf, QueryOf, SessionPath, Switch};
use super::reply::{Refusal, finish};
use super::routes::{Table, says};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use rensei_daemon_core::{Caller, DaemonHandle};
use rensei_proto::SessionDetail;
use rensei_proto::control::{PostSession, SessionHandle, SessionView, StopRequest, StopResponse, Workarea};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) fn routes<T: Table>(table: T) -> T {
    let listed = says(
        "sessions",
        "sessions",
        "Live sessions as handles, oldest first; with `all=true` every remembered one as a record.",
    );
    let created = says("postSession", "sessions", "Runs a session on this host.");
    let detail = says(
        "sessionDetail",
        "sessions",
        "Everything that the worker of a live session needs; credentials only for that worker.",
    );
    let record = says("sessionRecord", "sessions", "The host's record of a session, live or ended.");
    let stopped = says("stopSession", "sessions", "Asks one session to end; answers at once.");
    let workarea = says("workarea", "sessions", "Makes the session's workarea, or answers with the one it has.");
    table
        .get("/api/daemon/sessions", list, |operation| listed(operation).response::<200, Answer<Listed>>())
        .post("/api/daemon/sessions", create, created)
        .get("/api/daemon/sessions/{id}", session_detail, detail)
        .get("/api/daemon/sessions/{id}/record", session_record, record)
        .post("/api/daemon/sessions/{id}/stop", stop, stopped)
        .post("/api/daemon/sessions/{id}/workarea", acquire, workarea)
}

#[derive(Debug, Deserialize, JsonSchema)]
struct ListQuery {
    /// Ended ones too, if it is the word `true`.
    #[serde(default)]
    all: Switch,
}

/// The two lists.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Listed {
    /// Without `all=true`.
    Live(Vec<SessionHandle>),
    /// With it.
    All(Vec<SessionView>),
}

async fn list(State(daemon): State<DaemonHandle>, QueryOf(query): QueryOf<ListQuery>) -> Result<Response, Refusal> {
    Ok(if query.all.is_on() {
        Answer::<_, 200>(daemon.all_sessions()).into_response()
    } else {
        Answer::<_, 200>(daemon.live_sessions()).into_response()
    })
}

async fn create(
    State(daemon): State<DaemonHandle>,
    Body(post): Body<PostSession>,
) -> Result<Answer<SessionHandle, 202>, Refusal> {
    let id = post.spec.session_id.clone();
    let accepted = finish(async move { daemon.post_session(post).await }).await?;
    accepted.map(Answer).map_err(|error| Refusal::from(error).of_session(&id))
}

/// Credentials are for the worker alone; what it has started, and people, see the rest.
async fn session_detail(
    State(daemon): State<DaemonHandle>,
    PathOf(SessionPath { id }): PathOf<SessionPath>,
    asker: Asker,
) -> Result<Answer<SessionDetail>, Refusal> {
    let detail = daemon.session_detail(&id).ok_or_else(|| Refusal::session_not_found(&id))?;
    Ok(Answer(match asker.about(&daemon, &id).await? {
        Caller::Worker => detail,
        Caller::Descendant | Caller::Operator | Caller::OtherSession => detail.without_credentials(),
    }))
}

async fn session_record(
    State(daemon): State<DaemonHandle>,
    PathOf(SessionPath { id }): PathOf<SessionPath>,
) -> Result<Answer<SessionView>, Refusal> {
    daemon.session_record(&id).map(Answer).ok_or_else(|| Refusal::session_not_found(&id))
}

async fn stop(
    State(daemon): State<DaemonHandle>,
    PathOf(SessionPath { id }): PathOf<SessionPath>,
    asker: Asker,
    OptionalBody(request): OptionalBody<StopRequest>,
) -> Result<Answer<StopResponse>, Refusal> {
    asker.about(&daemon, &id).await?;
    daemon.stop_session(&id, request.reason).map(Answer).ok_or_else(|| Refusal::session_not_found(&id))
}

async fn acquire(
    State(daemon): State<DaemonHandle>,
    PathOf(SessionPath { id }): PathOf<SessionPath>,
    asker: Asker,
) -> Result<Answer<Workarea>, Refusal> {
    if daemon.session_detail(&id).is_none() {
        return Err(Refusal::session_not_found(&id));
    }
    asker.part_of(&daemon, &id).await?;
    let session = id.clone();
    let acquired = finish(async move { daemon.acquire_workarea(&session).await }).await?;
    acquired.map(Answer).map_err(|error| Refusal::from(error).of_session(&id))
}
