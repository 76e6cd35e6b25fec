//! Which repositories the host serves.
//!
//! Matching is generous about spelling, but only ever *selects* a configured project: whatever matched, the
//! configured repository is what gets cloned.

use crate::config::Project;
use rensei_proto::platform::AllowlistEntry;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

/// The projects of one organisation that the host serves just now, in configuration order. May change at any time;
/// sessions that run are not affected.
#[derive(Debug, Default)]
pub(crate) struct Allowlist {
    projects: Mutex<Arc<[Project]>>,
}

impl Allowlist {
    pub(crate) fn new(projects: Vec<Project>) -> Self {
        Self { projects: Mutex::new(projects.into()) }
    }

    /// All of them.
    pub(crate) fn projects(&self) -> Arc<[Project]> {
        Arc::clone(&self.projects.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves these from now on.
    pub(crate) fn replace(&self, projects: Vec<Project>) {
        *self.projects.lock().unwrap_or_else(PoisonError::into_inner) = projects.into();
    }

    /// The first one that `value` names.
    pub(crate) fn find(&self, value: &str) -> Option<Project> {
        self.projects().iter().find(|project| matches(project, value)).cloned()
    }

    /// What is told to the control plane: id and repository, sorted by id.
    pub(crate) fn entries(&self) -> Vec<AllowlistEntry> {
        entries(&self.projects())
    }
}

/// Four textual predicates, then a comparison of what the two spellings mean.
fn matches(project: &Project, value: &str) -> bool {
    let (id, repository) = (project.id.as_str(), project.repository.as_str());
    if value.is_empty() || repository.is_empty() {
        return false;
    }
    value == id
        || value == repository
        || is_path_suffix(value, repository)
        || is_path_suffix(repository, value)
        || normalised(value) == normalised(repository)
}

/// Whether `whole` ends in `/` and `tail`.
fn is_path_suffix(whole: &str, tail: &str) -> bool {
    whole.strip_suffix(tail).is_some_and(|head| head.ends_with('/'))
}

/// `host/path` of a repository: scheme, user, port, trailing `.git` and `/` dropped, scp form unfolded, host in
/// lower case. A bare `owner/name` means GitHub.
fn normalised(repository: &str) -> String {
    let (had_scheme, rest) = match repository.split_once("://") {
        Some((_scheme, rest)) => (true, rest),
        None => (false, repository),
    };
    let rest = rest.trim_end_matches('/');
    let rest = rest.strip_suffix(".git").unwrap_or(rest);
    let (authority, path) = match rest.split_once('/') {
        // scp form: `user@host:path`, where the colon comes before any slash.
        _ if !had_scheme && is_scp_form(rest) => rest.split_once(':').unwrap_or((rest, "")),
        Some(parts) => parts,
        None => return rest.to_owned(),
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    let host = host.split(':').next().unwrap_or(host).to_ascii_lowercase();
    let path = path.trim_start_matches('/');
    if !had_scheme && !host.contains('.') && !host.is_empty() && !path.contains('/') && host != "localhost" {
        return format!("github.com/{authority}/{path}");
    }
    format!("{host}/{path}")
}

fn is_scp_form(text: &str) -> bool {
    match (text.find(':'), text.find('/')) {
        (Some(colon), Some(slash)) => colon < slash,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

fn entries(projects: &[Project]) -> Vec<AllowlistEntry> {
    let mut entries: Vec<_> = projects
        .iter()
        .map(|project| AllowlistEntry { id: project.id.clone(), repository: project.repository.clone() })
        .collect();
    entries.sort_by(|a, b| a.id.cmp(&b.id));
    entries
}

/// Digest of the entries, lower-case hexadecimal; empty for none.
pub(crate) fn digest(entries: &[AllowlistEntry]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let mut hasher = Sha256::new();
    for entry in entries {
        hasher.update(entry.id.as_bytes());
        hasher.update([0]);
        hasher.update(entry.repository.as_bytes());
        hasher.update([0, 0]);
    }
    hasher.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod spellings;

#[cfg(test)]
mod tests {
    use super::*;

    fn project(id: &str, repository: &str) -> Project {
        Project { id: id.to_owned(), repository: repository.to_owned(), ..Project::default() }
    }

    #[test]
    fn match_table() {
        let cases = [
            ("github.com/foo/bar", "github.com/foo/bar", true),
            ("github.com/foo/bar", "https://github.com/foo/bar", true),
            ("github.com/foo/bar", "https://github.com/foo/bar.git", true),
            ("github.com/foo/bar", "foo/bar", true),
            ("github.com/foo/bar", "bar", true),
            ("github.com/foo/bar", "git@github.com:foo/bar", true),
            ("github.com/foo/bar", "ssh://git@github.com:22/foo/bar.git/", true),
            ("git@github.com:foo/bar.git", "bar.git", true),
            ("https://github.com/foo/bar.git", "https://github.com/foo/bar", true),
            ("https://GitHub.com/foo/bar", "https://github.com/foo/bar", true),
            ("github.com/Foo/Bar", "github.com/foo/bar", false),
            ("https://github.com/foo/bar", "https://evil.example/foo/bar", false),
            ("https://github.com/foo/bar", "https://github.com/foo/barn", false),
            ("https://github.com/foo/bar", "", false),
            ("/srv/git/app", "/srv/git/app", true),
            ("/srv/git/app", "/srv/git/other", false),
        ];
        for (configured, value, expected) in cases {
            assert_eq!(matches(&project("id", configured), value), expected, "{configured} <- {value}");
        }
        assert!(matches(&project("smoke-alpha", "https://x.y/z"), "smoke-alpha"));
    }

    #[test]
    fn digest_golden_vectors() {
        let alpha = project("alpha", "github.com/x/alpha");
        let beta = project("beta", "github.com/x/beta");
        assert_eq!(
            digest(&entries(std::slice::from_ref(&alpha))),
            "31b68104891566caaa02dafec2fc6aafb42bf6c0d202a02f6e26d5f88514f328"
        );
        assert_eq!(
            digest(&entries(&[beta, alpha])),
            "e3efbffd408aae30bd737201b12a2c8694de3ce15c0f9b090033bb6f6474551e"
        );
        assert_eq!(digest(&[]), "");
    }
}
