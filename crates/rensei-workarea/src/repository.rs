//! The forms in which people name a repository.

use crate::WorkareaError;
use crate::git::redact;
use sha2::{Digest, Sha256};

const MAX_LEN: usize = 4096;
const SCHEMES: [&str; 5] = ["https", "http", "ssh", "git", "file"];

/// A repository that git can be pointed at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repository {
    /// What git is given. May hold credentials.
    pub(crate) url: String,
    /// What people are shown.
    pub(crate) shown: String,
}

impl Repository {
    pub(crate) fn parse(text: &str) -> Result<Self, WorkareaError> {
        let text = text.trim();
        let url = to_url(text).map_err(|why| WorkareaError::invalid("repository", text, why))?;
        Ok(Self { shown: redact(&url), url })
    }

    /// Directory name of its mirror: readable, and different for different places and for different owners.
    pub(crate) fn mirror_name(&self, scope: &str) -> String {
        let normalised = self.normalised();
        let last = normalised.rsplit(['/', ':']).next().unwrap_or_default();
        let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '_' };
        let name: String = last.chars().take(40).map(allowed).collect();
        let mut digest = Sha256::new_with_prefix(normalised.as_bytes());
        if !scope.is_empty() {
            // No repository has a NUL in it.
            digest.update([0]);
            digest.update(scope.as_bytes());
        }
        let digest = digest.finalize();
        let hash: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        // A leading dot is for what is not finished.
        format!("{}-{hash}", name.trim_start_matches('.'))
    }

    /// Same text for spellings that differ in nothing that matters. User and transport do matter: they decide who may
    /// see what.
    fn normalised(&self) -> String {
        let path_end = self.url.trim_end_matches('/');
        let trimmed = path_end.strip_suffix(".git").unwrap_or(path_end).trim_end_matches('/');
        let Some((scheme, rest)) = trimmed.split_once("://") else { return trimmed.to_owned() };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
        let host = host.to_ascii_lowercase();
        let default_port = match scheme.to_ascii_lowercase().as_str() {
            "https" => ":443",
            "http" => ":80",
            "ssh" => ":22",
            _ => ":9418",
        };
        let host = host.strip_suffix(default_port).unwrap_or(&host);
        format!("{}://{user}@{host}/{path}", scheme.to_ascii_lowercase())
    }
}

/// The repository as it may be noted down and shown: without what somebody logs in with. The user stays for ssh, where
/// there is no repository without it.
#[must_use]
pub fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let Some((user, host)) = authority.rsplit_once('@') else { return text.to_owned() };
    let user = user.split(':').next().unwrap_or_default();
    if matches!(scheme.trim().to_ascii_lowercase().as_str(), "http" | "https") {
        format!("{scheme}://{host}{path}")
    } else {
        format!("{scheme}://{user}@{host}{path}")
    }
}

/// Scheme and host, with its port, of an http or https URL.
pub(crate) fn http_origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split('/').next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    (matches!(scheme.as_str(), "http" | "https") && !host.is_empty()).then(|| format!("{scheme}://{host}"))
}

/// Whether two URLs name the same repository, whoever logs in there.
pub(crate) fn is_same_place(a: &str, b: &str) -> bool {
    let place = |text: &str| {
        let normalised = Repository::parse(text).ok()?.normalised();
        let (scheme, rest) = normalised.split_once("://").map(|(scheme, rest)| (scheme.to_owned(), rest.to_owned()))?;
        let rest = rest.split_once('@').map_or(rest.clone(), |(_, rest)| rest.to_owned());
        Some((scheme, rest))
    };
    place(a).is_some_and(|a| Some(a) == place(b))
}

fn to_url(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > MAX_LEN {
        return Err("it is too long");
    }
    if text.chars().any(char::is_control) {
        return Err("it has control characters");
    }
    if text.starts_with('-') {
        return Err("it looks like an option");
    }
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    let first = text.split('/').next().unwrap_or_default();
    if let Some((scheme, rest)) = text.split_once("://") {
        return check_url(scheme, rest).map(|()| text.to_owned());
    }
    if first.contains("::") {
        return Err("remote helpers are not allowed");
    }
    match first.split_once(':') {
        Some((host, path)) => check_scp(host, path).map(|()| text.to_owned()),
        None => from_short_form(text, first),
    }
}

fn check_url(scheme: &str, rest: &str) -> Result<(), &'static str> {
    let scheme = scheme.to_ascii_lowercase();
    if !SCHEMES.contains(&scheme.as_str()) {
        return Err("the scheme is not one of https, http, ssh, git, file");
    }
    if scheme == "file" {
        return if rest.starts_with('/') { Ok(()) } else { Err("a file URL needs an absolute path: file:///path") };
    }
    let authority = rest.split('/').next().unwrap_or_default();
    check_host(authority.rsplit_once('@').map_or(authority, |(_, host)| host))?;
    // `ssh` would take such a user for an option.
    if authority.starts_with('-') { Err("the user looks like an option") } else { Ok(()) }
}

fn check_scp(host: &str, path: &str) -> Result<(), &'static str> {
    if path.starts_with('-') || host.starts_with('-') {
        return Err("it looks like an option");
    }
    check_host(host.rsplit_once('@').map_or(host, |(_, host)| host))
}

