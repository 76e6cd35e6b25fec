//! The worker's view of its checkout.

mod commit;
mod excludes;
mod identity;
mod push;

pub use commit::CommitMessage;
pub use identity::Author;
pub use push::{PushRequest, Pushed};

use crate::git::GitEnvironment;
use crate::marker::Marker;
use crate::{WorkareaError, local};
use git2::{DiffOptions, Oid, Patch, Repository, Tree};
use rensei_proto::outcome::{DiffStat, FileStat};
use std::path::{Path, PathBuf};

/// Larger files count as changed, but their lines are not counted.
const MAX_COUNTED_FILE: i64 = 16 << 20;

/// The checkout of one session. Everything but [`push`](Self::push) blocks on the file system.
///
/// Use it when the agent is done: a git that still works in the checkout may be disturbed.
#[derive(Debug, Clone)]
pub struct Checkout {
    path: PathBuf,
    git: GitEnvironment,
    marker: Marker,
}

impl Checkout {
    /// Opens the checkout at `path`.
    ///
    /// # Errors
    /// When there is none that a [`WorkareaManager`](crate::WorkareaManager) made.
    pub fn open(path: &Path, git: GitEnvironment) -> Result<Self, WorkareaError> {
        let marker = Marker::read(path).ok_or_else(|| {
            let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "not the checkout of a session");
            WorkareaError::io("open", path, missing)
        })?;
        let checkout = Self { path: path.to_owned(), git, marker };
        checkout.repository()?;
        Ok(checkout)
    }

    /// Commit at the tip of whatever is checked out now, full id; none before the first commit.
    ///
    /// # Errors
    /// When the repository is damaged.
    pub fn head(&self) -> Result<Option<String>, WorkareaError> {
        Ok(self.tip()?.map(|id| id.to_string()))
    }

    fn tip(&self) -> Result<Option<Oid>, WorkareaError> {
        let repository = self.repository()?;
        let tip = commit::tip(&repository).map_err(|error| WorkareaError::local("read HEAD", &error))?;
        Ok(tip.map(|commit| commit.id()))
    }

    /// Size of the change from commit `base` (empty: from nothing) to commit `tip`.
    ///
    /// # Errors
    /// When there are no such commits.
    pub fn diff_stat(&self, base: &str, tip: &str) -> Result<DiffStat, WorkareaError> {
        let repository = self.repository()?;
        diff_stat(&repository, base, tip).map_err(|error| WorkareaError::local("compare commits", &error))
    }

    fn repository(&self) -> Result<Repository, WorkareaError> {
        local::open_checkout(&self.path, &self.git).map_err(|error| WorkareaError::local("open the checkout", &error))
    }
}

fn diff_stat(repository: &Repository, base: &str, tip: &str) -> Result<DiffStat, git2::Error> {
    let (old, new) = (tree(repository, base)?, tree(repository, tip)?);
    let mut options = DiffOptions::new();
    options.max_size(MAX_COUNTED_FILE);
    let diff = repository.diff_tree_to_tree(old.as_ref(), new.as_ref(), Some(&mut options))?;
    let totals = diff.stats()?;
    let mut files = Vec::new();
    for (index, delta) in diff.deltas().enumerate().take(DiffStat::MAX_FILES) {
        let path = delta.new_file().path_bytes().or_else(|| delta.old_file().path_bytes()).unwrap_or_default();
        let (_, insertions, deletions) =
            Patch::from_diff(&diff, index)?.map_or(Ok((0, 0, 0)), |patch| patch.line_stats())?;
        files.push(FileStat { path: String::from_utf8_lossy(path).into_owned(), insertions, deletions });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let (insertions, deletions) = (totals.insertions(), totals.deletions());
    Ok(DiffStat { files_changed: totals.files_changed(), insertions, deletions, files })
}

fn tree<'a>(repository: &'a Repository, commit: &str) -> Result<Option<Tree<'a>>, git2::Error> {
    if commit.is_empty() {
        return Ok(None);
    }
    repository.find_commit(Oid::from_str(commit)?)?.tree().map(Some)
}
