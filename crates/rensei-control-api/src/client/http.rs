//! The one way in which requests leave.

use super::error::ControlError;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rensei_proto::{ErrorBody, Secret, lenient};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::io;
use std::time::Duration;

/// Largest answer that is read: room for some thousand records.
const MAX_BODY: usize = 64 * 1024 * 1024;
/// Largest refusal that is read.
const MAX_ERROR: usize = 64 * 1024;

/// Well below the 5 s after which the daemon closes an idle connection.
const POOL_IDLE: Duration = Duration::from_secs(2);

/// One request: path with query, and body.
#[derive(Debug)]
pub(super) struct Request {
    method: Method,
    path: Cow<'static, str>,
    body: Option<serde_json::Result<Vec<u8>>>,
    last_event: Option<String>,
}

impl Request {
    pub(super) fn get(path: impl Into<Cow<'static, str>>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, last_event: None }
    }

    pub(super) fn post(path: impl Into<Cow<'static, str>>) -> Self {
        Self { method: Method::POST, path: path.into(), body: None, last_event: None }
    }

    /// Resumes a stream of events after this one.
    pub(super) fn after_event(mut self, id: Option<&str>) -> Self {
        self.last_event = id.map(str::to_owned);
        self
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_vec(body));
        self
    }
}

/// Any text as one segment of a path.
pub(super) fn segment(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

/// Connection pool of one daemon.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    /// `Authorization` of every request.
    bearer: Option<HeaderValue>,
}

