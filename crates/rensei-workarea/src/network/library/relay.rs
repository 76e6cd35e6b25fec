//! HTTP for libgit2: what it says to a port of this process goes on to the remote.
//!
//! libgit2 would bring OpenSSL for https, and it neither notices that nobody waits for it nor bounds what a server sends.
//! So it speaks plain HTTP to the relay, and the relay speaks to the remote with the HTTP client and the TLS of the rest
//! of the product. It passes on the three requests that git's protocol is made of, to that one repository, for whoever
//! knows its secret path, for as long as it is not dropped.

mod client;
mod forward;

use crate::WorkareaError;
use crate::git::GitEnvironment;
use crate::network::Upstream;
use forward::Remote;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use reqwest::Url;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

/// A way to one remote. Everything on it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Relay {
    address: SocketAddr,
    remote: Arc<Remote>,
    server: AbortHandle,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Relay {
    /// Listens for libgit2. Nothing is said to the remote yet.
    pub(super) async fn open(upstream: &Upstream, url: Url, git: &GitEnvironment) -> Result<Self, WorkareaError> {
        let shown = upstream.repository.shown.clone();
        let failed = |detail: String| WorkareaError::Git { operation: format!("connect to `{shown}`"), detail };
        let client = client::client(&url, git).map_err(&failed)?;
        let secret = secret().map_err(|error| failed(error.to_string()))?;
        let remote = Arc::new(Remote::new(upstream, url, secret, client));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(|error| failed(format!("no port to listen at: {error}")))?;
        let address = listener.local_addr().map_err(|error| failed(error.to_string()))?;
        let server = tokio::spawn(serve(listener, Arc::clone(&remote))).abort_handle();
        Ok(Self { address, remote, server })
    }

    /// What libgit2 takes for the remote.
    pub(super) fn url(&self) -> String {
        format!("http://{}/{}", self.address, self.remote.secret())
    }

    /// The first thing that went wrong between here and the remote.
    pub(super) fn trouble(&self) -> Option<WorkareaError> {
        self.remote.trouble()
    }
}

async fn serve(listener: TcpListener, remote: Arc<Remote>) {
    // Its connections end with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let remote = Arc::clone(&remote);
        let service = service_fn(move |request| {
            let remote = Arc::clone(&remote);
            async move { remote.pass_on(request).await }
        });
        let connection =
            http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move { drop(connection.await) });
    }
}

/// What other users of the machine would have to guess.
fn secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
