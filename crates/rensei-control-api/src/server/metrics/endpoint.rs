//! `GET /metrics` on a port of its own, on loopback. Numbers only, so any user of this machine may read them.

use super::Metrics;
use super::format::Format;
use crate::server::bind::ControlListener;
use crate::server::guard;
use crate::server::reply::Refusal;
use crate::server::serve::{Served, run};
use axum::body::Body;
use axum::http::header::{ACCEPT, ALLOW, CONTENT_TYPE, VARY};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::body::Incoming;
use rensei_daemon_core::DaemonHandle;
use rensei_proto::{ErrorBody, error_chain};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// First pause after the port could not be taken; the next ones double.
const RETRY: Duration = Duration::from_millis(500);
/// Longest pause.
const MAX_RETRY: Duration = Duration::from_secs(30);

/// Serves the numbers on this port of loopback until dropped, as soon as nobody else has it.
pub(in crate::server) async fn serve(port: u16, metrics: Arc<Metrics>, daemon: DaemonHandle) {
    let socket = take(port, &daemon).await;
    let answer = move |request: Request<Incoming>, _peer| {
        let answered = answer(&request, &metrics, &daemon);
        std::future::ready(answered.unwrap_or_else(IntoResponse::into_response))
    };
    run(Served { socket, name: "metrics" }, answer, std::future::pending(), || {}).await;
}

/// Takes the port, however long it takes; the host says meanwhile who has it.
async fn take(port: u16, daemon: &DaemonHandle) -> TcpListener {
    let mut pause = RETRY;
    loop {
        match bind(port).await {
            Ok(socket) => {
                daemon.note_metrics(None);
                return socket;
            }
            Err(error) => {
                let why = format!("{}; observability.metricsPort", error_chain(error.as_ref()));
                daemon.note_metrics(Some(&why));
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_RETRY);
    }
}

async fn bind(port: u16) -> Result<TcpListener, Box<dyn Error + Send + Sync>> {
    // Who has a port is found out by a walk over all processes.
    let bound = tokio::task::spawn_blocking(move || ControlListener::bind("127.0.0.1", port)).await??;
    Ok(TcpListener::from_std(bound.socket)?)
}

fn answer(request: &Request<Incoming>, metrics: &Metrics, daemon: &DaemonHandle) -> Result<Response, Refusal> {
    guard::check_head(request.uri(), request.headers())?;
    if request.uri().path() != "/metrics" {
        return Err(Refusal::not_found(ErrorBody::new("no such route").hint("the numbers are at /metrics")));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused =
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, ErrorBody::new("method not allowed")).into_response();
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET,HEAD"));
        return Ok(refused);
    }
    let format = Format::wanted(request.headers());
    let mut response = Response::new(Body::from(format.write(metrics.render(daemon))));
    response.headers_mut().insert(CONTENT_TYPE, format.media_type());
    response.headers_mut().insert(VARY, ACCEPT.into());
    Ok(response)
}
