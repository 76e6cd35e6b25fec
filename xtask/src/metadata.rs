//! The part of `cargo metadata` that the tasks read.

use crate::shell;
use crate::task::TaskError;
use serde::Deserialize;
use std::path::PathBuf;

/// The workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    /// Its crates (with `--no-deps`, nothing else is listed).
    pub(crate) packages: Vec<Package>,
    /// Where cargo builds.
    pub(crate) target_directory: PathBuf,
}

/// A crate of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// Name of the package.
    pub(crate) name: String,
    /// Its manifest.
    pub(crate) manifest_path: PathBuf,
    /// Direct dependencies.
    pub(crate) dependencies: Vec<Dependency>,
}

/// A direct dependency.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// Name of the package that is depended on.
    pub(crate) name: String,
    /// Name under which it is used, when that is another one.
    #[serde(default)]
    pub(crate) rename: Option<String>,
    /// `dev`, `build`, or nothing.
    #[serde(default)]
    pub(crate) kind: Option<String>,
    /// Features that are asked for.
    #[serde(default)]
    pub(crate) features: Vec<String>,
    /// Whether a feature switches it on.
    #[serde(default)]
    pub(crate) optional: bool,
}

impl Dependency {
    /// Whether only tests use it.
    pub(crate) fn is_dev(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

/// Reads the workspace's own crates.
pub(crate) fn load() -> Result<Metadata, TaskError> {
    let command = shell::command(&["cargo", "metadata", "--format-version", "1", "--no-deps"]);
    let line = shell::line(&command);
    serde_json::from_slice(&shell::output(command)?).map_err(|source| TaskError::Json { line, source })
}
