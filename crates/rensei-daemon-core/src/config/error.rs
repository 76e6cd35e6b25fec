//! Why a configuration cannot be used.

use std::io;
use std::path::PathBuf;

/// Line and column, both from 1.
pub type Location = (usize, usize);

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is larger than any configuration.
    #[error("{} is larger than 4 MiB", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not YAML, or a key has a value of the wrong kind.
    #[error("{}{}: {problem}", path.display(), suffix(*location))]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where.
        location: Option<Location>,
        /// Key, reason and what is allowed.
        problem: String,
    },
    /// A key has a value that makes no sense.
    #[error("{}{}: `{key}` {problem}", path.display(), suffix(*location))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where the key is or, when it is missing, what should hold it.
        location: Option<Location>,
        /// Path of the key, such as `projects[1].id`.
        key: String,
        /// What is wrong and what is allowed.
        problem: String,
    },
}

impl ConfigError {
    /// The next step for a person.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Read { path, .. } => format!("make {} a file that this user can read", path.display()),
            Self::TooLarge { path } => format!("{} is probably not a configuration", path.display()),
            Self::Parse { .. } | Self::Invalid { .. } => "correct the file and run `rensei host run` again".to_owned(),
        }
    }
}

/// `:line:column`, as editors and terminals understand it.
pub(super) fn suffix(location: Option<Location>) -> String {
    location.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default()
}
