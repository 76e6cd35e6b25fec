//! Platform API, worker side: what a daemon and its workers send to a control plane.
//!
//! Requests are written in the daemon's dialect. Where dialects differ, decoders accept the union of the spellings and
//! the control plane's answers carry all of them. Fields marked *extension* are ours: other control planes ignore them.

use crate::{
    ModelProfile, ResolvedProfile, Resources, Secret, SessionDetail, SessionId, SessionSpec, StageBudget, lenient,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Extension name in [`RegisterResponse::extensions`]: `poll?wait=<seconds>` and `lock-refresh?wait=<seconds>` hold
/// the request until there is something to say.
pub const EXTENSION_LONG_POLL: &str = "long-poll";
/// Extension name: claims carry a fencing `attempt` that reports must echo.
pub const EXTENSION_FENCING: &str = "fencing";
/// Substring of the 401 body by which a client knows that its runtime token has expired.
pub const RUNTIME_TOKEN_EXPIRED: &str = "Runtime token expired";

/// Body of `POST /api/workers/register`; the registration token is the bearer. The answer to
/// `POST /api/workers/{id}/refresh-token` is a [`RegisterResponse`] too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisterRequest {
    /// Identity of the machine: a UUID that outlives renames.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub machine_id: String,
    /// Human label of the machine (`machine.id` of the configuration).
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub hostname: String,
    /// Sessions the host runs at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<i64>,
    /// Other spelling of `capacity`. Daemons of this project do not send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<i64>,
    /// Other spelling of `capacity`. Daemons of this project do not send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_agents: Option<i64>,
    /// Version of the daemon.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub version: String,
    /// Dispatch lane that the host serves: `go` or `ts`. *Extension.*
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub runtime: String,
    /// What the host can run.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::or_default")]
    pub provides: Vec<Provides>,
    /// Allowlisted projects. Absent means unknown, not none.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::or_default")]
    pub daemon_projects: Vec<AllowlistEntry>,
}

impl RegisterRequest {
    /// Sessions the host runs at once, whatever the spelling; 1 when the request names none.
    #[must_use]
    pub fn effective_capacity(&self) -> i64 {
        self.capacity.or(self.max_concurrency).or(self.max_agents).unwrap_or(1)
    }
}

/// One substrate capability of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provides {
    /// Such as `native`, `npm`, `workarea`.
    pub kind: String,
}

/// One allowlisted project, as the control plane knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AllowlistEntry {
    /// Project id.
    pub id: String,
    /// Repository URL as configured.
    pub repository: String,
}

/// Answer to a registration. Written in every spelling that clients know and read from any of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "CredentialsWire", into = "CredentialsWire")]
pub struct RegisterResponse {
    /// Identity of this registration.
    pub worker_id: String,
    /// Bearer for all further calls.
    pub runtime_token: Secret,
    /// When it expires, RFC 3339. Absent: assume one hour.
    pub runtime_token_expires_at: Option<String>,
    /// Milliseconds between heartbeats; 0: not said, use 30 000.
    pub heartbeat_interval: u64,
    /// Milliseconds between polls; 0: not said, use 5 000.
    pub poll_interval: u64,
    /// Optional behaviour of this control plane. *Extension.*
    pub extensions: Vec<String>,
}

/// The answers to register and refresh as they are on the wire: every spelling is its own field, because one answer
/// may carry several of them.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CredentialsWire {
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    worker_id: String,
    #[serde(rename = "worker_id", skip_serializing, deserialize_with = "lenient::or_default")]
    worker_id_snake: String,
    #[serde(serialize_with = "Secret::serialize_exposed", deserialize_with = "lenient::or_default")]
    runtime_token: Secret,
    #[serde(serialize_with = "Secret::serialize_exposed", deserialize_with = "lenient::or_default")]
    runtime_jwt: Secret,
    #[serde(rename = "runtime_jwt", skip_serializing, deserialize_with = "lenient::or_default")]
    runtime_jwt_snake: Secret,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    runtime_token_expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    expires_at: Option<String>,
    #[serde(deserialize_with = "lenient::or_default")]
    heartbeat_interval: u64,
    #[serde(deserialize_with = "lenient::or_default")]
    poll_interval: u64,
    #[serde(deserialize_with = "lenient::or_default")]
    heartbeat_interval_seconds: u64,
    #[serde(deserialize_with = "lenient::or_default")]
    poll_interval_seconds: u64,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::or_default")]
    extensions: Vec<String>,
}

