//! The daemon itself.

use super::UpdateResult;
use crate::lenient;
use serde::{Deserialize, Serialize};

/// State of a daemon on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum HostState {
    /// Takes work.
    Ready,
    /// Finishes what runs, then ends.
    Draining,
    /// Takes nothing until resumed.
    Paused,
    /// Not (yet) running.
    Stopped,
    /// Replaces its own binary.
    Updating,
}

impl std::fmt::Display for HostState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Updating => "updating",
        })
    }
}

/// Answer to `GET /api/daemon/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// State of the daemon.
    pub status: HostState,
    /// Version of the daemon, or of the program that embeds it.
    pub version: String,
    /// `machine.id` of the configuration.
    pub machine_id: String,
    /// Process id.
    pub pid: u32,
    /// Seconds since start.
    pub uptime_seconds: u64,
    /// Sessions running.
    pub active_sessions: usize,
    /// Sessions that may run at once.
    pub max_sessions: usize,
    /// Number of allowlisted projects.
    pub projects_allowed: usize,
    /// Now, RFC 3339, whole seconds.
    pub timestamp: String,
    /// How the control plane sees this host. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub registration: Option<Registration>,
    /// Keys of the configuration that have changed and take effect with the next start. *Extension.*
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::or_default")]
    pub restart_needed: Vec<String>,
    /// What is wrong with the host itself: why it cannot start sessions or serve its metrics, else the last task of it that
    /// panicked and was started again. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub incident: Option<String>,
    /// Whom the host works for, that of `daemon.yaml` first. `registration`, `projects_allowed` and the keys that need a
    /// restart are those of the first one. *Extension.*
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::or_default")]
    pub organizations: Vec<Organization>,
    /// The update that runs, else how the last one since start ended. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub update: Option<UpdateResult>,
}

/// An organisation that a host works for. *Extension.*
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Organization {
    /// `<org>` of `daemon-<org>.yaml`; empty for that of `daemon.yaml`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its file.
    pub file: String,
    /// Number of its allowlisted projects.
    #[serde(default)]
    pub projects_allowed: usize,
    /// Its sessions that run.
    #[serde(default)]
    pub active_sessions: usize,
    /// Its file is gone, or names another control plane: what runs goes on and is reported, nothing new is taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
    /// Why the file is not used as it is just now. What it said before holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_error: Option<String>,
    /// Keys of the file that have no effect there: they are for `daemon.yaml` to say, or nobody knows them.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::or_default")]
    pub ignored_keys: Vec<String>,
    /// How registration with its control plane stands.
    pub registration: Registration,
}

/// How registration with the control plane stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// Where it stands.
    pub state: RegistrationState,
    /// Control plane.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Identity there. One that ends in `-stub` is known to nobody: the host is not to register.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub worker_id: String,
    /// Last failure, kept until a call succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Last heartbeat that the control plane accepted, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heartbeat_at: Option<String>,
    /// Difference between the control plane's clock and this machine's in seconds, when it is more than a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_skew_seconds: Option<i64>,
    /// Why the control plane wants this host to claim nothing, such as `pool_draining`, with what it recommends.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub suspended: Option<String>,
}

/// Where registration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RegistrationState {
    /// No control plane is configured, or none is to be reached: local sessions only.
    Local,
    /// Being tried, again and again.
    Connecting,
    /// The control plane refused the registration token.
    Refused,
    /// Registered; the last call succeeded.
    Registered,
    /// Registered, but the last call failed.
    Unreachable,
}

/// Answer to an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ActionResponse {
    /// Whether the action was taken.
    pub ok: bool,
    /// What happens now.
    pub message: String,
}

/// Body of a drain request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DrainRequest {
    /// Seconds until what is left is forced; 0 or absent: `autoUpdate.drainTimeoutSeconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// Stay up, paused, when drained. *Extension.*
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_alive: bool,
}
