//! Which repositories a kit may come from.

use super::FetchError;
use reqwest::Url;
use std::path::PathBuf;

const MAX_URL: usize = 2048;

/// A repository that can be fetched.
#[derive(Debug, Clone)]
pub(crate) enum Location {
    /// On this machine.
    Local {
        /// Its directory.
        path: PathBuf,
        /// As it was given.
        shown: String,
    },
    /// Behind HTTP.
    Http(Remote),
}

/// A repository behind HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    /// Without a slash at the end. May hold credentials.
    pub(crate) url: Url,
    /// The same without them.
    pub(crate) shown: String,
}

impl Location {
    /// `https`, `http`, `file` and absolute paths; nothing that would start a program or look like an option of one.
    ///
    /// # Errors
    /// [`FetchError::Url`].
    pub(crate) fn parse(text: &str) -> Result<Self, FetchError> {
        let refuse = |problem| FetchError::Url { url: without_credentials(text), problem };
        match text {
            "" => return Err(refuse("is empty")),
            _ if text.len() > MAX_URL => return Err(refuse("is too long")),
            _ if text.starts_with('-') => return Err(refuse("looks like an option")),
            _ if text.chars().any(|c| c.is_control() || c.is_whitespace()) => {
                return Err(refuse("has spaces or control characters"));
            }
            _ => {}
        }
        if text.starts_with('/') {
            return Ok(Self::Local { path: text.into(), shown: text.to_owned() });
        }
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        if !matches!(scheme.as_deref(), Some("https" | "http" | "file")) {
            return Err(refuse("must be https://, http:// or file://"));
        }
        let url = Url::parse(text).map_err(|_| refuse("is no URL"))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("must not have a query or fragment"));
        }
        if scheme.as_deref() == Some("file") {
            let path = url.to_file_path().map_err(|()| refuse("must name a path: file:///path"))?;
            return Ok(Self::Local { path, shown: text.to_owned() });
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(refuse("names no host"));
        }
        Ok(Self::Http(Remote { shown: without_credentials(text), url: trimmed(url) }))
    }

    /// For people.
    pub(crate) fn shown(&self) -> &str {
        match self {
            Self::Local { shown, .. } | Self::Http(Remote { shown, .. }) => shown,
        }
    }
}

fn trimmed(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url
}

/// The text without what stands before an `@` in its authority.
fn without_credentials(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_URL).collect();
    let Some((scheme, rest)) = text.split_once("://") else { return text };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((credentials, _)) => format!("{scheme}://{}", &rest[credentials.len() + 1..]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_that_start_no_program() {
        for good in ["https://example.com/o/r.git", "HTTP://127.0.0.1:8/r", "file:///srv/kits", "/srv/kits"] {
            assert!(Location::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ext::sh -c x",
            "ext::x",
            "ssh://git@h/r",
            "git@h:o/r",
            "git://h/r",
            "--upload-pack=touch /tmp/x",
            "-u",
            "ftp://h/r",
            "relative/path",
            "https://",
            "file://host/x",
            "https://h/r?x=1",
            "https://h/\nr",
            "https://h/r#f",
            "file:///a b",
        ] {
            assert!(Location::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let location = Location::parse("https://user:secret@example.com/r/").unwrap();
        assert_eq!(location.shown(), "https://example.com/r/");
        let error = Location::parse("ssh://user:secret@example.com/r").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