/// The first secret that is there.
fn first_secret(candidates: [Secret; 3]) -> Secret {
    candidates.into_iter().find(|secret| !secret.is_empty()).unwrap_or_default()
}

/// An interval in milliseconds from its two spellings; 0 when neither is there.
const fn interval_ms(milliseconds: u64, seconds: u64) -> u64 {
    if milliseconds > 0 { milliseconds } else { seconds.saturating_mul(1000) }
}

impl From<CredentialsWire> for RegisterResponse {
    fn from(wire: CredentialsWire) -> Self {
        Self {
            worker_id: if wire.worker_id.is_empty() { wire.worker_id_snake } else { wire.worker_id },
            runtime_token: first_secret([wire.runtime_token, wire.runtime_jwt, wire.runtime_jwt_snake]),
            runtime_token_expires_at: wire.runtime_token_expires_at.or(wire.expires_at),
            heartbeat_interval: interval_ms(wire.heartbeat_interval, wire.heartbeat_interval_seconds),
            poll_interval: interval_ms(wire.poll_interval, wire.poll_interval_seconds),
            extensions: wire.extensions,
        }
    }
}

impl From<RegisterResponse> for CredentialsWire {
    fn from(answer: RegisterResponse) -> Self {
        Self {
            worker_id: answer.worker_id,
            runtime_jwt: answer.runtime_token.clone(),
            runtime_token: answer.runtime_token,
            expires_at: answer.runtime_token_expires_at.clone(),
            runtime_token_expires_at: answer.runtime_token_expires_at,
            heartbeat_interval: answer.heartbeat_interval,
            poll_interval: answer.poll_interval,
            heartbeat_interval_seconds: answer.heartbeat_interval.div_ceil(1000),
            poll_interval_seconds: answer.poll_interval.div_ceil(1000),
            extensions: answer.extensions,
            ..Self::default()
        }
    }
}

impl RegisterResponse {
    /// Whether the control plane announced `extension`.
    #[must_use]
    pub fn has_extension(&self, extension: &str) -> bool {
        self.extensions.iter().any(|e| e == extension)
    }
}

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
    /// `idle`, `busy` or `draining`. *Extension to the seed's body.*
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
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub acknowledged: bool,
    /// Clock of the control plane, RFC 3339.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub server_time: String,
    /// Work waiting for this worker.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub pending_work_count: u64,
    /// What the control plane thinks of the host.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub host_status: Option<HostStatus>,
    /// Changes that the host should apply; each is offered until it is acknowledged.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::or_default")]
    pub pending_mutations: Vec<PendingMutation>,
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

/// Answer to `GET /api/workers/{id}/poll`. Items stay raw, so that one bad item never costs its neighbours and a
/// refused item goes back exactly as it came.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PollResponse {
    /// Work, most urgent first. Each element decodes into a [`PollItem`].
    #[serde(default, deserialize_with = "null_as_empty")]
    pub work: Vec<Box<RawValue>>,
    /// Whether the items are already claimed for this worker. When false, claim each before running it.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub pre_claimed: bool,
    /// Ids of the claimed items.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub claimed_session_ids: Vec<String>,
    /// Whether `inbox_messages` has any.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub has_inbox_messages: bool,
    /// Messages to running sessions, by session id.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub inbox_messages: Map<String, Value>,
}

