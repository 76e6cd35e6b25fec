//! The platform API over HTTP.

mod auth;
mod error;
mod extract;
mod operator;
mod pending;
mod sessions;
mod validate;
mod waiting;
mod workers;

use crate::clock::Clock;
use crate::jwt::TokenSigner;
use crate::server::ServeOptions;
use crate::storage::{Queue, Store};
use auth::CredentialCache;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, Uri};
use axum::routing::{get, post};
use axum::{Json, Router};
use error::ApiError;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;

/// Largest request body.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct App {
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    setup: Setup,
    credentials: CredentialCache,
    /// Requests that are held until there is something to say.
    held: AtomicUsize,
}

/// How the server was set up.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) signer: TokenSigner,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: ServeOptions,
    /// Turns true when the server shuts down.
    pub(crate) stop: watch::Receiver<bool>,
}

impl App {
    pub(crate) fn new(store: Arc<dyn Store>, queue: Arc<dyn Queue>, setup: Setup) -> Self {
        Self { store, queue, setup, credentials: CredentialCache::default(), held: AtomicUsize::new(0) }
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.setup.clock)
    }

    fn now_ms(&self) -> i64 {
        self.setup.clock.now_ms()
    }
}

type Shared = State<Arc<App>>;

/// All routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/health", get(health))
        .route("/api/workers/register", post(workers::register))
        .route("/api/workers", get(workers::list))
        .route("/api/workers/{id}", get(workers::show).delete(workers::remove))
        .route("/api/workers/{id}/heartbeat", post(workers::heartbeat))
        .route("/api/workers/{id}/poll", get(workers::poll))
        .route("/api/workers/{id}/refresh-token", post(workers::refresh))
        .route("/api/workers/{id}/lock-refresh", post(workers::refresh))
        .route("/api/sessions", get(operator::list).post(operator::create))
        .route("/api/sessions/{id}", get(operator::show))
        .route("/api/sessions/{id}/cancel", post(operator::cancel))
        .route("/api/sessions/{id}/activities", get(operator::activities))
        .route("/api/sessions/{id}/claim", post(sessions::claim))
        .route("/api/sessions/{id}/lock-refresh", post(sessions::lock_refresh))
        .route("/api/sessions/{id}/nack", post(sessions::nack))
        .route("/api/sessions/{id}/status", get(sessions::read_status).post(sessions::report_status))
        .route("/api/sessions/{id}/activity", post(sessions::activity))
        .route("/api/sessions/{id}/completion", post(sessions::completion))
        .route("/api/sessions/{id}/progress", post(sessions::progress))
        .fallback(async |uri: Uri| ApiError::NoRoute { path: uri.path().to_owned() })
        .method_not_allowed_fallback(async |method: Method| ApiError::MethodNotAllowed { method })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(app)
}

async fn health(State(app): Shared) -> Json<Value> {
    let held = app.held.load(Ordering::Relaxed);
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION"), "heldRequests": held }))
}
