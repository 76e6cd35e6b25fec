//! What a task may end with.

use std::path::{Path, PathBuf};

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskError {
    /// A program could not be started.
    #[error("failed to start `{line}`")]
    Start {
        /// Command line.
        line: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A program ended with an error.
    #[error("`{line}` failed with {status}")]
    Failed {
        /// Command line, to be run again by hand.
        line: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// A program did not end in time.
    #[error("`{line}` did not end within {seconds} s")]
    TimedOut {
        /// Command line.
        line: String,
        /// The bound.
        seconds: u64,
    },
    /// A file or directory could not be used.
    #[error("failed to access {}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A program answered with something else than the JSON that was expected.
    #[error("failed to read the JSON of `{line}`")]
    Json {
        /// Command line.
        line: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Rules are broken.
    #[error("{} broken rule{}", .0.len(), if .0.len() == 1 { "" } else { "s" })]
    Findings(Vec<Finding>),
    /// `--only` names no step.
    #[error("no step `{name}`; there are: {known}")]
    UnknownStep {
        /// As given.
        name: String,
        /// All steps.
        known: String,
    },
}

impl TaskError {
    /// Ties an I/O error to its path.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Where: a path, a path with line, or a crate.
    pub(crate) place: String,
    /// What is wrong and which rule says so.
    pub(crate) message: String,
}

impl Finding {
    pub(crate) fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

/// An error when there are findings.
pub(crate) fn verdict(mut findings: Vec<Finding>) -> Result<(), TaskError> {
    findings.sort();
    findings.dedup();
    if findings.is_empty() { Ok(()) } else { Err(TaskError::Findings(findings)) }
}

/// Prints an error with its causes, and every finding.
pub(crate) fn report(error: &TaskError) {
    if let TaskError::Findings(findings) = error {
        for finding in findings {
            eprintln!("{}: {}", finding.place, finding.message);
        }
    }
    eprintln!("error: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        eprintln!("  caused by: {source}");
        cause = source.source();
    }
}