fn null_as_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Box<RawValue>>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// One item of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PollItem {
    /// The session.
    pub session_id: SessionId,
    /// Fencing number of the claim. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub attempt: Option<u64>,
    /// Project slug of the tracker.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub project_name: String,
    /// Repository URL.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub repository: String,
    /// Branch, tag or commit to start from.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub r#ref: String,
    /// 1 (most urgent) to 5.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub priority: i64,
    /// Environment of the worker.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "lenient::or_default")]
    pub env: BTreeMap<String, String>,
    /// Longest time the session may run, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub max_duration_seconds: Option<u64>,
    /// Share of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub resources: Option<Resources>,
    /// When it was queued: Unix milliseconds, a JSON number on the wire; a string is tolerated.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub queued_at: i64,
    /// Tracker issue.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub issue_id: String,
    /// Human name of the issue.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub issue_identifier: String,
    /// Tracker-side session id.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub linear_session_id: String,
    /// Agent conversation to resume.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub provider_session_id: String,
    /// Organisation.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub organization_id: String,
    /// Kind of work.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub work_type: String,
    /// Prompt or context.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub prompt_context: String,
    /// Body of the issue.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub body: String,
    /// Title.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub title: String,
    /// Text that mentioned the agent.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub mention_context: String,
    /// Context of the parent issue.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub parent_context: String,
    /// Branch to create.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub branch: String,
    /// Agent runtime and its settings.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub resolved_profile: Option<ResolvedProfile>,
    /// Model.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub model_profile: Option<ModelProfile>,
    /// Prompt of a workflow stage.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub stage_prompt: String,
    /// Stage id.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub stage_id: String,
    /// Stage limits.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub stage_budget: Option<StageBudget>,
    /// Opaque.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub stage_lifecycle: Option<Value>,
    /// Event that started the stage.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub stage_source_event_id: String,
}

impl PollItem {
    /// What the spawner needs, with the repository that the allowlist resolved.
    #[must_use]
    pub fn spec(&self, repository: &str) -> SessionSpec {
        SessionSpec {
            session_id: self.session_id.clone(),
            repository: repository.to_owned(),
            r#ref: self.r#ref.clone(),
            resources: self.resources,
            env: self.env.clone(),
            max_duration_seconds: self.max_duration_seconds,
        }
    }

    /// What the worker needs, without repository, project and credentials: those are the daemon's to fill.
    #[must_use]
    pub fn detail(&self) -> SessionDetail {
        SessionDetail {
            attempt: self.attempt,
            issue_id: self.issue_id.clone(),
            issue_identifier: self.issue_identifier.clone(),
            linear_session_id: self.linear_session_id.clone(),
            provider_session_id: self.provider_session_id.clone(),
            organization_id: self.organization_id.clone(),
            r#ref: self.r#ref.clone(),
            work_type: self.work_type.clone(),
            prompt_context: self.prompt_context.clone(),
            body: self.body.clone(),
            title: self.title.clone(),
            mention_context: self.mention_context.clone(),
            parent_context: self.parent_context.clone(),
            branch: self.branch.clone(),
            resolved_profile: self.resolved_profile.clone(),
            model_profile: self.model_profile.clone(),
            stage_prompt: self.stage_prompt.clone(),
            stage_id: self.stage_id.clone(),
            stage_budget: self.stage_budget,
            stage_lifecycle: self.stage_lifecycle.clone(),
            stage_source_event_id: self.stage_source_event_id.clone(),
            ..SessionDetail::new(self.session_id.clone())
        }
    }
}

/// Body of `POST /api/sessions/{id}/claim`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimRequest {
    /// Claiming worker.
    pub worker_id: String,
}

/// Answer to a claim; a refused claim is still a 200.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimResponse {
    /// Whether the session is the caller's now (also when it already was).
    pub claimed: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub reason: Option<String>,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub session: Option<Value>,
    /// The item of work.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub work: Option<Value>,
}

/// Body of `POST /api/sessions/{id}/lock-refresh`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LockRefreshRequest {
    /// Reporting worker.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub worker_id: String,
    /// Issue whose lock is extended; may be empty here.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub issue_id: String,
    /// Fencing number. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub attempt: Option<u64>,
}

/// Answer to a lock refresh.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LockRefreshResponse {
    /// Whether the caller still owns the session.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub refreshed: bool,
    /// The operator asked for the session to end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not", deserialize_with = "lenient::or_default")]
    pub stop: bool,
    /// Why it should end.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub stop_reason: Option<String>,
}

/// Body of `POST /api/sessions/{id}/nack`: the host gives a claimed item back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NackRequest {
    /// Refusing worker.
    pub worker_id: String,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub reason: String,
    /// The item, byte for byte as it came.
    pub work: Box<RawValue>,
    /// Fencing number. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub attempt: Option<u64>,
}

