//! Connections.

use super::bind::ControlListener;
use super::events;
use super::guard;
use super::journal::Journal;
use super::peer::Peer;
use super::reply::Refusal;
use super::routes;
use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rensei_daemon_core::{ControlAuth, DaemonHandle};
use rensei_proto::ErrorBody;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

/// Longest time for a request's head, and between two requests of one connection.
const HEADER_READ: Duration = Duration::from_secs(5);
/// Longest wait for open requests after the shutdown was asked for.
const SHUTDOWN: Duration = Duration::from_secs(5);
/// Pause after the system refused to accept a connection, as it does when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then lets open requests finish.
pub(super) async fn serve(listener: ControlListener, daemon: DaemonHandle, shutdown: impl Future<Output = ()>) {
    let address = listener.local_addr();
    let socket = match TcpListener::from_std(listener.socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(%error, %address, "the control API cannot be served");
            return;
        }
    };
    let (closing, closed) = watch::channel(false);
    let mut connections = JoinSet::new();
    let journal = Journal::new(jiff::Timestamp::now());
    let mut history = JoinSet::new();
    history.spawn(events::write_down(daemon.clone(), journal.clone()));
    let front = Front { router: routes::router(daemon.clone(), journal.clone()), daemon };
    tokio::pin!(shutdown);
    loop {
        // Accepting and reaping lose nothing when dropped.
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&socket) => {
                connections.spawn(connection(accepted.0, accepted.1, front.clone(), closed.clone()));
            }
        }
    }
    drop(socket);
    closing.send_replace(true);
    history.shutdown().await;
    journal.close();
    let finished = tokio::time::timeout(SHUTDOWN, async { while connections.join_next().await.is_some() {} }).await;
    if finished.is_err() {
        tracing::warn!(open = connections.len(), "control connections were cut off at shutdown");
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

async fn connection(stream: TcpStream, peer: Peer, front: Front, mut closed: watch::Receiver<bool>) {
    let peer = Arc::new(peer);
    let service = service_fn(move |request| {
        let (front, peer) = (front.clone(), Arc::clone(&peer));
        async move { Ok::<_, Infallible>(front.answer(request, peer).await) }
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
}

impl Front {
    async fn answer(self, request: Request<Incoming>, peer: Arc<Peer>) -> Response {
        let (mut parts, body) = request.into_parts();
        if let Err(refusal) = self.admit(&parts, &peer).await {
            return refusal.into_response();
        }
        parts.extensions.insert(peer);
        let Ok(response) = self.router.oneshot(Request::from_parts(parts, Body::new(body))).await;
        response
    }

    async fn admit(&self, parts: &axum::http::request::Parts, peer: &Peer) -> Result<(), Refusal> {
        guard::check_request(parts)?;
        if !guard::is_public(parts) && self.daemon.control_auth() == ControlAuth::SameUser {
            guard::check_peer(peer).await?;
        }
        if self.daemon.is_started() || parts.uri.path() == "/healthz" { Ok(()) } else { Err(starting()) }
    }
}

fn starting() -> Refusal {
    let body = ErrorBody { status: Some("starting".to_owned()), ..ErrorBody::new("daemon is still starting") };
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, body).retry_after(1)
}
