//! The one way in which requests leave.

use crate::base_url::BaseUrl;
use crate::body::{self, MAX_BODY, ReadError};
use crate::error::ClientError;
use crate::operation::Operation;
use crate::options::ClientOptions;
use crate::retry_after;
use rensei_proto::{ErrorBody, Secret};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, Proxy, Response, redirect};
use serde::Serialize;
use std::time::Duration;

/// How long calls may take, from the first byte sent to the last byte read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Making a connection: 5 s.
    pub connect: Duration,
    /// Heartbeat, activity, nack, and a status that is not terminal: 5 s.
    pub short: Duration,
    /// Everything that has no timeout of its own: 10 s.
    pub call: Duration,
    /// Poll without waiting, completion, and a terminal status: 30 s.
    pub long: Duration,
    /// Added to the time that the control plane is asked to hold a request: 10 s.
    pub wait_margin: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            short: Duration::from_secs(5),
            call: Duration::from_secs(10),
            long: Duration::from_secs(30),
            wait_margin: Duration::from_secs(10),
        }
    }
}

/// Below the idle limit of our own control plane (10 s) and of common servers, so that a pooled connection is rarely a
/// dead one.
const POOL_IDLE: Duration = Duration::from_secs(8);
/// Longest wait for the rest of a body that nobody looks at.
const DRAIN: Duration = Duration::from_secs(1);

/// One request.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    operation: Operation,
    method: Method,
    url: String,
    token: &'a Secret,
    body: Option<Vec<u8>>,
    timeout: Duration,
}

impl Call<'_> {
    /// Adds a query parameter.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.push(if self.url.contains('?') { '&' } else { '?' });
        self.url.push_str(name);
        self.url.push('=');
        crate::base_url::push_encoded(&mut self.url, value);
        self
    }

    /// Sets the body.
    pub(crate) fn json(mut self, body: &impl Serialize) -> Result<Self, ClientError> {
        let operation = self.operation;
        self.body = Some(serde_json::to_vec(body).map_err(|source| ClientError::Decode { operation, source })?);
        Ok(self)
    }

    /// Replaces the timeout.
    pub(crate) const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// Connection pool of one control plane.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    base: BaseUrl,
    pub(crate) timeouts: Timeouts,
}

impl Http {
    pub(crate) fn new(base_url: &str, user_agent: &str, options: &ClientOptions) -> Result<Self, ClientError> {
        let (base, timeouts) = (BaseUrl::parse(base_url)?, options.timeouts);
        let tls = rensei_tls::client_config(&options.root_certificates).map_err(ClientError::Setup)?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(user_agent)
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(timeouts.connect)
            .pool_idle_timeout(POOL_IDLE)
            .tcp_nodelay(true);
        let setup = |error: reqwest::Error| ClientError::Setup(Box::new(error));
        if let Some(proxy) = &options.proxy {
            builder = builder.proxy(Proxy::all(proxy).map_err(setup)?);
        } else if base.is_loopback() {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(setup)?;
        Ok(Self { client, base, timeouts })
    }

    pub(crate) fn get<'a>(
        &self,
        operation: Operation,
        token: &'a Secret,
        segments: &[&str],
    ) -> Result<Call<'a>, ClientError> {
        let url = self.base.join(operation, segments)?;
        Ok(Call { operation, method: Method::GET, url, token, body: None, timeout: self.timeouts.call })
    }

    pub(crate) fn post<'a>(
        &self,
        operation: Operation,
        token: &'a Secret,
        segments: &[&str],
    ) -> Result<Call<'a>, ClientError> {
        Ok(Call { method: Method::POST, ..self.get(operation, token, segments)? })
    }

    /// Lets the control plane hold the request for up to `wait`, in whole seconds.
    pub(crate) fn waiting<'a>(&self, call: Call<'a>, wait: Option<Duration>) -> Call<'a> {
        let Some(wait) = wait else { return call };
        let timeout = wait.saturating_add(self.timeouts.wait_margin);
        call.query("wait", &wait.as_secs().to_string()).timeout(timeout)
    }

    /// Sends the call and returns the body of its 2xx answer.
    pub(crate) async fn fetch(&self, call: Call<'_>) -> Result<Vec<u8>, ClientError> {
        let operation = call.operation;
        let mut response = self.send(call).await?;
        body::read(&mut response).await.map_err(|error| match error {
            ReadError::Transport(source) => self.transport(operation, source),
            ReadError::TooLarge => ClientError::TooLarge { operation, limit: MAX_BODY },
        })
    }

    /// Sends the call; a 2xx answer is all that matters.
    pub(crate) async fn deliver(&self, call: Call<'_>) -> Result<(), ClientError> {
        let mut response = self.send(call).await?;
        // Read only so that the connection can be used again; what was accepted stays accepted.
        let _unused = tokio::time::timeout(DRAIN, body::read(&mut response)).await;
        Ok(())
    }

    /// Sends the call and returns its 2xx answer, body unread.
    async fn send(&self, call: Call<'_>) -> Result<Response, ClientError> {
        let Call { operation, method, url, token, body, timeout } = call;
        let mut request = self.client.request(method, url).timeout(timeout);
        if !token.is_empty() {
            request = request.header(AUTHORIZATION, bearer(operation, token)?);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body);
        }
        let response = request.send().await.map_err(|source| self.transport(operation, source))?;
        let status = response.status();
        tracing::trace!(%operation, status = status.as_u16(), "control plane answered");
        if status.is_success() { Ok(response) } else { Err(refusal(operation, response, token).await) }
    }

    fn transport(&self, operation: Operation, source: reqwest::Error) -> ClientError {
        ClientError::Transport { operation, url: self.base.as_str().to_owned(), source: source.without_url() }
    }
}

pub(crate) fn bearer(operation: Operation, token: &Secret) -> Result<HeaderValue, ClientError> {
    let text = format!("Bearer {}", token.expose());
    let mut value = HeaderValue::try_from(text).map_err(|_| ClientError::InvalidToken { operation })?;
    value.set_sensitive(true);
    Ok(value)
}

async fn refusal(operation: Operation, mut response: Response, token: &Secret) -> ClientError {
    let status = response.status();
    let retry_after = retry_after::retry_after(response.headers());
    let body = Box::new(match redirect_target(&response) {
        Some(target) => redirected(&target),
        None => body::read_error(&mut response, token).await,
    });
    ClientError::Status { operation, status: status.as_u16(), body, retry_after }
}

/// Scheme, host and port that a redirect points to.
fn redirect_target(response: &Response) -> Option<String> {
    let location = response.status().is_redirection().then(|| response.headers().get(LOCATION)).flatten()?;
    let target = response.url().join(location.to_str().ok()?).ok()?;
    Some(target.origin().ascii_serialization())
}

fn redirected(target: &str) -> ErrorBody {
    ErrorBody::new(format!("redirected to {target}, which is not followed"))
        .hint(format!("if the control plane has moved, set its URL to {target}"))
}