/// Body of `POST /api/sessions/{id}/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusRequest {
    /// Reporting worker.
    pub worker_id: String,
    /// `running`, `finalizing`, `completed`, `failed` or `stopped`.
    pub status: String,
    /// Fencing number. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub attempt: Option<u64>,
    /// The agent's own conversation id.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub provider_session_id: Option<String>,
    /// Where the session runs on its host.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub worktree_path: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub error: Option<StatusError>,
    /// Cost in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub total_cost_usd: Option<f64>,
    /// Tokens read.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub input_tokens: Option<u64>,
    /// Tokens written.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub output_tokens: Option<u64>,
    /// What the session left behind, with a terminal status. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub result: Option<crate::outcome::SessionResult>,
}

impl StatusRequest {
    /// A bare status.
    #[must_use]
    pub fn new(worker_id: impl Into<String>, status: crate::SessionStatus, attempt: Option<u64>) -> Self {
        Self {
            worker_id: worker_id.into(),
            status: status.as_str().to_owned(),
            attempt,
            provider_session_id: None,
            worktree_path: None,
            error: None,
            total_cost_usd: None,
            input_tokens: None,
            output_tokens: None,
            result: None,
        }
    }
}

/// Error of a failed session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusError {
    /// For people.
    pub message: String,
}

/// Body of `POST /api/sessions/{id}/activity`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityRequest {
    /// Reporting worker.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub worker_id: String,
    /// Fencing number. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub attempt: Option<u64>,
    /// What happened.
    pub activity: Activity,
}

/// One thing that happened in a session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    /// `thought`, `action`, `response`, `error`, `progress` or `context`.
    pub r#type: String,
    /// Text for people.
    pub content: String,
    /// Tool behind an action.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub tool_name: Option<String>,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub tool_input: Option<Value>,
    /// Kind of tool.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub tool_category: Option<String>,
    /// Shortened output of the tool.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub tool_output: Option<String>,
    /// Pairs a result with its use.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub tool_use_id: Option<String>,
    /// Whether the tool failed.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub is_error: Option<bool>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub duration_ms: Option<u64>,
    /// Agent runtime.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub provider_name: Option<String>,
    /// When it was observed, RFC 3339 with fractions.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub timestamp: Option<String>,
}

/// Body of `POST /api/sessions/{id}/completion`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompletionRequest {
    /// Reporting worker.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub worker_id: String,
    /// Fencing number. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub attempt: Option<u64>,
    /// What was done, for people; must not be empty.
    pub summary: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn register_answer_is_read_in_every_dialect() {
        for json in [
            r#"{"workerId":"w","runtimeToken":"t","runtimeTokenExpiresAt":"2026-01-01T00:00:00Z","heartbeatInterval":30000}"#,
            r#"{"workerId":"w","runtimeJwt":"t","expiresAt":"2026-01-01T00:00:00Z"}"#,
            r#"{"worker_id":"w","runtime_jwt":"t","heartbeat_interval_seconds":30}"#,
            r#"{"workerId":"w","runtimeToken":"t","runtimeJwt":"t","expiresAt":"x","runtimeTokenExpiresAt":"x"}"#,
        ] {
            let answer: RegisterResponse = serde_json::from_str(json).unwrap();
            assert_eq!((answer.worker_id.as_str(), answer.runtime_token.expose()), ("w", "t"), "{json}");
        }
    }

    #[test]
    fn one_bad_item_leaves_its_neighbours() {
        let json = r#"{"work":[{"sessionId":"a","queuedAt":1777658441780},{"sessionId":"../x"},{"sessionId":"c",
            "queuedAt":"1777658441780","priority":"high"}],"preClaimed":true}"#;
        let answer: PollResponse = serde_json::from_str(json).unwrap();
        let ids: Vec<_> = answer
            .work
            .iter()
            .map(|raw| serde_json::from_str::<PollItem>(raw.get()).ok().map(|i| i.session_id.to_string()))
            .collect();
        assert_eq!(ids, [Some("a".into()), None, Some("c".into())]);
        assert!(serde_json::from_str::<PollResponse>(r#"{"work":null}"#).unwrap().work.is_empty());
    }

    #[test]
    fn registration_request_accepts_both_capacity_spellings() {
        let doc: RegisterRequest =
            serde_json::from_str(r#"{"version":"0.5.0","capabilities":["local"],"maxConcurrency":4}"#).unwrap();
        assert_eq!(doc.effective_capacity(), 4);
        let both: RegisterRequest = serde_json::from_str(r#"{"capacity":2,"maxConcurrency":4}"#).unwrap();
        assert_eq!(both.effective_capacity(), 2);
    }
}
