//! The table of routes: one line of [`routes`] per topic, one row per operation in the topic's file.

use super::api::{Api, Document};
use super::document;
use super::journal::Journal;
use super::reply::Refusal;
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
        .merge(super::host::routes())
        .merge(super::overview::routes())
        .merge(super::sessions::routes())
        .merge(super::output::routes())
        .merge(super::pool::routes())
        .merge(super::providers::routes())
        .merge(super::routing::routes())
        .merge(super::kits::routes())
        .merge(super::workareas::routes())
        .merge(super::events::routes())
        .merge(super::document::routes())
}

/// The routes of a daemon.
pub(super) fn router(daemon: DaemonHandle, journal: Journal) -> Router {
    let (routes, api) = described();
    let document = Document(document::to_json(&api).into());
    routes.fallback(not_found).method_not_allowed_fallback(method_not_allowed).with_state(Api {
        daemon,
        document,
        journal,
    })
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
