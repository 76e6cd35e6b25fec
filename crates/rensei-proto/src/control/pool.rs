//! The pool of workareas.

use crate::SessionId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a member of the pool is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PoolMemberStatus {
    /// Being made.
    Warming,
    /// Clean, for the next session that fits.
    Ready,
    /// In the hands of a session.
    Acquired,
    /// Given back, being cleaned.
    Releasing,
    /// Its dependencies are not those of the commit any more, or it is too old.
    Invalid,
    /// Being deleted.
    Retired,
}

impl fmt::Display for PoolMemberStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warming => "warming",
            Self::Ready => "ready",
            Self::Acquired => "acquired",
            Self::Releasing => "releasing",
            Self::Invalid => "invalid",
            Self::Retired => "retired",
        })
    }
}

/// One member of the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WorkareaPoolMember {
    /// Its name on this host.
    pub id: String,
    /// Repository that it is a checkout of, without credentials.
    pub repository: String,
    /// Branch, tag or commit that it was last asked for; empty: the remote's `HEAD`.
    pub r#ref: String,
    /// Toolchains that sessions must ask for to get it, such as `java-17+node-20`; empty: none.
    pub toolchain_key: String,
    /// Where it is in its life.
    pub status: PoolMemberStatus,
    /// SHA-256 over names, modes and contents of its files when clean; empty while it is being made.
    pub clean_state_checksum: String,
    /// Session that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquired_by: Option<SessionId>,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// When a session got it last, RFC 3339; empty: never.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_acquired_at: String,
    /// Disk that it took when it was measured last, MiB.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub disk_usage_mb: u64,
}

/// The pool: answer to `GET /api/daemon/pool/stats`, and `pool` of the host's statistics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WorkareaPoolStats {
    /// All members, oldest first.
    #[serde(default)]
    pub members: Vec<WorkareaPoolMember>,
    /// How many there are.
    pub total_members: usize,
    /// Of these, ready ones.
    pub ready_members: usize,
    /// Of these, held by sessions.
    pub acquired_members: usize,
    /// Of these, being made.
    pub warming_members: usize,
    /// Of these, out of date.
    pub invalid_members: usize,
    /// Disk that all of them took when they were measured last, MiB.
    pub total_disk_usage_mb: u64,
    /// When this was so, RFC 3339.
    pub timestamp: String,
}

/// Body of `POST /api/daemon/pool/evict`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct EvictPoolRequest {
    /// Repository whose members go.
    #[serde(default)]
    pub repo_url: String,
    /// Least time since a session got it, or since it was made, in seconds. 0: any.
    #[serde(default)]
    pub older_than_seconds: i64,
}

/// Answer to an eviction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct EvictPoolResponse {
    /// How many members were evicted.
    pub evicted: usize,
    /// The same for people.
    pub message: String,
    /// Mark by which the eviction is found in the log.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub correlation_id: String,
}

impl WorkareaPoolStats {
    /// Counts the members.
    #[must_use]
    pub fn of(members: Vec<WorkareaPoolMember>, timestamp: String) -> Self {
        let count = |status| members.iter().filter(|member| member.status == status).count();
        Self {
            total_members: members.len(),
            ready_members: count(PoolMemberStatus::Ready),
            acquired_members: count(PoolMemberStatus::Acquired),
            warming_members: count(PoolMemberStatus::Warming),
            invalid_members: count(PoolMemberStatus::Invalid),
            total_disk_usage_mb: members.iter().map(|member| member.disk_usage_mb).sum(),
            timestamp,
            members,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_wire() {
        let member = WorkareaPoolMember {
            id: "m".into(),
            repository: "https://h/r".into(),
            r#ref: "main".into(),
            toolchain_key: "java-17+node-20".into(),
            status: PoolMemberStatus::Ready,
            clean_state_checksum: "c".into(),
            acquired_by: None,
            created_at: "t".into(),
            last_acquired_at: String::new(),
            disk_usage_mb: 0,
        };
        let stats = WorkareaPoolStats::of(vec![member], "now".into());
        let expected = r#"{"members":[{"id":"m","repository":"https://h/r","ref":"main","toolchainKey":"java-17+node-20","status":"ready","cleanStateChecksum":"c","createdAt":"t"}],"totalMembers":1,"readyMembers":1,"acquiredMembers":0,"warmingMembers":0,"invalidMembers":0,"totalDiskUsageMb":0,"timestamp":"now"}"#;
        assert_eq!(serde_json::to_string(&stats).unwrap(), expected);
        let request: EvictPoolRequest = serde_json::from_str(r#"{"repoUrl":"r"}"#).unwrap();
        assert_eq!((request.repo_url.as_str(), request.older_than_seconds), ("r", 0));
    }
}
