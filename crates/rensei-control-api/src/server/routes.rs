//! The table of routes: one line of [`routes`] per topic, one row per operation in the topic's file.

use super::api::{Api, Document};
use super::reply::Refusal;
use super::{document, host, output, overview, pool, providers, routing, sessions};
use aide::axum::ApiRouter;
use aide::openapi::OpenApi;
use aide::transform::TransformOperation;
use axum::Router;
use axum::http::StatusCode;
use rensei_daemon_core::DaemonHandle;
use rensei_proto::ErrorBody;

/// All documented routes, in the order of the document.
fn routes() -> ApiRouter<Api> {
    ApiRouter::new()
        .merge(host::routes())
        .merge(overview::routes())
        .merge(sessions::routes())
        .merge(output::routes())
        .merge(pool::routes())
        .merge(providers::routes())
        .merge(routing::routes())
        .merge(document::routes())
}

/// The routes of a daemon.
pub(super) fn router(daemon: DaemonHandle) -> Router {
    let (routes, api) = described();
    let document = Document(document::to_json(&api).into());
    routes.fallback(not_found).method_not_allowed_fallback(method_not_allowed).with_state(Api { daemon, document })
}

/// The routes, and the document that describes them.
pub(super) fn described() -> (Router<Api>, OpenApi) {
    document::prepare();
    let mut api = document::head();
    let routes = routes().finish_api_with(&mut api, document::finish);
    (routes, api)
}

/// What the document says of an operation: its id, which is also the name of the client's method, its topic, and one
/// sentence.
pub(super) fn says(
    id: &'static str,
    topic: &'static str,
    sentence: &'static str,
) -> impl for<'a> FnOnce(TransformOperation<'a>) -> TransformOperation<'a> {
    move |operation| operation.id(id).tag(topic).summary(sentence)
}

async fn not_found() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, ErrorBody::new("no such route"))
}

async fn method_not_allowed() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, ErrorBody::new("method not allowed"))
}
