//! Answers.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use rensei_proto::{ErrorBody, error_chain};
use serde::Serialize;

/// A JSON document followed by a line break.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let mut body = Vec::with_capacity(512);
    if let Err(error) = serde_json::to_writer(&mut body, value) {
        tracing::error!(%error, "an answer could not be written as JSON");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    body.push(b'\n');
    json_bytes(status, body)
}

/// A JSON document that is text already.
pub(super) fn json_bytes(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer that says no.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) body: Box<ErrorBody>,
    /// Seconds after which to try again.
    pub(super) retry_after: Option<u32>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, body: ErrorBody) -> Self {
        Self { status, body: Box::new(body), retry_after: None }
    }

    pub(super) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorBody::new(error))
    }

    pub(super) fn not_found(body: ErrorBody) -> Self {
        Self::new(StatusCode::NOT_FOUND, body)
    }

    pub(super) fn session_not_found(id: &rensei_proto::SessionId) -> Self {
        Self::not_found(ErrorBody::new("session not found")).of_session(id)
    }

    pub(super) fn internal(error: &dyn std::error::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorBody::new(error_chain(error)))
    }

    /// Names the session that the request is about.
    pub(super) fn of_session(mut self, id: &rensei_proto::SessionId) -> Self {
        self.body.session_id = Some(id.to_string());
        self
    }

    pub(super) const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json(self.status, &self.body);
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Runs `work` to its end, also when the client hangs up: half a session helps nobody.
pub(super) async fn finish<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Refusal> {
    tokio::spawn(work).await.map_err(|error| Refusal::internal(&error))
}
