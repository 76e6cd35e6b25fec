//! Where a control plane is, and paths below it.

use crate::error::ClientError;
use crate::operation::Operation;
use reqwest::Url;
use std::fmt::Write as _;
use std::net::IpAddr;

/// A checked base URL without trailing slashes. A path prefix is kept.
#[derive(Debug, Clone)]
pub(crate) struct BaseUrl {
    text: String,
    loopback: bool,
}

impl BaseUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, ClientError> {
        let trimmed = text.trim();
        let refuse =
            |shown: &str, reason: &str| ClientError::InvalidUrl { url: shown.to_owned(), reason: reason.into() };
        // Until the user part is known to be empty nothing of the text may be shown.
        let shown = if trimmed.contains('@') { "***" } else { trimmed };
        let url = Url::parse(trimmed).map_err(|error| refuse(shown, &error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse(shown, "only http:// and https:// are supported"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse(shown, "it must not carry a user or password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse(shown, "it must end with the path, without ? or #"));
        }
        let loopback = url.host_str().is_some_and(is_loopback);
        Ok(Self { text: url.as_str().trim_end_matches('/').to_owned(), loopback })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether requests stay on this machine and so must not meet a proxy.
    pub(crate) const fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// The URL of `segments` below the base. Each segment is one path component, whatever its characters.
    pub(crate) fn join(&self, operation: Operation, segments: &[&str]) -> Result<String, ClientError> {
        let mut url = String::with_capacity(self.text.len() + 80);
        url.push_str(&self.text);
        for segment in segments {
            // Dot segments would be resolved away, also in their encoded spelling.
            if matches!(*segment, "" | "." | "..") {
                return Err(ClientError::InvalidId { operation, id: (*segment).to_owned() });
            }
            url.push('/');
            push_encoded(&mut url, segment);
        }
        Ok(url)
    }
}

/// Appends `text` with everything but RFC 3986's unreserved characters percent-encoded.
pub(crate) fn push_encoded(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            url.push(char::from(byte));
        } else {
            let _infallible = write!(url, "%{byte:02X}");
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().map_or_else(
        |_| bare == "localhost" || bare.ends_with(".localhost"),
        |address| address.to_canonical().is_loopback(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        for (text, kept, loopback) in [
            ("http://127.0.0.1:80//", "http://127.0.0.1", true),
            ("  https://p.example/api-root///  ", "https://p.example/api-root", false),
            ("HTTP://[::1]:9", "http://[::1]:9", true),
            ("http://localhost", "http://localhost", true),
            ("http://localhost.example", "http://localhost.example", false),
        ] {
            let url = BaseUrl::parse(text).unwrap();
            assert_eq!((url.as_str(), url.is_loopback()), (kept, loopback), "{text}");
        }
        for bad in
            ["", "platform", "file:///x", "ftp://h", "http://", "http://u:pw@h", "http://h?x=1", "http://h#x", "a@b"]
        {
            let text = BaseUrl::parse(bad).unwrap_err().to_string();
            assert!(text.contains("invalid control plane URL") && !text.contains("pw"), "{bad}: {text}");
        }
    }

    #[test]
    fn ids_stay_one_path_component() {
        let base = BaseUrl::parse("http://h/prefix/").unwrap();
        let url = base.join(Operation::Poll, &["api", "a/b?c#d e%2f", "ü"]).unwrap();
        assert_eq!(url, "http://h/prefix/api/a%2Fb%3Fc%23d%20e%252f/%C3%BC");
        for bad in ["", ".", ".."] {
            assert!(matches!(base.join(Operation::Poll, &[bad]), Err(ClientError::InvalidId { .. })), "{bad}");
        }
    }
}
