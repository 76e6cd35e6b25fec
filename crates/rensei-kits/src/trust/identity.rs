//! Entries of `trust.issuerSet`.

use std::fmt;

/// Somebody who may sign: the subject of a certificate, and who must have vouched for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedIdentity {
    subject: String,
    issuer: Option<String>,
}

/// An entry that names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} names no signer: give a certificate's subject (URL or e-mail address), optionally followed by a space and the URL of its issuer"
)]
pub struct InvalidIdentity {
    /// The entry.
    pub text: String,
}

impl AllowedIdentity {
    /// Reads `subject` or `subject issuer`.
    ///
    /// # Errors
    /// [`InvalidIdentity`].
    pub fn parse(text: &str) -> Result<Self, InvalidIdentity> {
        let invalid = || InvalidIdentity { text: text.to_owned() };
        let mut words = text.split_whitespace();
        let (subject, issuer) = (words.next().ok_or_else(invalid)?, words.next());
        let is_issuer = issuer.is_none_or(|issuer| issuer.starts_with("https://") || issuer.starts_with("http://"));
        if !is_issuer || words.next().is_some() {
            return Err(invalid());
        }
        Ok(Self { subject: subject.to_owned(), issuer: issuer.map(str::to_owned) })
    }

    /// The entry that it was read from.
    #[must_use]
    pub fn entry(&self) -> String {
        self.issuer.as_ref().map_or_else(|| self.subject.clone(), |issuer| format!("{} {issuer}", self.subject))
    }

    /// Whether a certificate is this somebody's. Every letter counts.
    #[must_use]
    pub fn is(&self, subject: &str, issuer: Option<&str>) -> bool {
        self.subject == subject && self.issuer.as_deref().is_none_or(|wanted| issuer == Some(wanted))
    }
}

impl fmt::Display for AllowedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.subject)?;
        self.issuer.as_ref().map_or(Ok(()), |issuer| write!(f, " ({issuer})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_with_and_without_issuer() {
        let any = AllowedIdentity::parse("https://github.com/o/r/.github/workflows/s.yml@refs/heads/main").unwrap();
        assert!(any.is("https://github.com/o/r/.github/workflows/s.yml@refs/heads/main", None));
        assert!(!any.is("https://github.com/O/r/.github/workflows/s.yml@refs/heads/main", None));
        let pinned = AllowedIdentity::parse(" a@example.com  https://accounts.example.com ").unwrap();
        assert!(pinned.is("a@example.com", Some("https://accounts.example.com")));
        assert!(!pinned.is("a@example.com", Some("https://evil.example.com")) && !pinned.is("a@example.com", None));
        for bad in ["", "  ", "a@b c", "a@b https://c d"] {
            assert!(AllowedIdentity::parse(bad).is_err(), "{bad:?}");
        }
    }
}
