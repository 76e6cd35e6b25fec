//! A session as the daemon hands it to a worker.

mod status;

pub use status::SessionStatus;

use crate::{Secret, SessionId, lenient};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What the spawner needs to start a worker: the body of `POST /api/daemon/sessions` and the core of a poll item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionSpec {
    /// The session's id, chosen by whoever dispatches it.
    pub session_id: SessionId,
    /// Repository as the dispatcher names it: an allowlisted URL, its project id, or a suffix of either.
    #[serde(default)]
    pub repository: String,
    /// Branch, tag or commit to start from; empty means the remote's default branch.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub r#ref: String,
    /// Share of the machine the session asks for.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub resources: Option<Resources>,
    /// Extra environment of the worker. Session variables of the daemon win over it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Longest time the session may run, in seconds; the daemon then stops it. 0 or absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration_seconds: Option<u64>,
}

/// Share of the machine that a session asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Virtual CPUs.
    #[serde(default, rename = "vCpu", skip_serializing_if = "Option::is_none")]
    pub v_cpu: Option<u32>,
    /// Memory in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u64>,
}

/// Everything a worker needs to run one session: the answer to `GET /api/daemon/sessions/<id>`.
///
/// Optional text fields are empty when absent and left out of the JSON then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionDetail {
    /// The session's id.
    pub session_id: SessionId,
    /// Fencing number of this claim, minted by the control plane; sent back with every report. Absent for local
    /// sessions and for control planes that do not fence.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub attempt: Option<u64>,
    /// Tracker issue behind the session.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub issue_id: String,
    /// Human name of that issue, such as `ENG-42`.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub issue_identifier: String,
    /// Tracker-side session id (deprecated name, still sent).
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub linear_session_id: String,
    /// Id of an earlier agent conversation to resume.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub provider_session_id: String,
    /// Id of the allowlisted project, or the name that the dispatcher sent when none matched.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub project_name: String,
    /// Organisation that the session belongs to.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub organization_id: String,
    /// Repository to clone: always the configured one once the allowlist matched.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub repository: String,
    /// Branch, tag or commit to start from; empty means the remote's default branch.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub r#ref: String,
    /// Kind of work, such as `development` or `qa`.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub work_type: String,
    /// The prompt, or the context from which it is rendered.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub prompt_context: String,
    /// Body of the issue.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub body: String,
    /// Title of the session or issue; becomes the commit subject.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub title: String,
    /// Text that mentioned the agent.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub mention_context: String,
    /// Context of the parent issue.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub parent_context: String,
    /// How to access the repository. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub git: Option<GitAccess>,
    /// Branch to create and push; empty means `agent/<sessionId>`.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub branch: String,
    /// Which agent runtime to use and how.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub resolved_profile: Option<ResolvedProfile>,
    /// Which model to use; its provider wins over the one of `resolved_profile`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub model_profile: Option<ModelProfile>,
    /// Worker identity under which reports are sent.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub worker_id: String,
    /// Bearer for reports. Current at the time of the answer: fetch the detail again after a 401.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "Secret::serialize_exposed_opt",
        deserialize_with = "lenient::or_default"
    )]
    pub auth_token: Option<Secret>,
    /// Base URL of the control plane; empty for a session that was posted on this host.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub platform_url: String,
    /// Prompt of a workflow stage; wins over `prompt_context`.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub stage_prompt: String,
    /// Id of that stage.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub stage_id: String,
    /// Limits of that stage.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub stage_budget: Option<StageBudget>,
    /// Opaque to the host.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub stage_lifecycle: Option<Value>,
    /// Event that started the stage.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub stage_source_event_id: String,
}