impl Http {
    pub(super) fn new(base_url: &str) -> Result<Self, ControlError> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(POOL_IDLE).build(connector);
        Ok(Self { client, url: checked(base_url)?, bearer: None })
    }

    /// Sends `token` with every request. One that cannot be a header is none.
    pub(super) fn set_bearer(&mut self, token: &Secret) {
        self.bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok();
        if let Some(bearer) = &mut self.bearer {
            bearer.set_sensitive(true);
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Sends the request and decodes its 2xx answer.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        request: Request,
        timeout: Duration,
    ) -> Result<T, ControlError> {
        let body = self.fetch(request, timeout).await?;
        lenient::from_slice(&body).map_err(|error| self.unreadable(error.into()))
    }

    /// Sends the request and returns the whole body of its 2xx answer.
    pub(super) async fn fetch(&self, request: Request, timeout: Duration) -> Result<Bytes, ControlError> {
        self.within(timeout, async {
            let response = self.exchange(request).await?;
            if response.body().size_hint().lower() > MAX_BODY as u64 {
                return Err(self.unreadable("it is too large".into()));
            }
            let collected = Limited::new(response.into_body(), MAX_BODY).collect().await;
            Ok(collected.map_err(|error| self.broken(error))?.to_bytes())
        })
        .await
    }

    /// Sends the request and returns its 2xx answer, body unread.
    pub(super) async fn send(&self, request: Request, timeout: Duration) -> Result<Response<Incoming>, ControlError> {
        self.within(timeout, self.exchange(request)).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, ControlError>>,
    ) -> Result<T, ControlError> {
        let timed = tokio::time::timeout(limit, work).await;
        timed.unwrap_or_else(|_| Err(ControlError::TimedOut { url: self.url.clone(), limit }))
    }

    async fn exchange(&self, request: Request) -> Result<Response<Incoming>, ControlError> {
        let request = self.build(request)?;
        let again = (request.method() == Method::GET).then(|| request.clone());
        let mut answered = self.client.request(request).await;
        // A kept connection may have been closed by a daemon that has just ended; reading twice does no harm.
        if answered.as_ref().is_err_and(|error| !error.is_connect())
            && let Some(request) = again
        {
            answered = self.client.request(request).await;
        }
        let response = answered.map_err(|error| self.failed(error))?;
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
    }

    fn build(&self, request: Request) -> Result<hyper::Request<Full<Bytes>>, ControlError> {
        let json = request.body.transpose().map_err(|error| self.unreadable(error.into()))?;
        let has_body = json.is_some();
        let mut built = hyper::Request::new(Full::from(json.unwrap_or_default()));
        *built.method_mut() = request.method;
        *built.uri_mut() = format!("{}{}", self.url, request.path).parse().map_err(|_| self.bad_path())?;
        if let Some(id) = request.last_event {
            let id = id.try_into().map_err(|_| self.unreadable("the id of the last event is no id".into()))?;
            built.headers_mut().insert("last-event-id", id);
        }
        if has_body {
            built.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(bearer) = &self.bearer {
            built.headers_mut().insert(AUTHORIZATION, bearer.clone());
        }
        Ok(built)
    }

    fn failed(&self, error: hyper_util::client::legacy::Error) -> ControlError {
        let url = self.url.clone();
        if is_refused(&error) {
            ControlError::NotRunning { url }
        } else {
            ControlError::Transport { url, source: error.into() }
        }
    }

    /// A body that did not arrive whole.
    fn broken(&self, source: Box<dyn std::error::Error + Send + Sync>) -> ControlError {
        if source.is::<LengthLimitError>() {
            self.unreadable(source)
        } else {
            ControlError::Transport { url: self.url.clone(), source }
        }
    }

    fn unreadable(&self, source: Box<dyn std::error::Error + Send + Sync>) -> ControlError {
        ControlError::Decode { url: self.url.clone(), source }
    }

    fn bad_path(&self) -> ControlError {
        ControlError::InvalidUrl { url: self.url.clone(), reason: "it makes no request target" }
    }
}

/// The base URL without trailing slashes. `localhost` becomes its address, so that nobody is asked for it.
fn checked(base_url: &str) -> Result<String, ControlError> {
    let text = base_url.trim().trim_end_matches('/');
    let refuse = |reason| ControlError::InvalidUrl { url: text.to_owned(), reason };
    let uri: Uri = text.parse().map_err(|_| refuse("it is not a URL"))?;
    if uri.scheme_str() != Some("http") {
        return Err(refuse("only http:// is supported"));
    }
    let authority = uri.authority().ok_or_else(|| refuse("it has no host"))?;
    if authority.as_str().contains('@') || uri.query().is_some() {
        return Err(refuse("it must be http://<host>:<port>"));
    }
    let host = if authority.host().eq_ignore_ascii_case("localhost") { "127.0.0.1" } else { authority.host() };
    let port = authority.port_u16().map_or_else(String::new, |port| format!(":{port}"));
    Ok(format!("http://{host}{port}{}", uri.path().trim_end_matches('/')))
}

/// Whether the host of a base URL is this machine.
pub(super) fn names_loopback(base_url: &str) -> bool {
    let uri: Option<Uri> = base_url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        next = error.source();
    }
    false
}

async fn refusal(response: Response<Incoming>) -> ControlError {
    let status = response.status();
    let raw = Limited::new(response.into_body(), MAX_ERROR).collect().await.map(|all| all.to_bytes());
    let raw = raw.unwrap_or_default();
    let body = serde_json::from_slice(&raw).unwrap_or_else(|_| ErrorBody::new(plain(status, &raw)));
    ControlError::Refused { status: status.as_u16(), body: Box::new(body) }
}

/// What can be said about a refusal that is not JSON.
fn plain(status: hyper::StatusCode, raw: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(raw).chars().filter(|c| !c.is_control()).take(500).collect();
    format!("HTTP {status}{}{text}", if text.is_empty() { "" } else { ": " })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        for (given, kept) in [
            ("http://127.0.0.1:7734/", "http://127.0.0.1:7734"),
            (" http://LOCALHOST:1 ", "http://127.0.0.1:1"),
            ("http://[::1]:7734", "http://[::1]:7734"),
            ("http://127.0.0.1", "http://127.0.0.1"),
        ] {
            assert_eq!(checked(given).unwrap(), kept);
        }
        for bad in
            ["", "7734", "127.0.0.1:7734", "https://127.0.0.1", "http://", "http://a@b", "http://h?x", "http://a b"]
        {
            assert!(matches!(checked(bad), Err(ControlError::InvalidUrl { .. })), "{bad}");
        }
    }
}
