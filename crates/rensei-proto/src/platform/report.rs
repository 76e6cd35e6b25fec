//! What is said about one session.

use crate::lenient;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

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
    /// The host could not take the item for reasons of its own: full, paused, out of disk, worker program missing. Says
    /// nothing against the session, so it does not count against it. *Extension.*
    #[serde(default, skip_serializing_if = "std::ops::Not::not", deserialize_with = "lenient::or_default")]
    pub host_fault: bool,
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
