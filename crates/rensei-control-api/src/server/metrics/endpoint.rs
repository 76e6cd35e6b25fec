//! `GET /metrics` on a port of its own, on loopback. Numbers only, so any user of this machine may read them.

use super::Metrics;
use super::format::Format;
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
use rensei_proto::ErrorBody;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Takes the port on loopback.
pub(in crate::server) async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

/// Serves the numbers until `shutdown`.
pub(in crate::server) async fn serve(
    socket: TcpListener,
    metrics: Arc<Metrics>,
    daemon: DaemonHandle,
    shutdown: impl Future<Output = ()>,
) {
    let answer = move |request: Request<Incoming>, _peer| {
        let answered = answer(&request, &metrics, &daemon);
        std::future::ready(answered.unwrap_or_else(IntoResponse::into_response))
    };
    run(Served { socket, name: "metrics" }, answer, shutdown, || {}).await;
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
