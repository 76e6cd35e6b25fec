//! The table of routes: one line of [`routes`] per topic, one row per operation in the topic's file.

use super::api::Api;
use super::journal::Journal;
use super::reply::Refusal;
use aide::operation::OperationHandler;
use aide::transform::TransformOperation;
use aide::{OperationInput, OperationOutput};
use axum::Router;
use axum::body::Body;
use axum::handler::Handler;
use axum::http::header::ALLOW;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use hyper::Request;
use rensei_daemon_core::DaemonHandle;
use rensei_proto::ErrorBody;
use tower::ServiceExt;

/// What the rows are written into: the router of a daemon, which makes nothing of the descriptions, or the OpenAPI
/// document, which makes nothing of the handlers but their types.
pub(super) trait Table: Sized {
    /// `handler` answers GET at `path`.
    fn get<H, T, I, O>(self, path: &str, handler: H, about: impl Describe) -> Self
    where
        H: Handler<T, Api> + OperationHandler<I, O>,
        T: 'static,
        I: OperationInput,
        O: OperationOutput;

    /// `handler` answers POST at `path`.
    fn post<H, T, I, O>(self, path: &str, handler: H, about: impl Describe) -> Self
    where
        H: Handler<T, Api> + OperationHandler<I, O>,
        T: 'static,
        I: OperationInput,
        O: OperationOutput;

    /// Another spelling of a path for GET, which the document leaves out.
    fn get_also<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static;
}

/// What the document says of an operation.
pub(super) trait Describe: FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {}

impl<F: FnOnce(TransformOperation<'_>) -> TransformOperation<'_>> Describe for F {}

/// All routes, in the order of the document.
pub(super) fn routes<T: Table>(table: T) -> T {
    let table = super::host::routes(table);
    let table = super::overview::routes(table);
    let table = super::sessions::routes(table);
    let table = super::output::routes(table);
    let table = super::pool::routes(table);
    let table = super::providers::routes(table);
    let table = super::routing::routes(table);
    let table = super::kits::routes(table);
    let table = super::workareas::routes(table);
    let table = super::events::routes(table);
    super::document::routes(table)
}

/// The routes of a daemon.
pub(super) fn router(daemon: DaemonHandle, journal: Journal) -> Router {
    let table = routes(Router::new());
    table.fallback(not_found).method_not_allowed_fallback(method_not_allowed).with_state(Api { daemon, journal })
}

/// Asks the routes. A router takes HEAD where it takes GET; here it is a method that no route has, as clients of the
/// predecessor know it.
pub(super) async fn answer(router: Router, mut request: Request<Body>) -> Response {
    if *request.method() == Method::HEAD {
        *request.method_mut() = Method::TRACE;
    }
    let only = super::kits::method_of(request.uri().path()).map(str::to_owned);
    let Ok(mut response) = router.oneshot(request).await;
    if let Some(allowed) = response.headers().get(ALLOW).and_then(|value| value.to_str().ok()) {
        let without_head = || allowed.split(',').map(str::trim).filter(|method| *method != "HEAD").collect::<Vec<_>>();
        if let Ok(value) = HeaderValue::try_from(only.unwrap_or_else(|| without_head().join(", "))) {
            response.headers_mut().insert(ALLOW, value);
        }
    }
    response
}

impl Table for Router<Api> {
    fn get<H, T, I, O>(self, path: &str, handler: H, _about: impl Describe) -> Self
    where
        H: Handler<T, Api> + OperationHandler<I, O>,
        T: 'static,
        I: OperationInput,
        O: OperationOutput,
    {
        self.route(path, axum::routing::get(handler))
    }

    fn post<H, T, I, O>(self, path: &str, handler: H, _about: impl Describe) -> Self
    where
        H: Handler<T, Api> + OperationHandler<I, O>,
        T: 'static,
        I: OperationInput,
        O: OperationOutput,
    {
        self.route(path, axum::routing::post(handler))
    }

    fn get_also<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.route(path, axum::routing::get(handler))
    }
}

/// What the document says of an operation: its id, which is also the name of the client's method, its topic, and one
/// sentence.
pub(super) fn says(id: &'static str, topic: &'static str, sentence: &'static str) -> impl Describe {
    move |operation: TransformOperation<'_>| operation.id(id).tag(topic).summary(sentence)
}

async fn not_found() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, ErrorBody::new("no such route"))
}

async fn method_not_allowed() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, ErrorBody::new("method not allowed"))
}
