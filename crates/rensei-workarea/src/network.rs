//! What is said to remotes: by the `git` executable where there is one, by libgit2 otherwise.

mod executable;
mod library;

use crate::WorkareaError;
use crate::git::{GitEnvironment, GitHints, GitImplementation};
use crate::mirror::MirrorLock;
use crate::repository::Repository;
use executable::Executable;
use git2::Oid;
use library::Library;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

/// A repository elsewhere and how to get at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upstream {
    pub(crate) repository: Repository,
    pub(crate) hints: GitHints,
}

/// What to bring here.
#[derive(Debug)]
pub(crate) struct Fetch {
    /// What people call it.
    pub(crate) operation: &'static str,
    /// Bare repository to bring it to.
    pub(crate) git_dir: PathBuf,
    /// What to bring, and under which names.
    pub(crate) refspecs: Vec<String>,
    /// The right to change that repository. Held for as long as anything may still write there.
    pub(crate) lock: Arc<MirrorLock>,
}

/// What to put there.
#[derive(Debug, Clone)]
pub(crate) struct Push {
    /// Bare repository that has the commit.
    pub(crate) git_dir: PathBuf,
    /// The commit.
    pub(crate) commit: Oid,
    /// Branch that is to be at the commit.
    pub(crate) branch: String,
    /// Tip of that branch that may be lost; none: nothing may be.
    pub(crate) replacing: Option<Oid>,
}

/// One reference of a remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advertised {
    /// Its object.
    pub(crate) id: Oid,
    /// Reference that it stands for, as `HEAD` does.
    pub(crate) points_to: Option<String>,
}

/// What a remote made of one push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Taken,
    /// It has other commits on that branch.
    Diverged,
    /// It does not want that branch.
    Refused(String),
}

/// Why nothing came of it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: WorkareaError,
    /// Whether the repository here may be to blame.
    pub(crate) damage: bool,
    /// Whether it was tried to the end: neither stopped nor never begun.
    pub(crate) ended: bool,
}

/// What comes of it, some time.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// Says things to remotes. Nothing waits for longer than the environment's time limit, and nothing goes on when the
/// answer is no longer wanted.
pub(crate) trait Network: fmt::Debug + Send + Sync {
    /// Brings references and their objects here. References that are gone there go here, too.
    fn fetch<'a>(&'a self, from: &'a Upstream, fetch: Fetch) -> Answer<'a, ()>;

    /// The reference of that full name, if there is one.
    fn look_up<'a>(&'a self, at: &'a Upstream, name: &'a str) -> Answer<'a, Option<Advertised>>;

    /// Puts a commit on a branch.
    fn push<'a>(&'a self, to: &'a Upstream, push: Push) -> Answer<'a, Verdict>;
}

/// Whoever speaks in this environment.
pub(crate) fn network(git: &GitEnvironment) -> Arc<dyn Network> {
    match git.implementation() {
        GitImplementation::Executable(_) => Arc::new(Executable::new(git.clone())),
        GitImplementation::Library => Arc::new(Library::new(git.clone())),
    }
}
