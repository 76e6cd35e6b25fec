//! What can break.

use std::path::{Path, PathBuf};

/// Why a measurement could not be finished.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// A program could not be started.
    #[error("failed to start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be used.
    #[error("failed to access {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A program ended or answered otherwise than it must.
    #[error("{what}\n{output}")]
    Unexpected {
        /// What happened.
        what: String,
        /// What the program had said.
        output: String,
    },
    /// Something took longer than anything sensible.
    #[error("timed out waiting for {0}")]
    TimedOut(String),
    /// The control plane refused a call.
    #[error("failed to call the control plane")]
    Platform(#[from] rensei_platform_client::ClientError),
    /// The daemon refused a call.
    #[error("failed to call the daemon")]
    Control(#[from] rensei_control_api::ControlError),
}

impl BenchError {
    /// Ties an I/O error to its path.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// Prints the error with its causes.
    pub(crate) fn print(&self) {
        eprintln!("error: {self}");
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            eprintln!("  caused by: {source}");
            cause = source.source();
        }
    }
}
