//! Why there is no workarea, commit or push.

use std::io;
use std::path::Path;
use std::sync::Arc;

/// Why an operation on a workarea failed. Texts from git are bounded, without control characters and credentials.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum WorkareaError {
    /// There is no repository at that place, or none that this user may see.
    #[error("`{repository}` is not a git repository, or not visible to this user: {detail}")]
    NotARepository {
        /// Where it was looked for.
        repository: String,
        /// What git said.
        detail: String,
    },
    /// The repository has no such branch, tag or commit.
    #[error("`{repository}` has no branch, tag or commit `{reference}`")]
    MissingRef {
        /// Where it was looked for.
        repository: String,
        /// What was looked for.
        reference: String,
        /// Branches with similar names, most similar first.
        similar: Vec<String>,
    },
    /// The remote did not answer.
    #[error("cannot reach `{repository}`: {detail}")]
    Unreachable {
        /// The remote.
        repository: String,
        /// What git said.
        detail: String,
    },
    /// The remote wants other credentials.
    #[error("access to `{repository}` denied: {detail}")]
    Denied {
        /// The remote.
        repository: String,
        /// What git said.
        detail: String,
    },
    /// What the `git` executable is needed for, and there is none.
    #[error("cannot reach `{repository}` over {what} without the git executable")]
    NeedsGit {
        /// The remote.
        repository: String,
        /// The protocol.
        what: String,
    },
    /// The remote took none of the branches.
    #[error("`{repository}` refused the push to `{branch}`: {detail}")]
    PushRejected {
        /// The remote.
        repository: String,
        /// Branch that was tried first.
        branch: String,
        /// What the remote said.
        detail: String,
    },
    /// No room on the disk.
    #[error("no space left on the disk: {detail}")]
    DiskFull {
        /// What was being done.
        detail: String,
    },
    /// So little room on the disk that no workarea is made.
    #[error("the disk of {path} is nearly full: {bytes} % of its space and {inodes} % of its inodes are taken")]
    NearlyFull {
        /// Where workareas are made.
        path: String,
        /// Percentage of the space that is taken.
        bytes: u8,
        /// Percentage of the inodes that is taken.
        inodes: u8,
    },
    /// A repository, ref or branch that cannot be one.
    #[error("invalid {what} `{value}`: {why}")]
    InvalidName {
        /// `repository`, `ref` or `branch`.
        what: &'static str,
        /// The offending text, shortened and escaped.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Git failed in a way that is none of the above.
    #[error("git could not {operation}: {detail}")]
    Git {
        /// What was being done.
        operation: String,
        /// What git said.
        detail: String,
    },
    /// A file operation failed.
    #[error("failed to {operation}")]
    Io {
        /// What was being done, with the path.
        operation: String,
        /// Why it failed.
        #[source]
        source: Arc<io::Error>,
    },
}

/// What kind of failure a [`WorkareaError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is described at the variant of `WorkareaError` of the same name")]
pub enum WorkareaErrorKind {
    NotARepository,
    MissingRef,
    Unreachable,
    Denied,
    NeedsGit,
    PushRejected,
    DiskFull,
    NearlyFull,
    InvalidName,
    Git,
    Io,
}

