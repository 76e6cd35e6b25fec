//! The routes.

use super::host::Host;
use super::reply::{Refusal, json};
use super::{body, output, sessions};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use rensei_proto::ErrorBody;
use rensei_proto::control::{ActionResponse, DrainRequest};
use std::time::Duration;

/// Longest drain that may be asked for, in seconds: a week.
const MAX_DRAIN: u64 = 7 * 24 * 60 * 60;

pub(super) fn router<H: Host>(host: H) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/api/daemon/status", get(status::<H>))
        .route("/api/daemon/pause", post(pause::<H>))
        .route("/api/daemon/resume", post(resume::<H>))
        .route("/api/daemon/drain", post(drain::<H>))
        .route("/api/daemon/stop", post(stop::<H>))
        .route("/api/daemon/sessions", get(sessions::list::<H>).post(sessions::create::<H>))
        .route("/api/daemon/sessions/{id}", get(sessions::detail::<H>))
        .route("/api/daemon/sessions/{id}/record", get(sessions::record::<H>))
        .route("/api/daemon/sessions/{id}/stop", post(sessions::stop::<H>))
        .route("/api/daemon/sessions/{id}/output", get(output::output::<H>))
        .route("/api/daemon/sessions/{id}/workarea", post(sessions::workarea::<H>))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(host)
}

async fn healthz() -> Response {
    let mut response = Response::new(Body::from("ok"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

async fn status<H: Host>(State(host): State<H>) -> Response {
    json(StatusCode::OK, &host.status())
}

async fn pause<H: Host>(State(host): State<H>) -> Result<Response, Refusal> {
    host.pause().map(|()| action("paused"))
}

async fn resume<H: Host>(State(host): State<H>) -> Result<Response, Refusal> {
    host.resume().map(|()| action("resumed"))
}

async fn drain<H: Host>(State(host): State<H>, body: Body) -> Result<Response, Refusal> {
    let request: DrainRequest = body::optional(body).await?;
    if request.timeout_seconds.is_some_and(|seconds| seconds > MAX_DRAIN) {
        return Err(Refusal::bad_request(format!("invalid body: timeoutSeconds is more than {MAX_DRAIN} (7 days)")));
    }
    let deadline = host.drain(request)?;
    Ok(action(format!("drain initiated (timeout {})", go_duration(deadline))))
}

async fn stop<H: Host>(State(host): State<H>) -> Response {
    host.stop();
    action("stopping")
}

fn action(message: impl Into<String>) -> Response {
    json(StatusCode::OK, &ActionResponse { ok: true, message: message.into() })
}

async fn not_found() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, ErrorBody::new("no such route"))
}

async fn method_not_allowed() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, ErrorBody::new("method not allowed"))
}

/// Whole seconds as Go prints them, which clients of the message know: `5s`, `2m0s`, `1h0m0s`.
fn go_duration(duration: Duration) -> String {
    let (total, minute, hour) = (duration.as_secs(), 60, 3600);
    let (hours, minutes, seconds) = (total / hour, total % hour / minute, total % minute);
    match total {
        _ if hours > 0 => format!("{hours}h{minutes}m{seconds}s"),
        _ if minutes > 0 => format!("{minutes}m{seconds}s"),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_prints_them() {
        for (seconds, text) in
            [(0, "0s"), (5, "5s"), (120, "2m0s"), (600, "10m0s"), (3600, "1h0m0s"), (90061, "25h1m1s")]
        {
            assert_eq!(go_duration(Duration::from_secs(seconds)), text);
        }
    }
}
