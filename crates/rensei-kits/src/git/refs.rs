//! What of a repository is wanted.

use super::FetchError;
use git2::{Oid, Reference};

/// What of a repository is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// What HEAD names.
    Head,
    /// One of these names, the first that exists; or, at last, a commit.
    Named {
        /// As it was given.
        given: String,
        /// Whole names of references, in order.
        names: Vec<String>,
        /// The commit, when it reads like one.
        commit: Option<Oid>,
    },
}

impl Wanted {
    /// A branch, else a tag, else a commit id of 40 digits; what begins with `refs/` is taken as it is.
    pub(super) fn parse(text: &str) -> Result<Self, FetchError> {
        if text.is_empty() {
            return Ok(Self::Head);
        }
        let names = if text.starts_with("refs/") {
            vec![text.to_owned()]
        } else {
            vec![format!("refs/heads/{text}"), format!("refs/tags/{text}")]
        };
        if text.starts_with('-') || !names.iter().all(|name| Reference::is_valid_name(name)) {
            return Err(FetchError::BadRef { name: text.chars().take(200).collect() });
        }
        let commit = if text.len() == 40 { Oid::from_str(text).ok() } else { None };
        Ok(Self::Named { given: text.to_owned(), names, commit })
    }

    /// Names to ask a server for.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Self::Head => vec!["HEAD"],
            Self::Named { names, .. } => names.iter().map(String::as_str).collect(),
        }
    }

    /// That it is not there.
    pub(super) fn missing(&self, url: &str) -> FetchError {
        match self {
            Self::Head => FetchError::Empty { url: url.to_owned() },
            Self::Named { given, .. } => FetchError::NoRef { url: url.to_owned(), name: given.clone() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_commits() {
        assert_eq!(Wanted::parse("").unwrap().names(), ["HEAD"]);
        assert_eq!(Wanted::parse("v1").unwrap().names(), ["refs/heads/v1", "refs/tags/v1"]);
        assert_eq!(Wanted::parse("refs/pull/1/head").unwrap().names(), ["refs/pull/1/head"]);
        let Wanted::Named { commit, .. } = Wanted::parse(&"a".repeat(40)).unwrap() else { panic!("no commit") };
        assert!(commit.is_some());
        for bad in ["-x", "--upload-pack=x", "a..b", "a b", "x:y", "a\0", "refs/../x", "x~1", "@{1}"] {
            assert!(Wanted::parse(bad).is_err(), "{bad:?}");
        }
    }
}
