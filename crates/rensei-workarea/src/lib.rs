//! Git checkouts for sessions: where they come from and where their work goes.
//!
//! A [`WorkareaManager`] keeps one bare mirror per repository and makes from it one checkout per session, which borrows
//! the mirror's objects. When the session ends its files return to a pool, and the next session of the same repository
//! gets them with a repository of its own around them. A [`Checkout`] is the worker's view of it: commit what the agent
//! left, push it.
//!
//! Whatever talks to a remote runs the `git` executable, with the credential helpers, ssh configuration and proxies of
//! its user, and where there is none libgit2, which knows http, https and this machine. Everything local goes through
//! libgit2, which runs no hooks, filters or other programs that a repository or an agent could have planted. For the same
//! reason a push never reads the configuration of the checkout.
//!
//! [`Archives`] keeps what failed sessions left behind, compares it, and makes workareas from it again.
//!
//! Known limits: content filters (git-lfs) do not run, their pointer files are checked out and committed as they are;
//! commits are not signed; submodules are never fetched (both are named in the notes on a workarea); ssh and
//! credential helpers need the `git` executable; repositories with SHA-256 ids are refused by libgit2.

mod alternates;
mod archive;
mod blocking;
mod checkout;
mod diff;
mod error;
mod files;
mod git;
mod local;
mod manager;
mod marker;
mod mirror;
mod names;
mod network;
mod pool;
mod repository;
mod restore;
mod retained;
mod scratch;
mod tree;

pub use archive::{ArchiveError, ArchiveManifest, ArchiveMetadata, Archives, Retention, create as create_archive};
pub use blocking::blocking;
pub use checkout::{Author, Checkout, CommitMessage, PushRequest, Pushed};
pub use diff::{Patch, patch};
pub use error::{WorkareaError, WorkareaErrorKind};
pub use git::redact;
pub use git::{GitEnvironment, GitHints, GitImplementation, GitToken};
pub use manager::{AcquireRequest, CloneStrategy, ReleaseMode, WorkareaManager};
pub use names::default_branch;
pub use pool::PoolSettings;
pub use repository::without_credentials;
pub use restore::RestoreContext;
