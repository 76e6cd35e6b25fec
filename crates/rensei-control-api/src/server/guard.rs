//! Who may ask: nothing a browser sends for a foreign page, and nobody but the daemon's own user where it matters.

use super::peer::Peer;
use super::reply::Refusal;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, ORIGIN, TRANSFER_ENCODING};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode, Uri, request::Parts};
use rensei_proto::{ErrorBody, Secret};
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// Refuses what only a browser can have sent on behalf of a foreign page: a host name that was rebound to loopback, a
/// cross-site request, or a form.
pub(super) fn check_request(parts: &Parts) -> Result<(), Refusal> {
    check_head(&parts.uri, &parts.headers)?;
    if is_reading(&parts.method) { Ok(()) } else { check_content_type(&parts.headers) }
}

/// The part of it that is about whom the request was meant for, and from where it came.
pub(super) fn check_head(uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    check_host(uri, headers)?;
    check_origin(headers)
}

/// Refuses who does not know the token.
pub(super) fn check_token(headers: &HeaderMap, token: Option<&Secret>) -> Result<(), Refusal> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let bearer = match (given.next(), given.next()) {
        (Some(only), None) => only.as_bytes().split_first_chunk().filter(|(scheme, _)| *scheme == b"Bearer "),
        _ => None,
    };
    let known = |token: &Secret| bearer.is_some_and(|(_, given)| given.ct_eq(token.expose().as_bytes()).into());
    if token.is_some_and(known) {
        return Ok(());
    }
    let body = ErrorBody::new("missing or invalid control token").hint(
        "send what is in `control-token` in the daemon's state directory as a bearer; `rensei` finds it by itself",
    );
    Err(Refusal::new(StatusCode::UNAUTHORIZED, body))
}

fn check_host(uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let named_loopback = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(is_loopback),
        _ => false,
    };
    if named_loopback && uri.authority().is_none_or(|authority| is_loopback(authority.as_str())) {
        return Ok(());
    }
    let body = ErrorBody::new("the Host header does not name this machine")
        .hint("call http://127.0.0.1:<port>, not a name that points there");
    Err(Refusal::new(StatusCode::FORBIDDEN, body))
}

/// Whether `authority` is a loopback host, with or without port.
fn is_loopback(authority: &str) -> bool {
    if authority.contains('@') {
        return false;
    }
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    let host = authority.host();
    let port = authority.as_str().strip_prefix(host).unwrap_or_default();
    if !port.is_empty() && authority.port_u16().is_none() {
        return false;
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let cross_site = |value: &axum::http::HeaderValue| !matches!(value.as_bytes(), b"none" | b"same-origin");
    if !headers.contains_key(ORIGIN) && !headers.get_all("sec-fetch-site").iter().any(cross_site) {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::FORBIDDEN, ErrorBody::new("requests of web pages are refused")))
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let empty = headers.get(CONTENT_LENGTH).is_none_or(|length| length.as_bytes() == b"0");
    if empty && !headers.contains_key(TRANSFER_ENCODING) {
        return Ok(());
    }
    // A body without a type is fine: a page cannot send one, because browsers add a type.
    if headers.get_all(CONTENT_TYPE).iter().all(|value| value.to_str().is_ok_and(is_json)) {
        return Ok(());
    }
    let body = ErrorBody::new("the body must be JSON").hint("send the header `Content-Type: application/json`");
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, body))
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether the request tells anybody nothing but how busy the host is.
pub(super) fn is_public(parts: &Parts) -> bool {
    let path = parts.uri.path();
    let listed = matches!(path, "/healthz" | "/api/daemon/status")
        || (path == "/api/daemon/sessions" && parts.uri.query().is_none());
    is_reading(&parts.method) && listed
}

/// Refuses peers of other users.
pub(super) async fn check_peer(peer: &Peer) -> Result<(), Refusal> {
    let (error, hint) = match peer.is_same_user().await {
        Ok(true) => return Ok(()),
        Ok(false) => ("this daemon belongs to another user", "run the command as the user of the daemon, or as root"),
        Err(error) => {
            tracing::warn!(%error, "the owner of a connection could not be found out");
            ("the owner of the connection could not be found out", "try again and keep the connection open")
        }
    };
    Err(Refusal::new(StatusCode::FORBIDDEN, ErrorBody::new(error).hint(hint)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn status_of(method: &str, uri: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        check_request(&parts).map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    #[test]
    fn hosts() {
        for host in
            ["localhost", "LocalHost:7734", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:7734", "[::ffff:127.0.0.1]:1"]
        {
            assert_eq!(status_of("GET", "/", &[("host", host)]), 200, "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:7734",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "localhost@evil.example",
            "evil.example@localhost",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "127.0.0.1:evil",
            "127.0.0.1:99999",
            "[::1",
            "127.0.0.1,evil.example",
        ] {
            assert_eq!(status_of("GET", "/", &[("host", host)]), 403, "{host}");
        }
        assert_eq!(status_of("GET", "/", &[]), 403, "no host");
        assert_eq!(status_of("GET", "/", &[("host", "localhost"), ("host", "evil.example")]), 403);
        assert_eq!(status_of("GET", "http://evil.example/", &[("host", "localhost")]), 403);
        assert_eq!(status_of("GET", "http://127.0.0.1:1/", &[("host", "127.0.0.1:1")]), 200);
    }

    #[test]
    fn web_pages() {
        let host = ("host", "localhost");
        for origin in ["https://evil.example", "null", "http://127.0.0.1:7734", ""] {
            assert_eq!(status_of("GET", "/", &[host, ("origin", origin)]), 403, "{origin}");
        }
        for (site, status) in [("none", 200), ("same-origin", 200), ("same-site", 403), ("cross-site", 403), ("", 403)]
        {
            assert_eq!(status_of("POST", "/", &[host, ("sec-fetch-site", site)]), status, "{site}");
        }
    }

    #[test]
    fn bodies_must_be_json() {
        let host = ("host", "localhost");
        let form = ("content-type", "application/x-www-form-urlencoded");
        let length = ("content-length", "2");
        for (headers, status) in [
            (vec![host], 200),
            (vec![host, form, ("content-length", "0")], 200),
            (vec![host, form], 200),
            (vec![host, length], 200),
            (vec![host, length, ("content-type", "Application/JSON; charset=utf-8")], 200),
            (vec![host, length, form], 415),
            (vec![host, length, ("content-type", "text/plain")], 415),
            (vec![host, length, ("content-type", "application/json"), ("content-type", "text/plain")], 415),
            (vec![host, ("transfer-encoding", "chunked"), ("content-type", "multipart/form-data")], 415),
            (vec![host, length, ("content-type", "application/jsonp")], 415),
        ] {
            assert_eq!(status_of("POST", "/", &headers), status, "{headers:?}");
            assert_eq!(status_of("GET", "/", &headers), 200, "{headers:?}");
        }
    }

    #[test]
    fn only_what_is_harmless_is_public() {
        let public = |method: &str, uri: &str| {
            is_public(&Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0)
        };
        for uri in ["/healthz", "/api/daemon/status", "/api/daemon/status?x=1", "/api/daemon/sessions"] {
            assert!(public("GET", uri) && !public("POST", uri) && !public("DELETE", uri), "{uri}");
        }
        for uri in ["/api/daemon/sessions?all=true", "/api/daemon/sessions/s1", "/api/daemon/sessions/s1/output", "/x"]
        {
            assert!(!public("GET", uri), "{uri}");
        }
    }
}
