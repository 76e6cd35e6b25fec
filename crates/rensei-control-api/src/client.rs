//! Typed client of the control API.

mod error;
mod events;
mod host;
mod http;
mod kits;
mod locate;
mod output;
mod pool;
mod providers;
mod routing;
mod sessions;
mod workareas;

pub use error::ControlError;
pub use events::EventStream;
pub use host::StatsQuery;
pub use locate::Whereabouts;
pub use output::{OutputQuery, OutputStream};

use http::{Http, Request};
use rensei_proto::Secret;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Time for an ordinary call.
const CALL: Duration = Duration::from_secs(10);

/// Client of a daemon's control API. Cloning is cheap and shares the connections.
#[derive(Debug, Clone)]
pub struct ControlClient {
    http: Http,
    call_timeout: Duration,
}

impl ControlClient {
    /// A client of the daemon at `base_url`, such as `http://127.0.0.1:7734`. Nothing is sent.
    ///
    /// # Errors
    /// [`ControlError::InvalidUrl`] unless it is `http://` with a host.
    pub fn new(base_url: &str) -> Result<Self, ControlError> {
        Ok(Self { http: Http::new(base_url)?, call_timeout: CALL })
    }

    /// Replaces the time that an ordinary call may take (10 s). Workareas and followed output have their own.
    #[must_use]
    pub const fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// Shows `token` with every call: a worker's `RENSEI_SESSION_TOKEN`, without which its session's credentials are not
    /// for it, or what a daemon with `control.auth: token` wants.
    #[must_use]
    pub fn bearer(mut self, token: &Secret) -> Self {
        self.http.set_bearer(token);
        self
    }

    /// Base URL without trailing slashes.
    #[must_use]
    pub fn url(&self) -> &str {
        self.http.url()
    }

    async fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T, ControlError> {
        self.http.ask(request, self.call_timeout).await
    }
}
