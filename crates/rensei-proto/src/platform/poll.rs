//! Work.

use crate::{
    ModelProfile, ResolvedProfile, Resources, Secret, SessionDetail, SessionId, SessionSpec, StageBudget, lenient,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Answer to `GET /api/workers/{id}/poll`. Items stay raw, so that one bad item never costs its neighbours and a
/// refused item goes back exactly as it came.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PollResponse {
    /// Work, most urgent first. Each element decodes into a [`PollItem`].
    #[serde(default, deserialize_with = "null_as_empty")]
    pub work: Vec<Box<RawValue>>,
    /// Whether the items are already claimed for this worker. When false, claim each before running it.
    #[serde(default, deserialize_with = "lenient::raw_or_default")]
    pub pre_claimed: bool,
    /// Ids of the claimed items.
    #[serde(default, deserialize_with = "lenient::raw_or_default")]
    pub claimed_session_ids: Vec<String>,
    /// Whether `inbox_messages` has any.
    #[serde(default, deserialize_with = "lenient::raw_or_default")]
    pub has_inbox_messages: bool,
    /// Messages to running sessions, by session id.
    #[serde(default, deserialize_with = "lenient::raw_or_default")]
    pub inbox_messages: Map<String, Value>,
    /// Access to the repositories of this answer's items, and of no others.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::each")]
    pub git_credentials: Vec<GitCredential>,
}

/// Short-lived access to one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitCredential {
    /// Password for https.
    #[serde(default, serialize_with = "Secret::serialize_exposed", deserialize_with = "lenient::or_default")]
    pub token: Secret,
    /// The repository.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub clone_url: String,
    /// When it ends, RFC 3339; empty when nobody knows.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub expires_at: String,
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