fn check_host(host: &str) -> Result<(), &'static str> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    match host {
        "" => Err("the host is missing"),
        _ if host.starts_with('-') => Err("the host looks like an option"),
        _ if host.chars().all(allowed) => Ok(()),
        _ => Err("the host has characters that no host has"),
    }
}

fn from_short_form(text: &str, first: &str) -> Result<String, &'static str> {
    const RELATIVE: &str = "a relative path depends on where the daemon was started";
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '+');
    let segments: Vec<&str> = text.trim_end_matches('/').split('/').collect();
    let well_formed =
        segments.iter().all(|segment| !matches!(*segment, "" | "." | "..") && segment.chars().all(allowed));
    if first.starts_with(['.', '~']) || segments.len() < 2 || !well_formed {
        return Err(RELATIVE);
    }
    match (first.contains('.'), segments.len()) {
        (true, _) => Ok(format!("https://{text}")),
        (false, 2) => Ok(format!("https://github.com/{text}")),
        (false, _) => Err(RELATIVE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Option<String> {
        Repository::parse(text).ok().map(|repository| repository.url)
    }

    #[test]
    fn accepted_forms() {
        for same in [
            "https://github.com/o/r.git",
            "http://localhost:3000/o/r",
            "ssh://git@github.com/o/r",
            "git@github.com:o/r.git",
            "host:path/to/r",
            "file:///srv/with space/ü.git",
            "/srv/with space/ü",
            "https://[::1]:8080/r",
        ] {
            assert_eq!(url(same).as_deref(), Some(same));
        }
        assert_eq!(url("github.com/o/r").as_deref(), Some("https://github.com/o/r"));
        assert_eq!(url(" o/r.js ").as_deref(), Some("https://github.com/o/r.js"));
    }

    #[test]
    fn refused_forms() {
        for bad in [
            "",
            " ",
            "-u",
            "--upload-pack=x",
            "ext::sh -c x",
            "fd::3",
            "ext::ssh://x/y",
            "foo",
            "./r",
            "../r",
            "~/r",
            "a/b/c",
            "a/../b",
            "o/r name",
            "https://",
            "https:///x",
            "https://-oProxyCommand=x/y",
            "ssh://-oProxyCommand=x/y",
            "ssh://-x@host/y",
            "-x@host:y",
            "host:-x",
            "file://host/x",
            "javascript://x/y",
            "https://a\nb/c",
            "a\0b/c",
            "https://a b/c",
            &format!("/{}", "x".repeat(5000)),
        ] {
            let error = Repository::parse(bad).unwrap_err();
            assert_eq!(error.kind(), crate::WorkareaErrorKind::InvalidName, "{bad}");
            assert!(error.hint().is_some() && error.to_string().len() < 700, "{error}");
        }
    }

    #[test]
    fn mirrors_are_shared_by_spellings_and_by_nothing_else() {
        let name = |text: &str| Repository::parse(text).unwrap().mirror_name("");
        assert_eq!(name("https://GitHub.com:443/o/r.git/"), name("o/r"));
        assert_ne!(name("https://github.com/o/r"), name("https://github.com/o/R"));
        assert_ne!(name("https://github.com/o/r"), name("https://user@github.com/o/r"));
        assert_ne!(name("https://github.com/o/r"), name("git@github.com:o/r"));
        assert_ne!(name("/a/r"), name("/b/r"));
        assert!(name("/srv/.ü x").starts_with("__x-"), "{}", name("/srv/.ü x"));
        assert!(name("https://t0ken@host/o/r").starts_with("r-"));
        let scoped = |scope| Repository::parse("o/r").unwrap().mirror_name(scope);
        assert!(scoped("a") != scoped("b") && scoped("a") != scoped("") && scoped("") == name("o/r"));
    }

    #[test]
    fn places_without_their_users() {
        assert!(is_same_place("https://github.com/o/r.git", "https://me@GitHub.com:443/o/r"));
        for other in
            ["https://github.com/o/r2", "https://evil.com/o/r", "http://github.com/o/r", "git@github.com:o/r", "x"]
        {
            assert!(!is_same_place("https://github.com/o/r", other), "{other}");
        }
        assert_eq!(http_origin("https://u:p@h:1/o/r").as_deref(), Some("https://h:1"));
        assert_eq!((http_origin("ssh://h/r"), http_origin("/r"), http_origin("https://")), (None, None, None));
    }

    #[test]
    fn credentials_are_not_noted() {
        for (text, noted) in [
            ("https://u:p@h:1/o/r", "https://h:1/o/r"),
            (" HTTP://tok@h/p@q", " HTTP://h/p@q"),
            ("ssh://git:p@h/r", "ssh://git@h/r"),
            ("https://h/p@q", "https://h/p@q"),
            ("https://u:a@b@h", "https://h"),
            ("git@h:o/r", "git@h:o/r"),
            ("/srv/a@b", "/srv/a@b"),
            ("o/r", "o/r"),
        ] {
            assert_eq!(without_credentials(text), noted);
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        assert_eq!(Repository::parse("https://u:secret@h/r").unwrap().shown, "https://***@h/r");
        let error = Repository::parse("foo://u:secret@h/r").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
