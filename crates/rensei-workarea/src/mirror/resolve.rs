//! From what was asked for to a commit.

use crate::WorkareaError;
use crate::network::Advertised;
use git2::{ErrorCode, Oid, Reference, Repository};

/// Where a session starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// At a commit, reached through a branch unless it was named otherwise.
    Commit {
        /// The commit.
        id: Oid,
        /// The branch.
        branch: Option<String>,
    },
    /// With nothing: the repository has no commits.
    Empty,
}

/// What `HEAD` of a remote is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RemoteHead {
    /// This branch.
    Branch(String),
    /// This commit.
    Detached(Oid),
    /// Nothing that exists.
    Unborn,
}

impl RemoteHead {
    /// What the remote says of its `HEAD`.
    pub(crate) fn of(advertised: Option<Advertised>) -> Self {
        let Some(Advertised { id, points_to }) = advertised else { return Self::Unborn };
        match points_to.as_deref().and_then(|name| name.strip_prefix("refs/heads/")) {
            Some(branch) => Self::Branch(branch.to_owned()),
            None => Self::Detached(id),
        }
    }
}

/// Whether the text is a whole commit id.
pub(crate) fn is_full_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether the text names a reference that a mirror does not follow: one that is neither branch nor tag.
pub(crate) fn is_apart(text: &str) -> bool {
    text.starts_with("refs/") && !text.starts_with("refs/heads/") && !text.starts_with("refs/tags/")
}

/// Where the mirror keeps something that no branch or tag leads to.
pub(crate) fn pin(source: &str) -> String {
    format!("refs/rensei/{source}")
}

/// Refspec that keeps something under such a name.
pub(crate) fn pinning(source: &str) -> String {
    format!("+{source}:{}", pin(source))
}

/// All branches.
pub(crate) fn branches(repository: &Repository) -> impl Iterator<Item = String> {
    let references = repository.references_glob("refs/heads/*").ok();
    let names = references.into_iter().flat_map(|mut references| {
        references.names().filter_map(|name| Some(name.ok()?.to_owned())).collect::<Vec<_>>()
    });
    names.filter_map(|name| name.strip_prefix("refs/heads/").map(str::to_owned))
}

/// The starting point that `wanted` names. A whole id is a commit before all else; then branches, tags and shortened
/// ids count in this order. Nothing is evaluated: `HEAD~1` and the like are not names.
pub(crate) fn resolve(
    repository: &Repository,
    wanted: &str,
    head: Option<&RemoteHead>,
) -> Result<Option<Start>, WorkareaError> {
    match (wanted, head) {
        ("", Some(RemoteHead::Branch(branch))) => Ok(by_branch(repository, branch).or_else(|| if_empty(repository))),
        ("", Some(RemoteHead::Detached(id))) => Ok(by_id(repository, *id)),
        ("", _) => Ok(if_empty(repository)),
        _ if is_full_id(wanted) => Ok(Oid::from_str(wanted).ok().and_then(|id| by_id(repository, id))),
        _ => by_name(repository, wanted),
    }
}

fn by_name(repository: &Repository, wanted: &str) -> Result<Option<Start>, WorkareaError> {
    if let Some(branch) = wanted.strip_prefix("refs/heads/") {
        return Ok(by_branch(repository, branch));
    }
    if wanted.starts_with("refs/") {
        return Ok(by_ref(repository, &if is_apart(wanted) { pin(wanted) } else { wanted.to_owned() }));
    }
    let named = by_branch(repository, wanted)
        .or_else(|| by_ref(repository, &format!("refs/tags/{wanted}")))
        .or_else(|| by_branch(repository, wanted.strip_prefix("origin/")?));
    if named.is_some() {
        return Ok(named);
    }
    by_prefix(repository, wanted)
}

fn by_prefix(repository: &Repository, wanted: &str) -> Result<Option<Start>, WorkareaError> {
    if !(4..40).contains(&wanted.len()) || !wanted.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    match repository.find_commit_by_prefix(wanted) {
        Ok(commit) => Ok(Some(Start::Commit { id: commit.id(), branch: None })),
        Err(error) if error.code() == ErrorCode::Ambiguous => {
            Err(WorkareaError::invalid("ref", wanted, "more than one object begins with it"))
        }
        Err(_) => Ok(None),
    }
}

fn by_branch(repository: &Repository, branch: &str) -> Option<Start> {
    match by_ref(repository, &format!("refs/heads/{branch}"))? {
        Start::Commit { id, .. } => Some(Start::Commit { id, branch: Some(branch.to_owned()) }),
        Start::Empty => None,
    }
}

fn by_ref(repository: &Repository, name: &str) -> Option<Start> {
    if !Reference::is_valid_name(name) {
        return None;
    }
    let commit = repository.find_reference(name).ok()?.peel_to_commit().ok()?;
    Some(Start::Commit { id: commit.id(), branch: None })
}

fn by_id(repository: &Repository, id: Oid) -> Option<Start> {
    let commit = repository.find_object(id, None).ok()?.peel_to_commit().ok()?;
    Some(Start::Commit { id: commit.id(), branch: None })
}

fn if_empty(repository: &Repository) -> Option<Start> {
    let has_refs = repository.references().is_ok_and(|mut references| references.next().is_some());
    (!has_refs).then_some(Start::Empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_remotes() {
        let id = Oid::from_str("0123456789abcdef0123456789abcdef01234567").unwrap();
        let head =
            |points_to: Option<&str>| RemoteHead::of(Some(Advertised { id, points_to: points_to.map(str::to_owned) }));
        assert_eq!(head(Some("refs/heads/a/b")), RemoteHead::Branch("a/b".into()));
        assert_eq!((head(None), head(Some("refs/tags/v1"))), (RemoteHead::Detached(id), RemoteHead::Detached(id)));
        assert_eq!(RemoteHead::of(None), RemoteHead::Unborn);
    }
}
