//! Why an operation on archives failed.

use crate::tree::TreeError;
use rensei_proto::InvalidSessionId;
use rustix::io::Errno;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Why an archive could not be made, read, compared, restored or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The id cannot be one.
    #[error("invalid archive id `{shown}`: it must be one component of a path, up to 240 bytes, without a leading dot")]
    InvalidId {
        /// The offending text, shortened and escaped.
        shown: String,
    },
    /// The session that a workarea is wanted for cannot be one.
    #[error("invalid `intoSessionId`")]
    InvalidSession {
        /// What is wrong with it.
        #[source]
        source: InvalidSessionId,
    },
    /// There is no such archive or restored workarea.
    #[error("no workarea `{id}`")]
    NotFound {
        /// Which one.
        id: String,
    },
    /// The archive is there, but not whole.
    #[error("archive `{id}` is corrupted: {reason}")]
    Corrupted {
        /// Which one.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The session that a workarea is wanted for has one, or is live.
    #[error("session `{session}` is live or has a restored workarea already")]
    Conflict {
        /// The session.
        session: String,
    },
    /// The pool has no room for another workarea now.
    #[error("the workarea pool is full")]
    Saturated {
        /// When to try again.
        retry_after: Duration,
    },
    /// Somebody reads it at this moment.
    #[error("archive `{id}` is in use")]
    InUse {
        /// Which one.
        id: String,
    },
    /// The tree is larger than what is archived, compared or restored.
    #[error("`{path}` is too large: {reason}")]
    TooLarge {
        /// The workarea or archive.
        path: String,
        /// Which limit it exceeds.
        reason: String,
    },
    /// No room on the disk.
    #[error("no space left on the disk: {detail}")]
    DiskFull {
        /// What was being done.
        detail: String,
    },
    /// A file operation failed.
    #[error("failed to {operation}")]
    Io {
        /// What was being done, with the path.
        operation: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl ArchiveError {
    pub(crate) fn io(operation: &str, path: &Path, source: io::Error) -> Self {
        let operation = format!("{operation} {}", path.display());
        if is_full(&source) {
            return Self::DiskFull { detail: operation };
        }
        Self::Io { operation, source }
    }

    /// What went wrong while a workarea was copied into an archive.
    pub(crate) fn while_archiving(workarea: &Path, root: &Path, error: TreeError) -> Self {
        match error {
            TreeError::TooMany { .. } | TreeError::TooLarge { .. } | TreeError::TooDeep { .. } => {
                Self::TooLarge { path: workarea.display().to_string(), reason: error.to_string() }
            }
            TreeError::Io { operation, path, source } => {
                Self::io(&format!("{operation} `{path}` of {} below", workarea.display()), root, source)
            }
        }
    }

    /// What went wrong while the tree of an archive was compared: but for what this host cannot do it is the archive's
    /// fault.
    pub(crate) fn while_reading(id: &str, error: TreeError) -> Self {
        match error {
            TreeError::Io { operation, path, source } if is_of_the_host(&source) => {
                Self::io(&format!("{operation} `{path}` of archive"), Path::new(id), source)
            }
            TreeError::Io { ref source, .. } => {
                Self::Corrupted { id: id.to_owned(), reason: format!("{error}: {source}") }
            }
            TreeError::TooMany { .. } | TreeError::TooLarge { .. } | TreeError::TooDeep { .. } => {
                Self::TooLarge { path: id.to_owned(), reason: error.to_string() }
            }
        }
    }

    /// What went wrong while the tree of an archive was restored into `target`.
    pub(crate) fn while_restoring(id: &str, target: &Path, error: TreeError) -> Self {
        match error {
            TreeError::Io { operation, path, source } if is_full(&source) => {
                Self::io(&format!("{operation} `{path}` of archive `{id}` in"), target, source)
            }
            other => Self::while_reading(id, other),
        }
    }

    /// Whether the same call may succeed a little later without anyone changing anything.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Saturated { .. } | Self::InUse { .. } => true,
            Self::InvalidId { .. }
            | Self::InvalidSession { .. }
            | Self::NotFound { .. }
            | Self::Corrupted { .. }
            | Self::Conflict { .. }
            | Self::TooLarge { .. }
            | Self::DiskFull { .. }
            | Self::Io { .. } => false,
        }
    }

    /// Whether no room and no other start makes a difference.
    pub(crate) const fn is_permanent(&self) -> bool {
        matches!(self, Self::TooLarge { .. })
    }

    /// HTTP status that an API answers with.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        match self {
            Self::InvalidId { .. } | Self::InvalidSession { .. } | Self::Corrupted { .. } => 400,
            Self::NotFound { .. } => 404,
            Self::Conflict { .. } | Self::InUse { .. } => 409,
            Self::TooLarge { .. } => 413,
            Self::Io { .. } => 500,
            Self::Saturated { .. } => 503,
            Self::DiskFull { .. } => 507,
        }
    }

    /// What to do about it, where that can be known.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::InvalidId { .. } | Self::NotFound { .. } => Some("`rensei workarea list` shows what there is"),
            Self::Corrupted { .. } => Some("`rensei workarea prune <id>` removes it"),
            Self::Conflict { .. } => {
                Some("restore without a session, or remove the other one with `rensei workarea prune <id>`")
            }
            Self::Saturated { .. } => Some("try again later, or raise `capacity.poolMaxDiskGb`"),
            Self::InUse { .. } => Some("try again when the diff or restore that reads it is done"),
            Self::DiskFull { .. } => Some("`rensei workarea prune --max-disk <size>` makes room"),
            Self::InvalidSession { .. } | Self::TooLarge { .. } | Self::Io { .. } => None,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether it says more of this host and this moment than of what is on the disk.
pub(crate) fn is_of_the_host(error: &io::Error) -> bool {
    let host = |errno| {
        matches!(
            errno,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::IO | Errno::ACCESS | Errno::PERM | Errno::ROFS
        )
    };
    is_full(error) || Errno::from_io_error(error).is_some_and(host)
}
