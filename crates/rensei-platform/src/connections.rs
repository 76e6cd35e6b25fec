//! Connections.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Longest time for a request's head, and between two requests of one connection.
const HEADER_READ: Duration = Duration::from_secs(10);
/// How long requests under way may take to finish after the shutdown began.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);
/// Pause after the system refused to accept a connection, as it does when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stopping` turns true, then lets requests under way finish.
pub(crate) async fn serve(listener: TcpListener, router: Router, mut stopping: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let stop = stopping.clone();
    loop {
        // Accepting, reaping and waiting lose nothing when dropped.
        tokio::select! {
            () = async { drop(stopping.wait_for(|stop| *stop).await) } => break,
            Some(_) = connections.join_next() => {}
            stream = accept(|| listener.accept()) => {
                connections.spawn(connection(stream.0, router.clone(), stop.clone()));
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_LIMIT, all).await.is_err() {
        tracing::warn!(event = "connections_cut", open = connections.len(), "requests were cut off by the shutdown");
    }
}

/// The next connection. Failures are waited out: a server without descriptors must come back by itself.
async fn accept<T, F: Future<Output = io::Result<T>>>(mut next: impl FnMut() -> F) -> T {
    loop {
        match next().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(event = "accept_failed", %error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether the error is about a client that has gone, not about us.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | NotConnected)
}

async fn connection(stream: TcpStream, router: Router, mut stopping: watch::Receiver<bool>) {
    // Only latency is lost if it fails.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    // Neither arm loses anything: the connection is only borrowed, and the stop stays true.
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = async { drop(stopping.wait_for(|stop| *stop).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(event = "connection_ended_early", %error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[tokio::test(start_paused = true)]
    async fn accepting_goes_on_after_every_failure() {
        const EMFILE: i32 = 24;
        let began = tokio::time::Instant::now();
        let mut outcomes = VecDeque::from([
            Err(io::Error::from_raw_os_error(EMFILE)),
            Err(io::ErrorKind::ConnectionAborted.into()),
            Err(io::ErrorKind::OutOfMemory.into()),
            Ok("connection"),
        ]);
        let accepted = accept(|| std::future::ready(outcomes.pop_front().unwrap())).await;
        assert_eq!((accepted, outcomes.len()), ("connection", 0));
        assert_eq!(began.elapsed(), ACCEPT_PAUSE * 2, "what is our own trouble is waited out");
    }
}
