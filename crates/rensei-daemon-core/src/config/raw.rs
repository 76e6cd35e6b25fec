//! The file as it is typed: everything optional, an empty value the same as none, unknown keys ignored.

use super::model::{Channel, CloneStrategy, OnFailure, Schedule, TrustMode};
use crate::handle::ControlAuth;
use rensei_proto::Secret;
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, de};
use std::fmt;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawConfig {
    pub(super) api_version: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) machine: Option<RawMachine>,
    pub(super) capacity: Option<RawCapacity>,
    pub(super) projects: Option<Vec<RawProject>>,
    pub(super) orchestrator: Option<RawOrchestrator>,
    pub(super) auto_update: Option<RawAutoUpdate>,
    pub(super) observability: Option<RawObservability>,
    pub(super) workarea: Option<RawWorkarea>,
    pub(super) kit: Option<RawKit>,
    pub(super) trust: Option<RawTrust>,
    pub(super) control: Option<RawControl>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawMachine {
    pub(super) id: Option<String>,
    pub(super) region: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawCapacity {
    pub(super) max_concurrent_sessions: Option<Whole>,
    #[serde(rename = "maxVCpuPerSession")]
    pub(super) max_vcpu_per_session: Option<Whole>,
    pub(super) max_memory_mb_per_session: Option<Whole>,
    pub(super) reserved_for_system: Option<RawReserved>,
    pub(super) pool_max_disk_gb: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawReserved {
    #[serde(rename = "vCpu")]
    pub(super) vcpu: Option<Whole>,
    pub(super) memory_mb: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawProject {
    pub(super) id: Option<String>,
    pub(super) repository: Option<String>,
    /// Former spelling of `repository`, read when that is empty.
    pub(super) repo_url: Option<String>,
    pub(super) clone_strategy: Option<CloneStrategy>,
    pub(super) git: Option<RawGit>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawGit {
    pub(super) credential_helper: Option<String>,
    pub(super) ssh_key: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawOrchestrator {
    pub(super) url: Option<String>,
    pub(super) auth_token: Option<Secret>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawAutoUpdate {
    pub(super) channel: Option<Channel>,
    pub(super) schedule: Option<Schedule>,
    pub(super) drain_timeout_seconds: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawObservability {
    pub(super) log_format: Option<String>,
    pub(super) log_path: Option<String>,
    pub(super) metrics_port: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawWorkarea {
    pub(super) archive_root: Option<String>,
    pub(super) diff_streaming_threshold: Option<Whole>,
    pub(super) archive_max_age_days: Option<Whole>,
    pub(super) archive_max_count: Option<Whole>,
    pub(super) archive_max_disk_gb: Option<Whole>,
    pub(super) on_failure: Option<OnFailure>,
    pub(super) keep: Option<Vec<String>>,
    pub(super) clean: Option<Vec<String>>,
    pub(super) max_age_hours: Option<Whole>,
    pub(super) prewarm: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawKit {
    pub(super) scan_paths: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawTrust {
    pub(super) mode: Option<TrustMode>,
    pub(super) issuer_set: Option<Vec<String>>,
    pub(super) actor: Option<String>,
    pub(super) root_path: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawControl {
    pub(super) auth: Option<ControlAuth>,
}

/// A whole number of any size and sign: bounds are checked later, where the message can say what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole(pub(super) i128);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor)
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Whole, E> {
        Ok(Whole(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Whole, E> {
        Ok(Whole(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Whole, E> {
        // `8.0` is what some tools write for 8.
        if value.fract() == 0.0 && value.abs() < 1e15 {
            #[expect(clippy::cast_possible_truncation, reason = "whole and far inside the range")]
            return Ok(Whole(value as i128));
        }
        Err(E::invalid_type(de::Unexpected::Float(value), &self))
    }
}
