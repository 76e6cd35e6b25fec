//! Connections.

use super::bind::ControlListener;
use super::events;
use super::guard;
use super::journal::Journal;
use super::metrics::{self, Metrics};
use super::peer::Peer;
use super::reply::Refusal;
use super::routes;
use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rensei_daemon_core::{Caller, ControlAuth, DaemonHandle};
use rensei_proto::{ErrorBody, SessionId};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Longest time for a request's head, and between two requests of one connection.
const HEADER_READ: Duration = Duration::from_secs(5);
/// Longest wait for open requests after the shutdown was asked for.
const SHUTDOWN: Duration = Duration::from_secs(5);
/// Pause after the system refused to accept a connection, as it does when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the control API until `shutdown`, then lets open requests finish. Beside it the metrics, where they are wanted.
pub(super) async fn serve(listener: ControlListener, daemon: DaemonHandle, shutdown: impl Future<Output = ()>) {
    let address = listener.local_addr();
    let socket = match TcpListener::from_std(listener.socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(%error, %address, "the control API cannot be served");
            return;
        }
    };
    let journal = Journal::new(jiff::Timestamp::now());
    let mut beside = JoinSet::new();
    beside.spawn(events::write_down(daemon.clone(), journal.clone()));
    let metrics = measure(&daemon, &mut beside);
    let ending = daemon.clone();
    let front = Front { router: routes::router(daemon.clone(), journal.clone()), daemon, metrics };
    let answer = move |request, peer| front.clone().answer(request, peer);
    let end = move || {
        beside.abort_all();
        events::conclude(&ending, &journal);
        journal.close();
    };
    run(Served { socket, name: "control" }, answer, shutdown, end).await;
}

/// Starts what counts and what serves the numbers, if the configuration names a port for them.
fn measure(daemon: &DaemonHandle, beside: &mut JoinSet<()>) -> Option<Arc<Metrics>> {
    let port = daemon.metrics_port()?;
    let metrics = Metrics::new(daemon.status().version);
    beside.spawn(Arc::clone(&metrics).count(daemon.events(), daemon.update_events()));
    beside.spawn(metrics::serve(port, Arc::clone(&metrics), daemon.clone()));
    Some(metrics)
}

/// A socket that is served.
pub(super) struct Served {
    pub(super) socket: TcpListener,
    pub(super) name: &'static str,
}

/// Answers requests until `shutdown`; then calls `end`, which ends what has no end of its own, and lets the rest finish.
pub(super) async fn run<A, F>(served: Served, answer: A, shutdown: impl Future<Output = ()>, end: impl FnOnce())
where
    A: Fn(Request<Incoming>, Arc<Peer>) -> F + Clone + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let Served { socket, name } = served;
    let (closing, closed) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        // Accepting and reaping lose nothing when dropped.
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&socket) => {
                connections.spawn(connection(accepted.0, accepted.1, answer.clone(), closed.clone()));
            }
        }
    }
    drop(socket);
    closing.send_replace(true);
    end();
    let finished = tokio::time::timeout(SHUTDOWN, async { while connections.join_next().await.is_some() {} }).await;
    if finished.is_err() {
        tracing::warn!(open = connections.len(), name, "connections were cut off at shutdown");
    }
}

/// The next connection. Failures are waited out: a daemon without descriptors must come back by itself.
async fn accept(socket: &TcpListener) -> (TcpStream, Peer) {
    loop {
        let accepted = socket.accept().await.and_then(|(stream, remote)| {
            stream.set_nodelay(true)?;
            let peer = Peer::new(stream.local_addr()?, remote);
            Ok((stream, peer))
        });
        match accepted {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a control connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether the error is about a client that has gone, not about us.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected
    )
}

async fn connection<A, F>(stream: TcpStream, peer: Peer, answer: A, mut closed: watch::Receiver<bool>)
where
    A: Fn(Request<Incoming>, Arc<Peer>) -> F,
    F: Future<Output = Response>,
{
    let peer = Arc::new(peer);
    let service = service_fn(move |request| {
        let answered = answer(request, Arc::clone(&peer));
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ)
        .keep_alive(true)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        _ = closed.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a control connection ended early");
    }
}

/// What stands before the routes.
#[derive(Clone)]
struct Front {
    router: Router,
    daemon: DaemonHandle,
    metrics: Option<Arc<Metrics>>,
}

impl Front {
    async fn answer(self, request: Request<Incoming>, peer: Arc<Peer>) -> Response {
        let Some(metrics) = self.metrics.clone() else { return self.guarded(request, peer).await };
        let (method, started) = (request.method().clone(), Instant::now());
        let response = self.guarded(request, peer).await;
        metrics.request(&method, response.status().as_u16(), started.elapsed());
        response
    }

    async fn guarded(self, request: Request<Incoming>, peer: Arc<Peer>) -> Response {
        let (mut parts, body) = request.into_parts();
        if let Err(refusal) = self.admit(&parts, &peer).await {
            return refusal.into_response();
        }
        parts.extensions.insert(peer);
        routes::answer(self.router, Request::from_parts(parts, Body::new(body))).await
    }

    async fn admit(&self, parts: &axum::http::request::Parts, peer: &Peer) -> Result<(), Refusal> {
        guard::check_request(parts)?;
        if !guard::is_public(parts) {
            match self.daemon.control_auth() {
                ControlAuth::SameUser => guard::check_peer(peer).await?,
                ControlAuth::Token => {
                    let checked = guard::check_token(&parts.headers, self.daemon.control_token());
                    if checked.is_err() && !self.is_worker_at_its_session(parts).await {
                        return checked;
                    }
                }
                ControlAuth::Open => {}
            }
        }
        if self.daemon.is_started() || parts.uri.path() == "/healthz" { Ok(()) } else { Err(starting()) }
    }
}

impl Front {
    /// Whether a worker asks about its own session, with the token of that session.
    async fn is_worker_at_its_session(&self, parts: &axum::http::request::Parts) -> bool {
        let below = parts.uri.path().strip_prefix("/api/daemon/sessions/").unwrap_or_default();
        let Ok(id) = SessionId::parse(below.split('/').next().unwrap_or_default()) else { return false };
        let value = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = value.and_then(|value| value.strip_prefix("Bearer ")) else { return false };
        matches!(self.daemon.caller(&id, Some(token), None).await, Caller::Worker)
    }
}

fn starting() -> Refusal {
    let body = ErrorBody { status: Some("starting".to_owned()), ..ErrorBody::new("daemon is still starting") };
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, body).retry_after(1)
}
