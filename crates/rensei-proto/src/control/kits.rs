//! Kits, their trust, and where they come from.
//!
//! Length: one topic of the wire, nothing but its types.

use crate::lenient;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is known about who made a kit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum KitTrust {
    /// Signed by somebody who is allowed to.
    SignedVerified,
    /// There is a signature, and something about it is wrong.
    SignedUnverified,
    /// There is no signature.
    #[default]
    Unsigned,
}

impl KitTrust {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedVerified => "signed-verified",
            Self::SignedUnverified => "signed-unverified",
            Self::Unsigned => "unsigned",
        }
    }
}

/// What a kit must bring to be installed and to run commands (`trust.mode`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TrustMode {
    /// Signatures are shown, not demanded.
    #[default]
    #[serde(alias = "")]
    Permissive,
    /// A signature by an allowed identity.
    SignedByAllowlist,
    /// Today the same as `signed-by-allowlist`.
    Attested,
}

/// Whether a kit is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum KitStatus {
    /// It is.
    #[default]
    Active,
    /// An operator has switched it off.
    Disabled,
    /// It cannot be used.
    Error,
}

impl KitStatus {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Error => "error",
        }
    }
}

/// A kit in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct KitSummary {
    /// Its id. May contain slashes.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Who made it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// The same as an identity, as the kit says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub author_id: String,
    /// Licence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub license: String,
    /// Page for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub homepage: String,
    /// Where it is developed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub repository: String,
    /// Higher goes first.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i64,
    /// Whether it is used.
    #[serde(deserialize_with = "lenient::or_default")]
    pub status: KitStatus,
    /// Name of the source that it came from; kits on disk are `local`.
    pub source: String,
    /// Whom it is for: `project`.
    pub scope: String,
    /// What is known about who made it.
    #[serde(deserialize_with = "lenient::or_default")]
    pub trust: KitTrust,
    /// Who signed it; without a verified signature what the bundle or the kit claims.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub signer_id: String,
    /// When it was signed, RFC 3339; only with a verified signature.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub signed_at: String,
    /// `detect.files` of the manifest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub detect_files: Vec<String>,
    /// `detect.exec` of the manifest.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detect_exec: String,
    /// Whether it has commands.
    pub provides_commands: bool,
    /// Whether it has texts for the agent.
    pub provides_prompts: bool,
    /// Whether it has tool permissions.
    pub provides_tools: bool,
    /// Whether it has MCP servers.
    pub provides_mcp_servers: bool,
    /// Whether it has skills.
    pub provides_skills: bool,
    /// Whether it has agents.
    pub provides_agents: bool,
    /// Whether it has skills of remote agents.
    pub provides_a2a_skills: bool,
    /// Whether it has extractors.
    pub provides_extractors: bool,
    /// Its manifest on this host. *Extension.*
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Manifests of the same id in earlier scan paths, which are not used. *Extension.*
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadows: Vec<String>,
    /// What in the manifest has no effect. *Extension.*
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
const fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// A kit in full.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct KitDetail {
    /// What lists say too.
    #[serde(flatten)]
    pub summary: KitSummary,
    /// Operating systems; none: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub supported_os: Vec<String>,
    /// Architectures; none: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub supported_arch: Vec<String>,
    /// Range of versions of the kit contract.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub requires_rensei: String,
    /// Capabilities that it names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requires_capabilities: Vec<String>,
    /// Kits that it does not go with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conflicts_with: Vec<String>,
    /// Kits that it goes with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub composes_with: Vec<String>,
    /// Its order group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub order: String,
    /// Tools and their versions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub detect_toolchain: BTreeMap<String, String>,
    /// Shell commands by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub commands: BTreeMap<String, String>,
    /// Names of its MCP servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mcp_server_names: Vec<String>,
    /// Files of its skills.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skill_files: Vec<String>,
    /// Ids of its agents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agent_ids: Vec<String>,
    /// Ids of its skills of remote agents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub a2a_skill_ids: Vec<String>,
    /// Names of its extractors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extractor_names: Vec<String>,
}

/// Answer to `GET /api/daemon/kits`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KitList {
    /// All kits, by id.
    #[serde(default)]
    pub kits: Vec<KitSummary>,
    /// Files in the scan paths that are no kits, each with the reason. *Extension.*
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// Answer to `GET /api/daemon/kits/<id>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KitEnvelope {
    /// The kit.
    pub kit: KitDetail,
}

/// Answer to `GET /api/daemon/kits/<id>/verify-signature`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct KitSignature {
    /// The kit.
    pub kit_id: String,
    /// The result.
    #[serde(deserialize_with = "lenient::or_default")]
    pub trust: KitTrust,
    /// Who signed it; without a verified signature what the bundle or the kit claims.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub signer_id: String,
    /// When it was signed, RFC 3339; only with a verified signature.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub signed_at: String,
    /// Whether the check could be made, whatever its result.
    pub ok: bool,
    /// What was checked, or what is wrong.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub details: String,
}

/// Body of `POST /api/daemon/kits/<id>/install`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct KitInstallRequest {
    /// Version that the kit must have; empty: any.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub version: String,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<KitInstallSource>,
    /// `allowed-this-once`: install it although it is not trusted. Anything else has no effect.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub trust_override: String,
}

/// Where a kit is installed from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct KitInstallSource {
    /// `git`.
    pub kind: String,
    /// `https://…`, `http://…` or `file://…`.
    pub url: String,
    /// Branch, tag, commit id, or a whole name below `refs/`; empty: what the repository's HEAD names.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub r#ref: String,
    /// The manifest in the repository; empty: the one that has the id.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "lenient::or_default")]
    pub manifest_path: String,
}

/// Answer to `POST /api/daemon/kits/<id>/install`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KitInstallResult {
    /// The kit as it was installed.
    pub kit: KitSummary,
    /// What happened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What could not be installed with it. *Extension.*
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A place where kits come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KitSource {
    /// Its name.
    pub name: String,
    /// Where it is; may be empty.
    pub url: String,
    /// Whether it is used.
    pub enabled: bool,
    /// From 1, the first to be asked.
    pub priority: u32,
    /// What kind of place.
    pub kind: String,
}

/// Answer to `GET /api/daemon/kit-sources`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KitSourceList {
    /// All sources, by priority.
    #[serde(default)]
    pub sources: Vec<KitSource>,
}

/// Answer to `POST /api/daemon/kit-sources/<name>/{enable,disable}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KitSourceToggle {
    /// The source as it is now.
    pub source: KitSource,
    /// What happened.
    #[serde(default)]
    pub message: String,
}

/// Answer to `GET /api/daemon/kit-settings`: what a worker needs to find the kits of its host. *Extension.*
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct KitSettings {
    /// Directories with kits, in order.
    pub scan_paths: Vec<String>,
    /// What a kit must bring.
    pub trust_mode: TrustMode,
    /// Identities that may sign.
    pub issuer_set: Vec<String>,
    /// Trusted root other than the built-in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_root: Option<String>,
}
