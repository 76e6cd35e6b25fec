//! The HTTP below git's protocol.

use super::super::packet::{Packet, Packets};
use super::super::url::Remote;
use super::super::{FetchError, FetchLimits};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Response, StatusCode, Url, redirect};
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(10);
/// A server that is silent for so long has gone.
const SILENCE: Duration = Duration::from_secs(30);
/// Hops of the first request; the others follow none.
const MAX_REDIRECTS: usize = 3;
/// Answers that are no pack.
const MAX_TALK: u64 = 16 << 20;

/// A server that was found to speak the protocol.
pub(super) struct Client<'a> {
    http: reqwest::Client,
    base: Url,
    pub(super) shown: &'a str,
    pub(super) limits: FetchLimits,
}

impl<'a> Client<'a> {
    /// Makes the first request.
    pub(super) async fn connect(remote: &Remote, shown: &'a str, limits: FetchLimits) -> Result<Self, FetchError> {
        let http = http(shown, is_loopback(&remote.url))?;
        let mut client = Self { http, base: remote.url.clone(), shown, limits };
        let mut stream = client.discover().await?;
        let mut versions = Vec::new();
        while let Some(packet) = stream.next().await? {
            match packet {
                Packet::Data(line) if line.starts_with(b"# service=") => {}
                Packet::Data(line) => versions.push(line),
                Packet::Flush if versions.is_empty() => {}
                Packet::Flush | Packet::Delimiter => break,
            }
        }
        drop(stream);
        let speaks = versions.first().is_some_and(|line| line.trim_ascii_end() == b"version 2");
        if speaks { Ok(client) } else { Err(client.refuse("the server does not speak version 2 of git's protocol")) }
    }

    /// Asks what the server speaks, and where it wants to be asked.
    async fn discover(&mut self) -> Result<Stream<'a>, FetchError> {
        for _ in 0..=MAX_REDIRECTS {
            let url = below(&self.base, "/info/refs", Some("service=git-upload-pack"));
            let response = self.http.get(url.clone()).send().await.map_err(|error| self.failed(error))?;
            if !response.status().is_redirection() {
                return self.stream(response, "application/x-git-upload-pack-advertisement");
            }
            self.base = self.redirected(&url, &response)?;
        }
        Err(self.refuse("too many redirects"))
    }

    /// Where a redirect leads: to the same host, and never from TLS to none. A kit's server has no business in making
    /// this host talk to another one.
    fn redirected(&self, from: &Url, response: &Response) -> Result<Url, FetchError> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let to = from.join(location).map_err(|_| self.refuse("a redirect leads nowhere"))?;
        let same_host = to.host() == from.host();
        let same_port = to.port_or_known_default() == from.port_or_known_default() && to.scheme() == from.scheme();
        let to_tls = from.scheme() == "http" && to.scheme() == "https" && to.port().is_none();
        if !same_host || !(same_port || to_tls) {
            return Err(self.refuse("a redirect leads to another host"));
        }
        let path = to.path().strip_suffix("/info/refs").ok_or_else(|| self.refuse("a redirect leads elsewhere"))?;
        let mut base = self.base.clone();
        if to_tls {
            base.set_scheme("https").map_err(|()| self.refuse("a redirect leads nowhere"))?;
            base.set_port(None).map_err(|()| self.refuse("a redirect leads nowhere"))?;
        }
        base.set_path(path);
        Ok(base)
    }

    /// Sends one message.
    pub(super) async fn post(&self, message: Vec<u8>) -> Result<Stream<'a>, FetchError> {
        let request = self
            .http
            .post(below(&self.base, "/git-upload-pack", None))
            .header(CONTENT_TYPE, "application/x-git-upload-pack-request")
            .header(ACCEPT, "application/x-git-upload-pack-result")
            .body(message);
        let response = request.send().await.map_err(|error| self.failed(error))?;
        self.stream(response, "application/x-git-upload-pack-result")
    }

    fn stream(&self, response: Response, wanted: &str) -> Result<Stream<'a>, FetchError> {
        let status = response.status();
        if status != StatusCode::OK {
            return Err(self.refuse(&format!("the server answers with {status}")));
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().map(str::trim) != Some(wanted) {
            return Err(self.refuse("there is no git repository at this URL"));
        }
        Ok(Stream {
            response,
            packets: Packets::default(),
            shown: self.shown,
            left: self.limits.bytes.saturating_add(MAX_TALK),
            limit: self.limits.bytes,
        })
    }

    pub(super) fn refuse(&self, problem: &str) -> FetchError {
        FetchError::Server { url: self.shown.to_owned(), problem: problem.to_owned() }
    }

    fn failed(&self, error: reqwest::Error) -> FetchError {
        // The URL may hold credentials.
        FetchError::Http { url: self.shown.to_owned(), source: error.without_url() }
    }
}

/// An answer as packets.
pub(super) struct Stream<'a> {
    response: Response,
    packets: Packets,
    shown: &'a str,
    left: u64,
    limit: u64,
}

impl Stream<'_> {
    /// The next packet; `None` at the end of the answer.
    pub(super) async fn next(&mut self) -> Result<Option<Packet>, FetchError> {
        let server = |problem| FetchError::Server { url: self.shown.to_owned(), problem };
        loop {
            if let Some(packet) = self.packets.next().map_err(server)? {
                return Ok(Some(packet));
            }
            let chunk = self.response.chunk().await;
            let chunk =
                chunk.map_err(|error| FetchError::Http { url: self.shown.to_owned(), source: error.without_url() });
            let Some(bytes) = chunk? else { return Ok(None) };
            let length = bytes.len() as u64;
            self.left = self
                .left
                .checked_sub(length)
                .ok_or_else(|| FetchError::TooLarge { url: self.shown.to_owned(), limit: self.limit })?;
            self.packets.push(&bytes);
        }
    }
}

fn http(shown: &str, loopback: bool) -> Result<reqwest::Client, FetchError> {
    let setup =
        |error: &dyn std::fmt::Display| FetchError::Server { url: shown.to_owned(), problem: error.to_string() };
    let tls = rensei_tls::client_config(&[]).map_err(|error| setup(&error))?;
    let mut headers = HeaderMap::new();
    headers.insert("git-protocol", HeaderValue::from_static("version=2"));
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        // Some servers answer to nobody else.
        .user_agent(concat!("git/2.40 (rensei ", env!("CARGO_PKG_VERSION"), ")"))
        .default_headers(headers)
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE);
    if loopback {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| setup(&error))
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    })
}

fn below(base: &Url, path: &str, query: Option<&str>) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path()));
    url.set_query(query);
    url
}
