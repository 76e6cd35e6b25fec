//! What organisations are called.

use std::fmt;
use std::sync::Arc;

/// Longest name of an organisation, in bytes.
const MAX_BYTES: usize = 64;

/// The organisation of `daemon.yaml`, or the one of a `daemon-<org>.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OrgName(Option<Arc<str>>);

impl OrgName {
    /// That of `daemon.yaml`.
    pub(crate) const MAIN: Self = Self(None);

    /// That of `daemon-<slug>.yaml`. A slug is a part of file names, and is shown to people.
    pub(crate) fn parse(slug: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let fits = slug.len() <= MAX_BYTES && slug.starts_with(|c: char| c.is_ascii_alphanumeric());
        (fits && slug.chars().all(allowed)).then(|| Self(Some(slug.into())))
    }

    /// From what a record or a view says.
    pub(crate) fn of(organization: Option<&str>) -> Option<Self> {
        organization.map_or(Some(Self::MAIN), Self::parse)
    }

    /// The slug; none for the main one.
    pub(crate) fn slug(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// `daemon.<extension>` or `daemon-<slug>.<extension>`.
    pub(crate) fn file(&self, extension: &str) -> String {
        self.slug().map_or_else(|| format!("daemon.{extension}"), |slug| format!("daemon-{slug}.{extension}"))
    }
}

/// As people know it: by its file.
impl fmt::Display for OrgName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file("yaml"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_stay_one_part_of_a_file_name() {
        for slug in ["partner-co", "a", "A_b.c", "0"] {
            assert_eq!(OrgName::parse(slug).unwrap().slug(), Some(slug));
        }
        for slug in ["", ".", "..", "-x", "_x", "a/b", "a b", "ü", "a\n", &"x".repeat(65)] {
            assert_eq!(OrgName::parse(slug), None, "{slug:?}");
        }
        assert_eq!(OrgName::parse("x").unwrap().file("jwt"), "daemon-x.jwt");
        assert_eq!(OrgName::MAIN.to_string(), "daemon.yaml");
        assert_eq!((OrgName::of(None), OrgName::of(Some("../x"))), (Some(OrgName::MAIN), None));
    }
}
