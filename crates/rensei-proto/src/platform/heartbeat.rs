//! Heartbeats and what they bring back.

use super::AllowlistEntry;
use crate::lenient;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Body of `POST /api/workers/{id}/heartbeat`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatRequest {
    /// Sessions running now. Required in one spelling or the other, and not negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_count: Option<i64>,
    /// Other spelling of `active_count`. Daemons of this project do not send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_sessions: Option<i64>,
    /// Sessions the host runs at once; 0 is left out.
    #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "lenient::or_default")]
    pub max_sessions: u32,
    /// `idle`, `busy` or `draining`. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub status: Option<HostActivity>,
    /// Digest of the allowlist; empty means "not reported".
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub allowlist_hash: String,
    /// The allowlist itself, when its digest changed.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub allowlist: Option<Vec<AllowlistEntry>>,
    /// Mutations applied since the last confirmed beat.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::or_default")]
    pub applied_mutations: Vec<String>,
    /// Mutations that failed since the last confirmed beat.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::or_default")]
    pub mutation_failures: Vec<MutationFailure>,
    /// Sessions that the host holds; their leases are renewed. Absent: unknown. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub sessions: Option<Vec<HeldSession>>,
    /// Set on the first beat of a daemon process: `sessions` is complete, so every other session that is claimed under
    /// this worker id was lost between claim and spawn and can be queued again at once. *Extension.*
    #[serde(default, skip_serializing_if = "std::ops::Not::not", deserialize_with = "lenient::or_default")]
    pub resumed: bool,
}

const fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// What a host says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum HostActivity {
    /// Can take work.
    Idle,
    /// All slots taken.
    Busy,
    /// Finishing what runs, taking nothing new.
    Draining,
}

/// A session that a host holds, with the attempt under which it was claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldSession {
    /// The session.
    pub session_id: String,
    /// Its fencing number.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub attempt: Option<u64>,
}

/// A mutation that could not be applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MutationFailure {
    /// The mutation's id.
    pub id: String,
    /// Why.
    pub error: String,
}

/// Answer to a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatResponse {
    /// Always true.
    #[serde(default, deserialize_with = "lenient::raw_or_default")]
    pub acknowledged: bool,
    /// Clock of the control plane, RFC 3339.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::raw_or_default")]
    pub server_time: String,
    /// Work waiting for this worker.
    #[serde(default, deserialize_with = "lenient::raw_or_default")]
    pub pending_work_count: u64,
    /// What the control plane thinks of the host.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::raw_or_default")]
    pub host_status: Option<HostStatus>,
    /// Changes that the host should apply; each is offered until it is acknowledged. One that cannot be read is left
    /// out, so that it does not cost its neighbours.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::each")]
    pub pending_mutations: Vec<PendingMutation>,
    /// What the beat listed, and what the host has no claim to any more: it was queued again, given to another one, or
    /// has ended.
    /// *Extension.*
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::each")]
    pub lost_sessions: Vec<HeldSession>,
}

/// What the control plane thinks of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostStatus {
    /// `ok`, `pool_deleted`, `pool_draining`, `pool_disabled`, `unauthorized`.
    pub status: String,
    /// What the operator should do.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub recommended_action: Option<String>,
    /// Pools that the host could join instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::or_default")]
    pub candidate_pool_ids: Vec<String>,
}

/// A change that the control plane asks a host to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingMutation {
    /// Id to acknowledge.
    pub id: String,
    /// Such as `session.kill`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub op: String,
    /// Arguments of `op`.
    #[serde(default)]
    pub params: Value,
    /// When it was asked for, RFC 3339.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub requested_at: String,
    /// By whom.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub requested_by: String,
}

impl PendingMutation {
    /// Stop one session: `{"sessionId", "reason"?}`.
    pub const SESSION_KILL: &str = "session.kill";
}
