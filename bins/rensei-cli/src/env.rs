//! The process environment, read once.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Prefixes of our variables; the first wins.
const PREFIXES: [&str; 2] = ["RENSEI_", "DONMAI_"];

/// A snapshot of the process environment. Nothing else in this program reads it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The environment of this process.
    pub(crate) fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// Value of `name`; an empty one counts as absent.
    pub(crate) fn get_os(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Value of `name` as text.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.get_os(name).and_then(OsStr::to_str)
    }

    /// Value of one of our variables: `RENSEI_<suffix>`, else `DONMAI_<suffix>`.
    pub(crate) fn ours(&self, suffix: &str) -> Option<&str> {
        PREFIXES.iter().find_map(|prefix| self.get(&format!("{prefix}{suffix}")))
    }

    /// The variables that are text.
    pub(crate) fn strings(&self) -> BTreeMap<String, String> {
        let text = |value: &OsString| value.to_str().map(str::to_owned);
        self.0.iter().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
    }

    /// All variables but ours, so that a child starts from its own settings.
    pub(crate) fn without_ours(&self) -> BTreeMap<OsString, OsString> {
        let is_ours = |name: &OsString| PREFIXES.iter().any(|p| name.as_encoded_bytes().starts_with(p.as_bytes()));
        self.0.iter().filter(|(name, _)| !is_ours(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_spelling_wins_and_empty_is_absent() {
        let env =
            Environment::from([("RENSEI_API_URL", "a"), ("DONMAI_API_URL", "b"), ("DONMAI_X", "c"), ("HOME", "")]);
        assert_eq!((env.ours("API_URL"), env.ours("X"), env.get("HOME")), (Some("a"), Some("c"), None));
        let both = Environment::from([("RENSEI_X", ""), ("DONMAI_X", "c")]);
        assert_eq!(both.ours("X"), Some("c"));
        assert_eq!(env.without_ours().len(), 1);
    }
}
