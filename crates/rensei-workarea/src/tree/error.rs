//! Why a tree could not be read or written.

use super::names::{escaped, lossy};
use rustix::io::Errno;
use std::io;

/// Why an operation on a tree failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TreeError {
    /// A file operation failed.
    #[error("failed to {operation} `{path}`")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// Path in the tree, shortened.
        path: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// There is more in it than is ever copied or compared.
    #[error("the tree has more than {limit} files, directories and links")]
    TooMany {
        /// The limit.
        limit: u64,
    },
    /// Its directories are in each other further than is ever copied or compared.
    #[error("the tree has more than {limit} directories in each other: `{path}…`")]
    TooDeep {
        /// The limit.
        limit: usize,
        /// Where they begin.
        path: String,
    },
    /// It is larger than what is ever copied or compared.
    #[error("the tree has more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
}

impl TreeError {
    pub(crate) fn too_deep(limit: usize, path: &[u8]) -> Self {
        Self::TooDeep { limit, path: shortened(path, 100) }
    }

    pub(crate) fn io(operation: &'static str, path: &[u8], source: impl Into<io::Error>) -> Self {
        let path = shortened(path, 400);
        Self::Io { operation, path: if path.is_empty() { ".".to_owned() } else { path }, source: source.into() }
    }
}

fn shortened(path: &[u8], chars: usize) -> String {
    let path = escaped(path).unwrap_or_else(|| lossy(path));
    path.chars().take(chars).flat_map(char::escape_debug).collect()
}

/// Whether something cannot be read by this user.
pub(super) fn is_denied(error: Errno) -> bool {
    matches!(error, Errno::ACCESS | Errno::PERM)
}

/// Whether something is not, or no longer, what a listing said.
pub(super) fn is_changed(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO | Errno::XDEV)
}