impl WorkareaError {
    pub(crate) fn io(operation: &str, path: &Path, source: io::Error) -> Self {
        let operation = format!("{operation} {}", path.display());
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Self::DiskFull { detail: operation };
        }
        Self::Io { operation, source: Arc::new(source) }
    }

    /// Wraps an error of libgit2.
    pub(crate) fn local(operation: &str, error: &git2::Error) -> Self {
        let detail = crate::git::readable(error.message().as_bytes());
        if detail.contains("No space left on device") || detail.contains("Disk quota exceeded") {
            return Self::DiskFull { detail };
        }
        Self::Git { operation: operation.to_owned(), detail }
    }

    pub(crate) fn nearly_full(path: &Path, bytes: u8, inodes: u8) -> Self {
        Self::NearlyFull { path: path.display().to_string(), bytes, inodes }
    }

    pub(crate) fn invalid(what: &'static str, value: &str, why: &'static str) -> Self {
        let value = crate::git::redact(value).chars().take(80).flat_map(char::escape_debug).collect();
        Self::InvalidName { what, value, why }
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> WorkareaErrorKind {
        match self {
            Self::NotARepository { .. } => WorkareaErrorKind::NotARepository,
            Self::MissingRef { .. } => WorkareaErrorKind::MissingRef,
            Self::Unreachable { .. } => WorkareaErrorKind::Unreachable,
            Self::Denied { .. } => WorkareaErrorKind::Denied,
            Self::NeedsGit { .. } => WorkareaErrorKind::NeedsGit,
            Self::PushRejected { .. } => WorkareaErrorKind::PushRejected,
            Self::DiskFull { .. } => WorkareaErrorKind::DiskFull,
            Self::NearlyFull { .. } => WorkareaErrorKind::NearlyFull,
            Self::InvalidName { .. } => WorkareaErrorKind::InvalidName,
            Self::Git { .. } => WorkareaErrorKind::Git,
            Self::Io { .. } => WorkareaErrorKind::Io,
        }
    }

    /// Whether somebody else may be told something else: forges hide what they do not show.
    pub(crate) const fn depends_on_credentials(&self) -> bool {
        matches!(self.kind(), WorkareaErrorKind::Denied | WorkareaErrorKind::NotARepository)
    }

    /// Whether the same call may succeed a little later without anyone changing anything.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self.kind() {
            WorkareaErrorKind::Unreachable | WorkareaErrorKind::NearlyFull => true,
            WorkareaErrorKind::NotARepository
            | WorkareaErrorKind::MissingRef
            | WorkareaErrorKind::Denied
            | WorkareaErrorKind::NeedsGit
            | WorkareaErrorKind::PushRejected
            | WorkareaErrorKind::DiskFull
            | WorkareaErrorKind::InvalidName
            | WorkareaErrorKind::Git
            | WorkareaErrorKind::Io => false,
        }
    }

    /// HTTP status that an API answers with.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        match self.kind() {
            WorkareaErrorKind::InvalidName => 400,
            WorkareaErrorKind::NotARepository
            | WorkareaErrorKind::MissingRef
            | WorkareaErrorKind::Denied
            | WorkareaErrorKind::NeedsGit
            | WorkareaErrorKind::PushRejected => 422,
            WorkareaErrorKind::Git | WorkareaErrorKind::Io => 500,
            WorkareaErrorKind::Unreachable | WorkareaErrorKind::NearlyFull => 503,
            WorkareaErrorKind::DiskFull => 507,
        }
    }

    /// What to do about it, where that can be known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotARepository { repository, .. } => {
                Some(format!("check it with `git ls-remote '{repository}'` as the user of the daemon"))
            }
            Self::MissingRef { similar, .. } if similar.is_empty() => {
                Some("the repository has no branches yet: push a first commit, or leave the ref empty".to_owned())
            }
            Self::MissingRef { similar, repository, .. } => {
                Some(format!("similar branches: {}; `git ls-remote '{repository}'` lists them all", similar.join(", ")))
            }
            Self::Unreachable { repository, .. } => Some(format!(
                "check the URL, the network and the proxy settings; `git ls-remote '{repository}'` makes the same connection"
            )),
            Self::Denied { detail, repository } if detail.contains("dubious ownership") => Some(format!(
                "the repository belongs to another user; if you trust it: `git config --global --add safe.directory \
                 '{repository}'`"
            )),
            Self::Denied { .. } => Some(
                "set up a credential helper or an ssh key for the user of the daemon, or `git.credentialHelper` or \
                 `git.sshKey` of the project"
                    .to_owned(),
            ),
            Self::PushRejected { .. } => Some("check branch protection and hooks of the remote".to_owned()),
            Self::DiskFull { .. } => Some("free some space below the state root".to_owned()),
            Self::NearlyFull { .. } => Some(
                "free some space on that disk: `rensei host stats --pool` shows what idle workareas take, `rensei host \
                 evict` deletes them"
                    .to_owned(),
            ),
            Self::InvalidName { what: "repository", .. } => Some(
                "use an https, ssh or file URL, `user@host:path`, `owner/name` on github.com, or an absolute path"
                    .to_owned(),
            ),
            Self::NeedsGit { .. } => {
                Some("use an https URL, or install git and put it on the PATH of the daemon".to_owned())
            }
            Self::Git { detail, .. } if detail.contains(".lock'") => Some(
                "another git left that file, or still runs: when none does, delete the file, and see that the user of the \
                 daemon may"
                    .to_owned(),
            ),
            Self::InvalidName { .. } | Self::Git { .. } | Self::Io { .. } => None,
        }
    }
}
