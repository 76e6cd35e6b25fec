//! What the host says of itself beside its status.

use super::{Organization, Registration};
use crate::lenient;
use crate::platform::{AllowlistEntry, Provides};
use serde::{Deserialize, Serialize};

/// Answer to `GET /api/daemon/stats`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// What the host takes on.
    pub capacity: CapacityStats,
    /// Sessions running.
    pub active_sessions: usize,
    /// Sessions that wait on this host. Always 0: it accepts or refuses, and what waits waits at the control plane.
    pub queue_depth: usize,
    /// The pool of workareas. Only when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<super::WorkareaPoolStats>,
    /// Every machine behind this API, which is this one. Only when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_machine: Option<Vec<MachineStats>>,
    /// Now, RFC 3339, whole seconds.
    pub timestamp: String,
    /// Identity at the control plane.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub worker_id: String,
    /// How the control plane is kept informed.
    #[serde(default)]
    pub registration: RegistrationStats,
    /// Repositories of the allowlisted projects, in configuration order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_projects: Vec<String>,
    /// The same for each organisation that the host works for, that of `daemon.yaml` first. *Extension.*
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::or_default")]
    pub organizations: Vec<OrganizationStats>,
}

/// What concerns one organisation. *Extension.*
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrganizationStats {
    /// `<org>` of `daemon-<org>.yaml`; empty for that of `daemon.yaml`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its sessions that run.
    pub active_sessions: usize,
    /// Identity at its control plane.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub worker_id: String,
    /// How its control plane is kept informed.
    #[serde(default)]
    pub registration: RegistrationStats,
    /// Repositories of its allowlisted projects, in configuration order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_projects: Vec<String>,
}

/// What a host takes on. A limit of 0 is none and is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CapacityStats {
    /// Sessions that may run at once.
    pub max_concurrent_sessions: usize,
    /// Processors of one session.
    #[serde(default, rename = "maxVCpuPerSession", skip_serializing_if = "is_zero")]
    pub max_vcpu_per_session: u32,
    /// Memory of one session, MiB.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_memory_mb_per_session: u32,
    /// Processors that sessions leave to the machine.
    #[serde(default, rename = "reservedVCpu", skip_serializing_if = "is_zero")]
    pub reserved_vcpu: u32,
    /// Memory that sessions leave to the machine, MiB.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reserved_memory_mb: u32,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MachineStats {
    /// `machine.id` of the configuration.
    pub id: String,
    /// `machine.region`; may be empty.
    pub region: String,
    /// State of its daemon.
    pub status: super::HostState,
    /// Version of its daemon.
    pub version: String,
    /// Sessions running.
    pub active_sessions: usize,
    /// What it takes on.
    pub capacity: CapacityStats,
    /// Seconds since start.
    pub uptime_seconds: u64,
    /// When it was seen last, RFC 3339, whole seconds.
    pub last_seen_at: String,
}

/// How the control plane is kept informed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RegistrationStats {
    /// `idle`, `busy`, `draining`, `paused`, `unregistered`, or the daemon's own state.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// When the last heartbeat was sent, RFC 3339.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_heartbeat_at: String,
    /// Whether heartbeats are sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub heartbeat_running: bool,
    /// Whether work is asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub poll_running: bool,
}

/// Answer to `GET /api/daemon/heartbeat`: the heartbeat that was sent last. Empty on a host that has sent none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// Identity at the control plane.
    pub worker_id: String,
    /// `machine.id` of the configuration.
    pub hostname: String,
    /// `idle`, `busy` or `draining`; empty when none was sent.
    pub status: String,
    /// Sessions running.
    pub active_sessions: u64,
    /// Sessions that may run at once.
    pub max_sessions: u32,
    /// `machine.region`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// When it was sent, RFC 3339; empty when none was.
    pub sent_at: String,
    /// SHA-256 of the allowlist, hexadecimal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub allowlist_hash: String,
    /// The allowlist, when the heartbeat carried it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowlist: Vec<AllowlistEntry>,
    /// What the control planes of further organisations were told last. *Extension.*
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::or_default")]
    pub organizations: Vec<OrganizationHeartbeat>,
}

/// The heartbeat of a further organisation that was sent last. *Extension.*
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrganizationHeartbeat {
    /// `<org>` of `daemon-<org>.yaml`.
    pub name: String,
    /// Identity at its control plane; empty when none was sent.
    pub worker_id: String,
    /// `idle`, `busy` or `draining`; empty when none was sent.
    pub status: String,
    /// Sessions running, those of others included: they take slots, too.
    pub active_sessions: u64,
    /// When it was sent, RFC 3339; empty when none was.
    pub sent_at: String,
    /// SHA-256 of its allowlist, hexadecimal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub allowlist_hash: String,
}

/// Answer to `GET /api/daemon/doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Doctor {
    /// The daemon's own state: `starting`, `running`, `paused`, `draining`, `stopping`, `stopped`.
    pub state: String,
    /// Version of the daemon itself, whatever program embeds it.
    pub version: String,
    /// Whether the configuration file is there and what it says is used; otherwise what it said before is, or defaults are.
    pub config_loaded: bool,
    /// `machine.id` of the configuration.
    pub machine_id: String,
    /// Identity at the control plane; may be empty.
    pub worker_id: String,
    /// Number of allowlisted projects.
    pub project_count: usize,
    /// Control plane; may be empty.
    pub orchestrator_url: String,
    /// Whether heartbeats are sent.
    pub heartbeat: bool,
    /// Now, RFC 3339, whole seconds.
    pub timestamp: String,
    /// How the control plane sees this host. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub registration: Option<Registration>,
    /// Keys of the configuration that have changed and take effect with the next start. *Extension.*
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::or_default")]
    pub restart_needed: Vec<String>,
    /// What is wrong with the host itself, as in the status. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub incident: Option<String>,
    /// Whom the host works for, as in the status. *Extension.*
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::or_default")]
    pub organizations: Vec<Organization>,
}

/// Answer to `GET /api/daemon/capabilities`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Capabilities {
    /// What this machine can run, as registered.
    pub provides: Vec<Provides>,
    /// What talks to repositories elsewhere: `git`, the executable, or `libgit2` where there is none. *Extension.*
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub git: String,
    /// Now, RFC 3339, whole seconds.
    pub timestamp: String,
}

/// Body of `POST /api/daemon/capacity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SetCapacity {
    /// `capacity.maxConcurrentSessions`.
    pub key: String,
    /// A non-negative whole number, as text.
    pub value: String,
}

/// Answer to `POST /api/daemon/capacity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CapacityChange {
    /// Whether it was applied.
    pub ok: bool,
    /// As asked for.
    pub key: String,
    /// As asked for.
    pub value: String,
    /// `applied`, or why not.
    pub message: String,
}

const fn is_zero(n: &u32) -> bool {
    *n == 0
}
