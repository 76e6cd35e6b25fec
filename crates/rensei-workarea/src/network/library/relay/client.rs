//! The HTTP client, with the proxies of the git environment.

use crate::git::GitEnvironment;
use reqwest::{NoProxy, Proxy, Url, redirect};
use std::net::IpAddr;
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(10);
/// A server that is silent for so long has gone. Those that are busy say so every few seconds.
const SILENCE: Duration = Duration::from_secs(60);
/// Some servers answer to nobody else.
const USER_AGENT: &str = concat!("git/2.40 (rensei ", env!("CARGO_PKG_VERSION"), ")");

/// A client for one remote. Redirects are the caller's business.
pub(super) fn client(url: &Url, git: &GitEnvironment) -> Result<reqwest::Client, String> {
    let tls = rensei_tls::client_config(&authorities(git)?).map_err(|error| error.to_string())?;
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        // Not those of whoever runs this process.
        .no_proxy();
    if let Some(proxy) = proxy(url, git) {
        let exceptions = either_case(git, "no_proxy").and_then(|list| NoProxy::from_string(&list));
        // The URL may hold credentials.
        let proxy = Proxy::all(proxy).map_err(|_| "the URL of the proxy is no URL".to_owned())?;
        builder = builder.proxy(proxy.no_proxy(exceptions));
    }
    builder.build().map_err(|error| error.to_string())
}

/// Certificates that the environment names for git.
fn authorities(git: &GitEnvironment) -> Result<Vec<u8>, String> {
    let Some(path) = git.text("GIT_SSL_CAINFO") else { return Ok(Vec::new()) };
    std::fs::read(&path).map_err(|error| format!("GIT_SSL_CAINFO: {path}: {error}"))
}

/// The proxy that the environment has for this place, found as git finds it.
fn proxy(url: &Url, git: &GitEnvironment) -> Option<String> {
    let host = url.host_str()?;
    let is_loopback = || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if host == "localhost" || is_loopback() {
        return None;
    }
    // Upper case is what a web server passes on to its programs, whatever its clients put in there.
    let own = if url.scheme() == "https" { either_case(git, "https_proxy") } else { git.text("http_proxy") };
    own.or_else(|| either_case(git, "all_proxy"))
}

fn either_case(git: &GitEnvironment, name: &str) -> Option<String> {
    git.text(name).or_else(|| git.text(&name.to_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_those_of_the_environment() {
        let found = |url: &str, given: &[(&str, &str)]| {
            let env = given.iter().map(|(name, value)| (name.into(), value.into())).collect();
            proxy(&Url::parse(url).unwrap(), &GitEnvironment::new(env))
        };
        let all = [("HTTPS_PROXY", "http://s"), ("http_proxy", "http://h"), ("all_proxy", "http://a")];
        assert_eq!(found("https://x/y", &all).as_deref(), Some("http://s"));
        assert_eq!(found("http://x/y", &all).as_deref(), Some("http://h"));
        assert_eq!(found("https://x/y", &all[1..]).as_deref(), Some("http://a"));
        assert_eq!(found("http://x/y", &[("HTTP_PROXY", "http://evil")]), None);
        for own in ["http://127.0.0.1:1/y", "https://localhost/y", "http://[::1]/y"] {
            assert_eq!(found(own, &all), None, "{own}");
        }
    }

    #[test]
    fn a_bad_environment_is_named() {
        let url = Url::parse("https://example.com/r").unwrap();
        let git = |name: &str, value: &str| GitEnvironment::new([(name.into(), value.into())].into());
        assert!(client(&url, &git("GIT_SSL_CAINFO", "/nonexistent")).unwrap_err().contains("/nonexistent"));
        assert!(!client(&url, &git("https_proxy", "http://u:secret@h:x")).unwrap_err().contains("secret"));
        assert!(client(&url, &git("https_proxy", "http://u:secret@h:1")).is_ok());
    }
}
