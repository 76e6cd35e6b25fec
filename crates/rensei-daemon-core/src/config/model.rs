//! Keys of `daemon.yaml` that this daemon reads. Unknown keys are ignored.

use crate::handle::ControlAuth;
use rensei_proto::Secret;
use serde::Deserialize;

/// Sessions at once when the file does not say.
pub(super) const DEFAULT_MAX_SESSIONS: u32 = 8;
/// Seconds that a drain may take when the file does not say.
const DEFAULT_DRAIN_SECONDS: u64 = 600;

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// Who this machine is.
    pub machine: Machine,
    /// How much it takes on.
    pub capacity: Capacity,
    /// What it serves.
    pub projects: Vec<Project>,
    /// Whom it serves; absent: local sessions only.
    pub orchestrator: Option<Orchestrator>,
    /// How it is kept up to date.
    pub auto_update: AutoUpdate,
    /// Who may control it.
    pub control: Control,
}

impl Config {
    /// Sessions that may run at once. An explicit 0 means none.
    #[must_use]
    pub fn max_sessions(&self) -> usize {
        self.capacity.max_concurrent_sessions.unwrap_or(DEFAULT_MAX_SESSIONS) as usize
    }
}

/// `machine`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Human label, sent as the host's name.
    pub id: String,
}

/// `capacity`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capacity {
    /// Sessions at once.
    pub max_concurrent_sessions: Option<u32>,
}

/// One entry of `projects`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Project {
    /// Name that work may use for it.
    pub id: String,
    /// What is cloned and pushed to.
    #[serde(alias = "repoUrl")]
    pub repository: String,
    /// How checkouts are made.
    pub clone_strategy: CloneStrategy,
    /// How git authenticates.
    pub git: GitHints,
}

/// `projects[].cloneStrategy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloneStrategy {
    /// Newest commit only.
    #[default]
    Shallow,
    /// Whole history.
    Full,
    /// Objects borrowed from the mirror.
    ReferenceClone,
}

/// `projects[].git`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GitHints {
    /// Value for git's `credential.helper`.
    pub credential_helper: Option<String>,
    /// Private key for ssh remotes.
    pub ssh_key: Option<String>,
}

/// `orchestrator`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Orchestrator {
    /// Base URL of the control plane. `file://…` means none.
    pub url: String,
    /// Registration token. `${NAME}` is replaced from the environment.
    pub auth_token: Option<Secret>,
}

/// `autoUpdate`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AutoUpdate {
    /// Seconds that a drain may take.
    pub drain_timeout_seconds: u64,
}

impl Default for AutoUpdate {
    fn default() -> Self {
        Self { drain_timeout_seconds: DEFAULT_DRAIN_SECONDS }
    }
}

/// `control`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Control {
    /// Who may call the control API.
    pub auth: ControlAuth,
}
