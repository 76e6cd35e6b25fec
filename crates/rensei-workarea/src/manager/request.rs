//! What is asked of the manager.

use crate::git::GitHints;

/// What a session needs a checkout for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AcquireRequest {
    /// Repository: URL, `owner/name` on github.com, or absolute path.
    pub repository: String,
    /// Branch, tag, full or shortened commit id, or full ref name; empty: what the remote's `HEAD` is.
    pub r#ref: String,
    /// Branch to create; empty: [`default_branch`](crate::default_branch).
    pub branch: String,
    /// How to access the repository.
    pub hints: GitHints,
    /// What of the history the checkout has.
    pub strategy: CloneStrategy,
    /// Toolchains that the session runs with, such as `java-17+node-20`: a used checkout is handed to sessions with the
    /// same ones only.
    pub toolchain: String,
    /// Which run of the session it is for, when there can be several: what an earlier one left is never handed out.
    pub attempt: Option<u64>,
    /// Whose session it is, such as an organisation: neither objects nor checkouts are shared across. Empty: the
    /// owner's of this machine.
    pub scope: String,
}

/// What of the history a checkout has. Its objects come from the mirror, which has all of it, in every case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CloneStrategy {
    /// All of it, with objects that stay in the mirror.
    #[default]
    ReferenceClone,
    /// All of it, with objects of its own and every branch and tag of the remote.
    Full,
    /// The newest commit, with objects that stay in the mirror.
    Shallow,
}

/// What becomes of a checkout when its session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseMode {
    /// It is cleaned and kept for the next session.
    ReturnToPool,
    /// It is deleted.
    Destroy,
    /// The session may come back for it. Checkouts on a disk cannot be paused: the same as returning it, with a
    /// warning.
    Pause,
}
