//! Which provider a host chose for a session, and why.

use crate::SessionId;
use serde::{Deserialize, Serialize};

/// Answer to `GET /api/daemon/routing/config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RoutingConfigResponse {
    /// What routing knows.
    pub config: RoutingConfig,
}

/// What routing knows: its settings, what it has learned, and the last decisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RoutingConfig {
    /// Demands that every candidate must meet. A single host has none.
    pub capability_filters: Vec<CapabilityFilter>,
    /// How much cost and latency lower a score.
    pub weights: RoutingWeights,
    /// What is known of each sandbox, by id.
    pub sandbox_providers: Vec<SandboxState>,
    /// What is known of each agent runtime, by id.
    pub llm_providers: Vec<LlmState>,
    /// The last decisions, oldest first, at most 50.
    pub recent_decisions: Vec<RoutingDecision>,
    /// When this was put together, RFC 3339.
    pub captured_at: String,
}

/// One demand on candidates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CapabilityFilter {
    /// Capability.
    pub field: String,
    /// `eq`, `in`, `lte` or `gte`.
    pub op: String,
    /// What it is compared with.
    pub value: String,
}

/// How much cost and latency lower a score; each at most its weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RoutingWeights {
    /// Of cost.
    pub cost: f64,
    /// Of the time that a start takes.
    pub latency: f64,
}

/// What is known of a sandbox: the Beta posterior of its sessions' success, and what their starts took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SandboxState {
    /// Its id; `local` is this host.
    pub provider_id: String,
    /// Successes, plus 1.
    pub alpha: f64,
    /// Failures, plus 1.
    pub beta: f64,
    /// Score that the next decision would use. Absent before the first outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent_score: Option<f64>,
    /// What a session costs, in US cents, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent_cost_cents: Option<f64>,
    /// Time from accept to the running worker, in milliseconds, averaged over the last starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent_latency_ms: Option<f64>,
    /// How many of the recent decisions chose it.
    pub selection_count: usize,
}

/// What is known of an agent runtime.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LlmState {
    /// Its name.
    pub provider_id: String,
    /// Model, when the row is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Successes, plus 1.
    pub alpha: f64,
    /// Failures, plus 1.
    pub beta: f64,
    /// Score that the next decision would use. Absent before the first outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent_score: Option<f64>,
    /// How many of the recent decisions chose it.
    pub selection_count: usize,
}

/// What was chosen for a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RoutingDecision {
    /// The session.
    pub session_id: SessionId,
    /// Where it runs.
    pub chosen_sandbox: String,
    /// Agent runtime that runs it.
    #[serde(rename = "chosenLLM")]
    pub chosen_llm: String,
    /// Who was not chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected_candidates: Vec<RejectedCandidate>,
    /// Score of sandbox and runtime together, 0 to 1.
    pub score: f64,
    /// What it will probably cost, in US cents, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_cost_cents: Option<f64>,
    /// How long its start should take, in milliseconds, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_latency_ms: Option<f64>,
    /// When, RFC 3339 with milliseconds.
    pub decided_at: String,
}

/// What a choice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RoutingDimension {
    /// Where a session runs.
    Sandbox,
    /// Which agent runtime runs it.
    Llm,
}

/// A stage of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RoutingPhase {
    /// Who could do it at all.
    CapabilityFilter,
    /// Who may.
    TenantPolicy,
    /// Who has room.
    CapacityFilter,
    /// Who does it best.
    Score,
}

/// Why a candidate was not chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RejectionReason {
    /// It could not.
    CapabilityFilter,
    /// It may not.
    TenantPolicy,
    /// It has no room.
    CapacityFilter,
    /// Another one is better.
    ScoreLoss,
}

/// A candidate that was not chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RejectedCandidate {
    /// Its id.
    pub provider_id: String,
    /// What it was a candidate for.
    pub dimension: RoutingDimension,
    /// Stage that ruled it out.
    pub reason: RejectionReason,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// One stage of a decision, as it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RoutingStep {
    /// From 1.
    pub step: usize,
    /// The stage.
    pub phase: RoutingPhase,
    /// What it decided on.
    pub dimension: RoutingDimension,
    /// Who was left after it.
    pub remaining: Vec<String>,
    /// Whom it ruled out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eliminated: Vec<EliminatedCandidate>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A candidate that a stage ruled out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct EliminatedCandidate {
    /// Its id.
    pub provider_id: String,
    /// Why.
    pub reason: RejectionReason,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Answer to `GET /api/daemon/routing/explain/<sessionId>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RoutingExplanation {
    /// The session.
    pub session_id: SessionId,
    /// What was chosen.
    pub decision: RoutingDecision,
    /// How it came about, stage by stage.
    pub trace: Vec<RoutingStep>,
}

macro_rules! wire_words {
    ($type:ty { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self { $(Self::$variant => $word),+ })
            }
        }
    };
}

wire_words!(RoutingDimension { Sandbox => "sandbox", Llm => "llm" });
wire_words!(RoutingPhase {
    CapabilityFilter => "capability-filter",
    TenantPolicy => "tenant-policy",
    CapacityFilter => "capacity-filter",
    Score => "score",
});
wire_words!(RejectionReason {
    CapabilityFilter => "capability-filter",
    TenantPolicy => "tenant-policy",
    CapacityFilter => "capacity-filter",
    ScoreLoss => "score-loss",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_names_are_those_of_the_wire() {
        let step = RoutingStep {
            step: 1,
            phase: RoutingPhase::TenantPolicy,
            dimension: RoutingDimension::Llm,
            remaining: vec![],
            eliminated: vec![EliminatedCandidate {
                provider_id: "amp".to_owned(),
                reason: RejectionReason::ScoreLoss,
                detail: None,
            }],
            note: String::new(),
        };
        let json = serde_json::to_string(&step).unwrap();
        assert_eq!(
            json,
            r#"{"step":1,"phase":"tenant-policy","dimension":"llm","remaining":[],"eliminated":[{"providerId":"amp","reason":"score-loss"}]}"#
        );
        assert_eq!(format!("{} {}", step.phase, step.dimension), "tenant-policy llm");
        let decision: RoutingDecision = serde_json::from_str(
            r#"{"sessionId":"s1","chosenSandbox":"local","chosenLLM":"stub","score":0,"decidedAt":"2026-01-01T00:00:00Z"}"#,
        )
        .unwrap();
        assert_eq!(decision.chosen_llm, "stub");
        assert!(serde_json::to_value(&decision).unwrap().get("rejectedCandidates").is_none());
    }
}
