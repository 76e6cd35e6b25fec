//! Identifiers that become file names.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest session id that is accepted.
const MAX_LEN: usize = 128;

/// A session's id: one safe path component.
///
/// The control plane chooses it and the daemon names directories after it, so the grammar is strict: 1 to 128 of
/// `A-Z a-z 0-9 . _ -`, not starting with `.` or `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct SessionId(
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")))] String,
);

/// The text is not a valid session id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid sessionId `{shown}`: use 1 to 128 of A-Z a-z 0-9 . _ - and start with a letter, a digit or _")]
pub struct InvalidSessionId {
    /// The offending text, shortened.
    shown: String,
}

impl SessionId {
    /// Checks `text` against the grammar.
    ///
    /// # Errors
    /// [`InvalidSessionId`] when the text is empty, too long, or has a character outside the grammar.
    pub fn parse(text: &str) -> Result<Self, InvalidSessionId> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let well_formed =
            !text.is_empty() && text.len() <= MAX_LEN && text.chars().all(allowed) && !text.starts_with(['.', '-']);
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSessionId { shown: text.chars().take(40).flat_map(char::escape_debug).collect() })
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for SessionId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        for good in ["a", "0", "_x", "wkr_1", "3f2c8a1e-1b2c-4d5e-8f90-123456789abc", "a.b", &"x".repeat(128)] {
            assert!(SessionId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-rf", ".hidden", "a/b", "a\\b", "a b", "ü", "a\0", "%2e", &"x".repeat(129)] {
            assert!(SessionId::parse(bad).is_err(), "{bad}");
        }
    }
}
