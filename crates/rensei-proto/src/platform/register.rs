//! Registration and refresh.

use crate::{Secret, lenient};
use serde::{Deserialize, Serialize};

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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Provides {
    /// Such as `native`, `npm`, `workarea`.
    pub kind: String,
}

/// One allowlisted project, as the control plane knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