impl SessionDetail {
    /// A detail with nothing but the id, to be filled by the caller.
    #[must_use]
    pub fn new(session_id: SessionId) -> Self {
        Self {
            session_id,
            attempt: None,
            issue_id: String::new(),
            issue_identifier: String::new(),
            linear_session_id: String::new(),
            provider_session_id: String::new(),
            project_name: String::new(),
            organization_id: String::new(),
            repository: String::new(),
            r#ref: String::new(),
            work_type: String::new(),
            prompt_context: String::new(),
            body: String::new(),
            title: String::new(),
            mention_context: String::new(),
            parent_context: String::new(),
            git: None,
            branch: String::new(),
            resolved_profile: None,
            model_profile: None,
            worker_id: String::new(),
            auth_token: None,
            platform_url: String::new(),
            stage_prompt: String::new(),
            stage_id: String::new(),
            stage_budget: None,
            stage_lifecycle: None,
            stage_source_event_id: String::new(),
        }
    }

    /// The same for those who may see what the session is about, but not act for it.
    #[must_use]
    pub fn without_credentials(mut self) -> Self {
        self.auth_token = None;
        if let Some(git) = &mut self.git {
            git.token = None;
        }
        self
    }

    /// Branch that the session's work goes to.
    #[must_use]
    pub fn branch_name(&self) -> String {
        if self.branch.trim().is_empty() { format!("agent/{}", self.session_id) } else { self.branch.trim().to_owned() }
    }

    /// Name of the agent runtime: the model profile's provider, else the resolved profile's, else `claude`.
    #[must_use]
    pub fn provider(&self) -> &str {
        self.named_provider().unwrap_or("claude")
    }

    /// The same, when a profile names one.
    #[must_use]
    pub fn named_provider(&self) -> Option<&str> {
        let from_model = self.model_profile.as_ref().map(|p| p.provider_id.trim());
        let from_profile = self.resolved_profile.as_ref().map(|p| p.provider.trim());
        from_model.into_iter().chain(from_profile).find(|name| !name.is_empty())
    }
}

/// How a project's repository wants to be accessed: names of programs and files on the host, and what the control plane
/// lent for this one session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GitAccess {
    /// Value for git's `credential.helper`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub credential_helper: Option<String>,
    /// Path of a private key for ssh remotes.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub ssh_key: Option<String>,
    /// Short-lived token of the control plane for an https remote, for this session alone.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "Secret::serialize_exposed_opt",
        deserialize_with = "lenient::or_default"
    )]
    pub token: Option<Secret>,
}

/// Agent runtime and its settings, chosen by the control plane.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ResolvedProfile {
    /// Agent runtime, such as `shell`, `stub`, `claude`.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub provider: String,
    /// Dispatch lane: `go` (this daemon serves it) or `ts`.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub runner: String,
    /// Model name.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub model: String,
    /// Reasoning effort.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub effort: String,
    /// Credential that the control plane picked.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub credential_id: String,
    /// Settings of the runtime, such as `command` for `shell`.
    #[serde(default, skip_serializing_if = "Map::is_empty", deserialize_with = "lenient::or_default")]
    pub provider_config: Map<String, Value>,
}

/// Model chosen by the control plane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ModelProfile {
    /// Profile id.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub id: String,
    /// Agent runtime.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub provider_id: String,
    /// Model name.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub model: String,
    /// Reasoning effort.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub mode: String,
    /// Context window in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub context: Option<u64>,
    /// Longest answer in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub max_output_tokens: Option<u64>,
}

/// Limits of a workflow stage; 0 or absent means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StageBudget {
    /// Wall-clock seconds.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub max_duration_seconds: Option<u64>,
    /// Sub-agents started.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub max_sub_agents: Option<u64>,
    /// Input and output tokens together.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub max_tokens: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detail_ignores_what_it_does_not_know_and_keeps_the_rest() {
        let json = r#"{"sessionId":"s1","title":7,"attempt":3,"authToken":"t","resolvedProfile":{"provider":"shell",
            "authMode":"byok","providerConfig":{"command":"true"}},"modelProfile":"odd","brandNew":{"a":1}}"#;
        let detail: SessionDetail = serde_json::from_str(json).unwrap();
        assert_eq!((detail.title.as_str(), detail.attempt), ("", Some(3)));
        assert_eq!(detail.provider(), "shell");
        assert_eq!(detail.branch_name(), "agent/s1");
        let back = serde_json::to_value(&detail).unwrap();
        assert_eq!(back["authToken"], "t");
        assert!(back.get("title").is_none());
    }
}
