//! Committing what an agent left.

use super::excludes::is_excluded;
use super::identity::{Author, signatures};
use super::{Checkout, WorkareaError};
use git2::{Commit, ErrorCode, Index, IndexAddOption, Oid, Repository, RepositoryState};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Longest subject, in characters.
const MAX_SUBJECT: usize = 200;
/// Longest body, in characters.
const MAX_BODY: usize = 20_000;

/// What a commit says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitMessage {
    /// First line.
    pub subject: String,
    /// The rest; may be empty.
    pub body: String,
    /// Author; none: who git is configured for, else the agent.
    pub author: Option<Author>,
}

impl Checkout {
    /// Commits everything that is not ignored onto whatever is checked out: the session's branch, another one, a
    /// detached `HEAD`. A merge in progress is concluded with the files as they are. Returns the new commit, none when
    /// there was nothing to commit.
    ///
    /// # Errors
    /// When a file cannot be read or the repository cannot be written.
    pub fn commit_all(&self, message: &CommitMessage) -> Result<Option<String>, WorkareaError> {
        let mut repository = self.repository()?;
        let committed = self.commit(&mut repository, message);
        committed.map(|id| id.map(|id| id.to_string())).map_err(|error| WorkareaError::local("commit", &error))
    }

    fn commit(&self, repository: &mut Repository, message: &CommitMessage) -> Result<Option<Oid>, git2::Error> {
        let merged = merge_heads(repository)?;
        let tip = tip(repository)?.map(|commit| commit.id());
        let mut index = repository.index()?;
        stage_all(repository, &mut index)?;
        let tree = index.write_tree_to(repository)?;
        let before = tip.map(|id| repository.find_commit(id)).transpose()?.map(|commit| commit.tree_id());
        let nothing_new = before.map_or_else(|| index.is_empty(), |before| before == tree);
        if nothing_new && merged.is_empty() {
            return Ok(None);
        }
        let parents =
            tip.into_iter().chain(merged).map(|id| repository.find_commit(id)).collect::<Result<Vec<_>, _>>()?;
        let (author, committer) = signatures(message.author.as_ref(), &self.git, &repository.config()?)?;
        let parents: Vec<&Commit<'_>> = parents.iter().collect();
        let tree = repository.find_tree(tree)?;
        let id = repository.commit(None, &author, &committer, &text(message), &tree, &parents)?;
        move_head(repository, id)?;
        finish(repository, &mut index);
        Ok(Some(id))
    }
}

/// Commit that is checked out.
pub(crate) fn tip(repository: &Repository) -> Result<Option<Commit<'_>>, git2::Error> {
    match repository.head() {
        Ok(head) => head.peel_to_commit().map(Some),
        Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

fn merge_heads(repository: &mut Repository) -> Result<Vec<Oid>, git2::Error> {
    let mut heads = Vec::new();
    if repository.state() == RepositoryState::Merge {
        repository.mergehead_foreach(|id| {
            heads.push(*id);
            true
        })?;
    }
    Ok(heads)
}

/// Stages in memory: a lock file that a killed git left beside the index does not matter then.
fn stage_all(repository: &Repository, index: &mut Index) -> Result<(), git2::Error> {
    let tracked = Index::open(&repository.path().join("index"))?;
    let is_tracked = |path: &Path| (0..=3).any(|stage| tracked.get_path(path, stage).is_some());
    let mut skip_unwanted = |path: &Path, _: &[u8]| {
        let unwanted = is_excluded(path.as_os_str().as_bytes()) && !is_tracked(path);
        i32::from(unwanted)
    };
    index.add_all(["*"], IndexAddOption::DEFAULT, Some(&mut skip_unwanted))
}

fn move_head(repository: &Repository, id: Oid) -> Result<(), git2::Error> {
    let Err(error) = try_move_head(repository, id) else { return Ok(()) };
    if error.code() != ErrorCode::Locked {
        return Err(error);
    }
    // The agent is done, so this is what one of its commands left when it was killed.
    let branch =
        repository.find_reference("HEAD").ok().and_then(|head| head.symbolic_target().ok()?.map(str::to_owned));
    for name in [Some("HEAD".to_owned()), branch].into_iter().flatten() {
        let _ = std::fs::remove_file(repository.path().join(format!("{name}.lock")));
    }
    try_move_head(repository, id)
}

fn try_move_head(repository: &Repository, id: Oid) -> Result<(), git2::Error> {
    let head = repository.find_reference("HEAD")?;
    let target = head.symbolic_target()?.map(str::to_owned);
    repository.reference(target.as_deref().unwrap_or("HEAD"), id, true, "session: commit").map(drop)
}

/// Leaves a clean state for whoever looks into the checkout. The commit is made already, so nothing here is an error.
fn finish(repository: &Repository, index: &mut Index) {
    let _ = std::fs::remove_file(repository.path().join("index.lock"));
    if let Err(error) = index.write().and_then(|()| repository.cleanup_state()) {
        tracing::warn!(%error, "could not tidy a checkout after the commit");
    }
}

fn text(message: &CommitMessage) -> String {
    let subject: String =
        message.subject.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SUBJECT).collect();
    let allowed = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    let body: String = message.body.chars().filter(allowed).take(MAX_BODY).collect();
    let subject = if subject.trim().is_empty() { "Work of an agent session" } else { subject.trim() };
    match body.trim() {
        "" => format!("{subject}\n"),
        body => format!("{subject}\n\n{body}\n"),
    }
}
