//! Platform API, operator side: sessions as people create, watch and cancel them. The bearer is an API key.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `POST /api/sessions` | [`CreateSession`] | 201 [`Session`] |
//! | `GET /api/sessions?project=&status=&limit=` | | 200 [`SessionList`], newest first |
//! | `GET /api/sessions/{id}?wait=<s>&after=<updatedAt>` | | 200 [`Session`] |
//! | `POST /api/sessions/{id}/cancel` | [`CancelSession`] | 200 [`Session`] |
//! | `GET /api/sessions/{id}/activities?after=<cursor>&wait=<s>` | | 200 [`ActivityPage`] |

use crate::{ResolvedProfile, SessionStatus, lenient, outcome::SessionResult, platform::Activity};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A session to queue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateSession {
    /// Project slug or id. May be absent when the API key sees exactly one project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Repository; defaults to the project's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Branch, tag or commit to start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#ref: Option<String>,
    /// Branch to create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Title; becomes the commit subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Prompt of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Kind of work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_type: Option<String>,
    /// 1 (most urgent) to 5; default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Longest run in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration_seconds: Option<u64>,
    /// Extra environment of the worker.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Agent runtime and its settings. `runner` is stamped by the control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_profile: Option<ResolvedProfile>,
}

/// A session as the operator sees it. Times are Unix milliseconds of the control plane's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Id.
    pub session_id: String,
    /// Project slug.
    pub project: String,
    /// Where it stands.
    pub status: SessionStatus,
    /// Repository.
    pub repository: String,
    /// Starting point; empty: default branch.
    #[serde(default)]
    pub r#ref: String,
    /// Title.
    #[serde(default)]
    pub title: String,
    /// Agent runtime.
    #[serde(default)]
    pub provider: String,
    /// Priority 1 to 5.
    pub priority: i64,
    /// How often it was claimed; also the current fencing number.
    pub attempt: u64,
    /// Why it is still pending, or why it was queued again: a typed word.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub pending_reason: Option<String>,
    /// What the last host to refuse a pending session said, for people. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub pending_detail: Option<String>,
    /// Owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// Label of the owner's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Where it runs on that machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worktree_path: Option<String>,
    /// Error of a failed session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Completion summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What it left behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<SessionResult>,
    /// Whether an operator asked for it to end.
    #[serde(default)]
    pub stop_requested: bool,
    /// Created.
    pub created_at: i64,
    /// Last change of anything above.
    pub updated_at: i64,
    /// Claimed by its current owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_at: Option<i64>,
    /// Reported as running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<i64>,
    /// Reached a terminal status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
}

/// Answer to a list request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionList {
    /// Newest first.
    pub sessions: Vec<Session>,
    /// Number of entries above.
    pub count: usize,
}

/// Body of a cancel request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelSession {
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One page of a session's activities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityPage {
    /// Oldest first.
    pub activities: Vec<RecordedActivity>,
    /// Pass as `after` to get what follows.
    pub cursor: i64,
    /// Status of the session at the time of the answer, read before the activities: once it is terminal and the page
    /// is empty, nothing more comes.
    pub session_status: SessionStatus,
}

/// An activity with its place in the session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedActivity {
    /// Position; grows by arrival.
    pub id: i64,
    /// Arrival at the control plane, Unix milliseconds.
    pub recorded_at: i64,
    /// What happened.
    #[serde(flatten)]
    pub activity: Activity,
}
