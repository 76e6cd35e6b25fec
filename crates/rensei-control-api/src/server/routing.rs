//! Routes of the routing record.

use super::message::{Answer, PathOf};
use super::reply::Refusal;
use super::routes::{Table, says};
use axum::extract::State;
use rensei_daemon_core::DaemonHandle;
use rensei_proto::control::{RoutingConfigResponse, RoutingExplanation};
use rensei_proto::{ErrorBody, SessionId};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) fn routes<T: Table>(table: T) -> T {
    let config = says("routingConfig", "routing", "What routing has learned, and its last decisions, oldest first.");
    let explained = says("explainRouting", "routing", "Why a session runs, or ran, where and with what it does.");
    table.get("/api/daemon/routing/config", show, config).get(
        "/api/daemon/routing/explain/{sessionId}",
        explain,
        explained,
    )
}

/// The path of one decision.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct DecisionPath {
    /// The session that it was made for.
    session_id: String,
}

async fn show(State(daemon): State<DaemonHandle>) -> Answer<RoutingConfigResponse> {
    Answer(RoutingConfigResponse { config: daemon.routing_config().await })
}

/// What cannot be the id of a session has no decision either.
async fn explain(
    State(daemon): State<DaemonHandle>,
    PathOf(DecisionPath { session_id }): PathOf<DecisionPath>,
) -> Result<Answer<RoutingExplanation>, Refusal> {
    let explained = SessionId::parse(&session_id).ok().and_then(|id| daemon.explain_routing(&id));
    explained.map(Answer).ok_or_else(|| {
        let body = ErrorBody { session_id: Some(session_id), ..ErrorBody::new("routing decision not found") };
        Refusal::not_found(body)
    })
}
