//! From a request of libgit2 to one of ours, and back.

use crate::WorkareaError;
use crate::network::Upstream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use rensei_proto::error_chain;
use reqwest::Url;
use std::convert::Infallible;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

/// Hops of the first request; the others follow none.
const MAX_REDIRECTS: usize = 3;
/// Most that a server may say of its references.
const MAX_REFERENCES: usize = 64 << 20;
/// Most that it may send at a time otherwise.
const MAX_PACK: usize = 32 << 30;

type Body = BoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// The repository that requests are passed on to.
#[derive(Debug)]
pub(super) struct Remote {
    secret: String,
    shown: String,
    client: reqwest::Client,
    credentials: Option<(String, rensei_proto::Secret)>,
    /// Without credentials. Moves when the server says so.
    base: Mutex<Url>,
    trouble: Arc<Mutex<Option<WorkareaError>>>,
}

/// One of the requests that git's protocol is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// What there is.
    References(&'static str),
    /// What is wanted, or sent.
    Talk(&'static str),
}

impl Call {
    fn parse(method: &Method, path: &str, query: Option<&str>) -> Option<Self> {
        let services = ["git-upload-pack", "git-receive-pack"];
        let mut services = services.into_iter();
        match (method, path) {
            (&Method::GET, "/info/refs") => services
                .find(|service| query.and_then(|query| query.strip_prefix("service=")) == Some(service))
                .map(Self::References),
            (&Method::POST, _) => services.find(|service| path.strip_prefix('/') == Some(service)).map(Self::Talk),
            _ => None,
        }
    }

    /// What the server's answer must call itself: anything else is no answer of a git server.
    fn content_type(self) -> String {
        match self {
            Self::References(service) => format!("application/x-{service}-advertisement"),
            Self::Talk(service) => format!("application/x-{service}-result"),
        }
    }

    const fn limit(self) -> usize {
        match self {
            Self::References(_) => MAX_REFERENCES,
            Self::Talk(_) => MAX_PACK,
        }
    }
}

impl Remote {
    pub(super) fn new(upstream: &Upstream, mut url: Url, secret: String, client: reqwest::Client) -> Self {
        let credentials = credentials(upstream, &url);
        // Neither fails for a URL with a host.
        let _ = (url.set_username(""), url.set_password(None));
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        let shown = upstream.repository.shown.clone();
        Self { secret, shown, client, credentials, base: Mutex::new(url), trouble: Arc::default() }
    }

    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    pub(super) fn trouble(&self) -> Option<WorkareaError> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers libgit2. It is told of trouble by the status alone: the caller asks for the rest.
    pub(super) async fn pass_on(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let uri = request.uri();
        let path = uri.path().strip_prefix('/').and_then(|path| path.strip_prefix(self.secret.as_str()));
        let call = path.and_then(|path| Call::parse(request.method(), path, uri.query()));
        let Some(call) = call else { return Ok(refuse(StatusCode::NOT_FOUND)) };
        let answer = match call {
            Call::References(service) => self.references(service).await,
            Call::Talk(service) => self.talk(service, request).await,
        };
        let answer = answer.and_then(|answer| self.check(answer, call));
        Ok(answer.unwrap_or_else(|trouble| {
            note(&self.trouble, trouble);
            refuse(StatusCode::BAD_GATEWAY)
        }))
    }

    /// Asks what there is, and where the server wants to be asked.
    async fn references(&self, service: &str) -> Result<reqwest::Response, WorkareaError> {
        for _ in 0..=MAX_REDIRECTS {
            let url = self.below("/info/refs", Some(&format!("service={service}")));
            let response = self.send(self.client.get(url.clone())).await?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let moved = location.and_then(|location| redirected(&url, location));
            let moved = moved.ok_or_else(|| self.refused("a redirect leads to another host, or nowhere"))?;
            *self.base.lock().unwrap_or_else(PoisonError::into_inner) = moved;
        }
        Err(self.refused("too many redirects"))
    }

    async fn talk(&self, service: &str, request: Request<Incoming>) -> Result<reqwest::Response, WorkareaError> {
        let length = request.headers().get(CONTENT_LENGTH).cloned();
        let call = self
            .client
            .post(self.below(&format!("/{service}"), None))
            .header(CONTENT_TYPE, format!("application/x-{service}-request"))
            .header(ACCEPT, format!("application/x-{service}-result"))
            .body(reqwest::Body::wrap(request.into_body()));
        self.send(match length {
            Some(length) => call.header(CONTENT_LENGTH, length),
            None => call,
        })
        .await
    }

    async fn send(&self, call: reqwest::RequestBuilder) -> Result<reqwest::Response, WorkareaError> {
        let call = match &self.credentials {
            Some((user, token)) => call.basic_auth(user, Some(token.expose())),
            None => call,
        };
        call.send().await.map_err(|error| unreachable(&self.shown, &error.without_url()))
    }

    fn check(&self, answer: reqwest::Response, call: Call) -> Result<Response<Body>, WorkareaError> {
        let (repository, status) = (self.shown.clone(), answer.status());
        let detail = format!("the server answers with {status}");
        match status.as_u16() {
            200 => {}
            401 | 403 | 407 => return Err(WorkareaError::Denied { repository, detail: self.denial(detail) }),
            404 | 410 => return Err(WorkareaError::NotARepository { repository, detail }),
            429 | 500.. => return Err(WorkareaError::Unreachable { repository, detail }),
            _ => return Err(self.refused(&detail)),
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
        if kind != call.content_type() {
            let detail = "no git server answers at this URL".to_owned();
            return Err(WorkareaError::NotARepository { repository, detail });
        }
        let (noted, shown) = (Arc::clone(&self.trouble), self.shown.clone());
        let body = Limited::new(reqwest::Body::from(answer), call.limit()).map_err(move |error| {
            note(&noted, broken(&shown, error.as_ref()));
            error
        });
        let mut response = Response::new(body.boxed());
        if let Ok(kind) = kind.parse() {
            response.headers_mut().insert(CONTENT_TYPE, kind);
        }
        Ok(response)
    }

    /// What to make of it: nobody is asked for credentials here.
    fn denial(&self, detail: String) -> String {
        if self.credentials.is_some() {
            return detail;
        }
        format!("{detail}; without the git executable only credentials of the session and of the URL are shown")
    }

    fn below(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.base.lock().unwrap_or_else(PoisonError::into_inner).clone();
        url.set_path(&format!("{}{path}", url.path()));
        url.set_query(query);
        url
    }

    fn refused(&self, detail: &str) -> WorkareaError {
        WorkareaError::Git { operation: format!("talk to `{}`", self.shown), detail: detail.to_owned() }
    }
}

/// What the remote is shown: the session's own credentials, else those of the URL.
fn credentials(upstream: &Upstream, url: &Url) -> Option<(String, rensei_proto::Secret)> {
    if let Some((_, token)) = upstream.hints.token_for(&upstream.repository.url) {
        return Some((token.user().to_owned(), token.token.clone()));
    }
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let password = decoded(url.password().unwrap_or_default());
    (!url.username().is_empty() || url.password().is_some()).then(|| (decoded(url.username()), password.into()))
}

/// Where a redirect leads: to the same host, and never from TLS to none.
fn redirected(from: &Url, location: &str) -> Option<Url> {
    let mut to = from.join(location).ok()?;
    let same_port = to.port_or_known_default() == from.port_or_known_default() && to.scheme() == from.scheme();
    let to_tls = from.scheme() == "http" && to.scheme() == "https" && to.port().is_none();
    if to.host() != from.host() || !(same_port || to_tls) {
        return None;
    }
    let path = to.path().strip_suffix("/info/refs")?.to_owned();
    to.set_path(&path);
    to.set_query(None);
    to.set_fragment(None);
    (to.set_username("").is_ok() && to.set_password(None).is_ok()).then_some(to)
}

/// The first trouble is the cause of the rest.
fn note(noted: &Mutex<Option<WorkareaError>>, trouble: WorkareaError) {
    noted.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(trouble);
}

fn unreachable(shown: &str, error: &dyn Error) -> WorkareaError {
    let detail = crate::git::readable(error_chain(error).as_bytes());
    WorkareaError::Unreachable { repository: shown.to_owned(), detail }
}

fn broken(shown: &str, error: &(dyn Error + Send + Sync + 'static)) -> WorkareaError {
    if error.is::<LengthLimitError>() {
        let detail = "it sends more than it may".to_owned();
        return WorkareaError::Git { operation: format!("talk to `{shown}`"), detail };
    }
    unreachable(shown, error)
}

fn refuse(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_requests_of_git() {
        let call = |method: Method, path: &str, query: Option<&str>| Call::parse(&method, path, query);
        let (up, receive) = ("git-upload-pack", "git-receive-pack");
        assert_eq!(call(Method::GET, "/info/refs", Some("service=git-upload-pack")), Some(Call::References(up)));
        assert_eq!(call(Method::POST, "/git-receive-pack", None), Some(Call::Talk(receive)));
        for (method, path, query) in [
            (Method::GET, "/info/refs", None),
            (Method::GET, "/info/refs", Some("service=git-upload-archive")),
            (Method::GET, "/git-upload-pack", None),
            (Method::POST, "/info/refs", Some("service=git-upload-pack")),
            (Method::POST, "/x/git-upload-pack", None),
            (Method::DELETE, "/git-upload-pack", None),
        ] {
            assert_eq!(call(method, path, query), None, "{path}");
        }
    }

    #[test]
    fn redirects_stay_at_the_host() {
        let moved = |from: &str, to: &str| {
            let from = Url::parse(&format!("{from}/info/refs?service=git-upload-pack")).unwrap();
            redirected(&from, to).map(String::from)
        };
        let same = moved("https://h/o/r", "https://h/o/new.git/info/refs?service=git-upload-pack");
        assert_eq!(same.as_deref(), Some("https://h/o/new.git"));
        assert_eq!(moved("http://h/r", "https://u:p@h/r/info/refs").as_deref(), Some("https://h/r"));
        assert_eq!(moved("http://h:1/r", "/n/info/refs").as_deref(), Some("http://h:1/n"));
        for elsewhere in ["https://evil/r/info/refs", "http://h/r/info/refs", "https://h:2/r/info/refs", "/login"] {
            assert_eq!(moved("https://h/r", elsewhere), None, "{elsewhere}");
        }
    }
}
