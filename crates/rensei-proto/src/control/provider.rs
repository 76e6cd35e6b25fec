//! What a host can run sessions with.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Family of all providers that a host lists today.
pub const AGENT_RUNTIME: &str = "agent-runtime";

/// Answer to `GET /api/daemon/providers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProviderList {
    /// By id.
    pub providers: Vec<Provider>,
    /// Whether there are families that are not listed. Always true.
    pub partial_coverage: bool,
    /// Families that are.
    pub covered_families: Vec<String>,
}

impl ProviderList {
    /// The list of `providers`, sorted by id.
    #[must_use]
    pub fn new(mut providers: Vec<Provider>) -> Self {
        providers.sort_by(|a, b| a.id.cmp(&b.id));
        Self { providers, partial_coverage: true, covered_families: vec![AGENT_RUNTIME.to_owned()] }
    }
}

/// Answer to `GET /api/daemon/providers/<id>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProviderResponse {
    /// The provider.
    pub provider: Provider,
}

/// Something that runs sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// Name by which a session's profile asks for it.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Version of what runs it.
    pub version: String,
    /// `agent-runtime`.
    pub family: String,
    /// `global`: for every project of the host.
    pub scope: String,
    /// Whether it can be used.
    pub status: ProviderStatus,
    /// Why it cannot, or not fully, be used. *Extension.*
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// `bundled`, `registry` or `local`.
    pub source: String,
    /// `unsigned`, `signed-unverified` or `signed-verified`.
    pub trust: String,
    /// Who signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer_id: Option<String>,
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<String>,
    /// Whether its description is well-formed.
    pub manifest_ok: bool,
    /// What it can do, such as `supportsSessionResume`.
    #[serde(default)]
    pub capabilities: Map<String, Value>,
}

impl Provider {
    /// An agent runtime that is part of the program.
    #[must_use]
    pub fn runtime(id: impl Into<String>, version: impl Into<String>) -> Self {
        let id = id.into();
        Self {
            name: id.clone(),
            id,
            version: version.into(),
            family: AGENT_RUNTIME.to_owned(),
            scope: "global".to_owned(),
            status: ProviderStatus::Ready,
            status_reason: None,
            source: "bundled".to_owned(),
            trust: "unsigned".to_owned(),
            signer_id: None,
            signed_at: None,
            manifest_ok: true,
            capabilities: Map::new(),
        }
    }

    /// The same, but not usable for this reason.
    #[must_use]
    pub fn inactive(self, reason: impl Into<String>) -> Self {
        Self { status: ProviderStatus::Inactive, status_reason: Some(reason.into()), ..self }
    }
}

/// Whether a provider can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ProviderStatus {
    /// Yes.
    Ready,
    /// With restrictions.
    Degraded,
    /// It should be, and is not.
    Unhealthy,
    /// No.
    Inactive,
}

impl std::fmt::Display for ProviderStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
            Self::Inactive => "inactive",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inactive_runtime_says_why_and_nothing_is_null() {
        let json = serde_json::to_value(Provider::runtime("amp", "1").inactive("no `amp` in PATH")).unwrap();
        assert_eq!((&json["status"], &json["statusReason"]), (&"inactive".into(), &"no `amp` in PATH".into()));
        assert_eq!(json["capabilities"], serde_json::json!({}));
        assert!(json.as_object().unwrap().values().all(|value| !value.is_null()));
        let list = ProviderList::new(vec![Provider::runtime("b", "1"), Provider::runtime("a", "1")]);
        assert_eq!(list.providers[0].id, "a");
    }
}
