//! Sessions on the host.

use crate::outcome::Outcome;
use crate::{SessionDetail, SessionId, SessionSpec, SessionStatus};
use serde::{Deserialize, Serialize};

/// A session that runs on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionHandle {
    /// The session.
    pub session_id: SessionId,
    /// Process id of its worker, also its process group.
    pub pid: u32,
    /// When it was accepted, RFC 3339, whole seconds.
    pub accepted_at: String,
    /// Where it stands.
    pub state: SessionState,
    /// Share of the machine that it asked for. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<crate::Resources>,
}

/// State of a session on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Accepted; its process is being started.
    Starting,
    /// Its process runs.
    Running,
    /// Exit code 0.
    Completed,
    /// Any other end.
    Failed,
    /// Ended by the daemon: stop, drain deadline or time limit.
    Terminated,
}

impl SessionState {
    /// Whether the process has ended.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Terminated)
    }
}

impl std::fmt::Display for SessionState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Terminated => "terminated",
        })
    }
}

/// Body of `POST /api/daemon/sessions`: the spec, and beside it any field of the detail, so that a session posted
/// here runs like one that came from a control plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PostSession {
    /// What the spawner needs.
    #[serde(flatten)]
    pub spec: SessionSpec,
    /// What the worker needs.
    #[serde(flatten)]
    pub detail: PostedDetail,
}

/// Detail fields that a local post may carry. Identity and credentials are the daemon's alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PostedDetail {
    /// Title; becomes the commit subject.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Prompt.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prompt_context: String,
    /// Body of the issue.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// Branch to create.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub branch: String,
    /// Kind of work.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub work_type: String,
    /// Tracker issue.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issue_id: String,
    /// Human name of the issue.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issue_identifier: String,
    /// Agent runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_profile: Option<crate::ResolvedProfile>,
    /// Model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_profile: Option<crate::ModelProfile>,
    /// Prompt of a workflow stage.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stage_prompt: String,
    /// Limits of the stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_budget: Option<crate::StageBudget>,
}

impl PostSession {
    /// The worker's view of the posted session, with the repository still as posted.
    #[must_use]
    pub fn to_detail(&self) -> SessionDetail {
        let posted = self.detail.clone();
        SessionDetail {
            repository: self.spec.repository.clone(),
            r#ref: self.spec.r#ref.clone(),
            title: posted.title,
            prompt_context: posted.prompt_context,
            body: posted.body,
            branch: posted.branch,
            work_type: posted.work_type,
            issue_id: posted.issue_id,
            issue_identifier: posted.issue_identifier,
            resolved_profile: posted.resolved_profile,
            model_profile: posted.model_profile,
            stage_prompt: posted.stage_prompt,
            stage_budget: posted.stage_budget,
            ..SessionDetail::new(self.spec.session_id.clone())
        }
    }
}

/// A session as its host remembers it, live or ended. Holds no credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// The session.
    pub session_id: SessionId,
    /// Where it stands on this host.
    pub state: SessionState,
    /// Process id of its worker; 0 before it was started.
    pub pid: u32,
    /// Allowlisted project.
    #[serde(default)]
    pub project_id: String,
    /// Organisation that sent it; absent for that of `daemon.yaml` and for local sessions. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// Configured repository.
    #[serde(default)]
    pub repository: String,
    /// Starting point.
    #[serde(default)]
    pub r#ref: String,
    /// Title.
    #[serde(default)]
    pub title: String,
    /// Share of the machine that it asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<crate::Resources>,
    /// When it was accepted, RFC 3339 with milliseconds.
    pub accepted_at: String,
    /// When it ended, RFC 3339 with milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// Exit code of the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Signal that ended the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Why the daemon ended it, or what it found after a crash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What may be missed in its workarea: submodules, files in LFS. *Extension.*
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether the daemon found it alive after a restart.
    #[serde(default)]
    pub adopted: bool,
    /// Whether the control plane knows of its end. Always true for local sessions.
    #[serde(default)]
    pub reported: bool,
    /// What the worker left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

impl SessionView {
    /// The session's end in the control plane's words, once it has ended.
    #[must_use]
    pub fn terminal_status(&self) -> Option<SessionStatus> {
        if !self.state.is_ended() {
            return None;
        }
        let from_worker = self.outcome.as_ref().map(|outcome| outcome.status);
        Some(from_worker.unwrap_or(match self.state {
            SessionState::Completed => SessionStatus::Completed,
            SessionState::Terminated => SessionStatus::Stopped,
            SessionState::Starting | SessionState::Running | SessionState::Failed => SessionStatus::Failed,
        }))
    }
}

/// Body of a stop request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StopRequest {
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Answer to a stop request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StopResponse {
    /// The session.
    pub session_id: SessionId,
    /// Whether it is being stopped; false when it had already ended.
    pub stopped: bool,
    /// `operator-cancelled` when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A checkout that belongs to one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Workarea {
    /// The session that holds it.
    pub session_id: SessionId,
    /// Absolute path of the working tree.
    pub path: String,
    /// Repository that it was made from and is pushed to.
    pub repository: String,
    /// Starting point as asked for.
    #[serde(default)]
    pub r#ref: String,
    /// Commit that it starts from.
    pub commit: String,
    /// Branch that is checked out.
    pub branch: String,
    /// How it came about: `cold` (the mirror was made for it), `pool-fresh` (made from an existing mirror) or
    /// `pool-warm` (a used one, brought up to date).
    pub acquire_path: String,
    /// How long that took, in milliseconds.
    pub duration_ms: u64,
    /// What its user may miss in it: submodules, files in LFS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
