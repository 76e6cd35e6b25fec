//! Names that come from outside and end up in paths.

use serde::{Deserialize, Deserializer};
use std::fmt;

/// Longest id of a kit, in bytes. With the ending and a prefix it still is a file name.
const MAX_ID: usize = 128;
/// Longest path in a manifest, in bytes.
const MAX_PATH: usize = 1024;

/// Id of a kit: segments of letters, digits, `.`, `_`, `-`, `+` and `:`, separated by `/`, each beginning with a letter or
/// digit. Empty only where a manifest has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KitId(String);

/// A text that is no id of a kit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no kit id: up to {MAX_ID} letters, digits, `.`, `_`, `-`, `+`, `:` and `/`, each part beginning with a letter or digit"
)]
pub struct InvalidKitId {
    /// What was given, shortened.
    pub text: String,
}

impl KitId {
    /// # Errors
    /// [`InvalidKitId`].
    pub fn parse(text: &str) -> Result<Self, InvalidKitId> {
        let valid = text.len() <= MAX_ID && text.split('/').all(is_segment);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidKitId { text: text.chars().take(80).collect() }) }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Start of the names of its files: `spring/java` is `spring__java`.
    pub(crate) fn file_stem(&self) -> String {
        self.0.replace('/', "__").replace(':', "_")
    }
}

impl fmt::Display for KitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for KitId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Ok(Self::default()) } else { Self::parse(&text).map_err(serde::de::Error::custom) }
    }
}

fn is_segment(segment: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b':');
    segment.starts_with(|c: char| c.is_ascii_alphanumeric()) && segment.bytes().all(allowed)
}

/// Whether a path or pattern stays below where it starts, on every system.
pub(crate) fn is_relative(path: &str) -> bool {
    let inside = |part: &str| !part.is_empty() && part != "." && part != "..";
    path.len() <= MAX_PATH && !path.contains(['\\', '\0', '\n']) && !path.contains(':') && path.split('/').all(inside)
}

/// Whether a pattern is more than a path.
pub(crate) fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '{'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names_and_never_paths() {
        for good in ["a", "default/go", "spring/java", "a/b/c", "with:colon", "v1.2_x-y+z", &"a".repeat(128)] {
            assert_eq!(KitId::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "..",
            "a/../b",
            ".state",
            "a/.b",
            "-x",
            "a\0b",
            "a\\b",
            "a b",
            "ünï",
            "a\u{2215}b",
            "%2e%2e",
            &"a".repeat(129),
        ] {
            assert!(KitId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn file_names() {
        let stem = |text| KitId::parse(text).unwrap().file_stem();
        assert_eq!((stem("a/b/c").as_str(), stem("with:colon").as_str()), ("a__b__c", "with_colon"));
    }

    #[test]
    fn relative_paths_stay_below() {
        assert!(is_relative("a/b.toml") && is_relative("**/*.cs") && is_relative(".github/x"));
        for bad in ["", "/etc/x", "../x", "a/../../x", "a//b", "./a", "a\\b", "C:/x", "a\0"] {
            assert!(!is_relative(bad), "{bad:?}");
        }
    }
}
