//! What is on the disk about a pool entry.
//!
//! ```text
//! pool/<id>/record.json   this
//! pool/<id>/index         the tree as it was handed out
//! pool/<id>/tree/         the tree, while no session holds it
//! ```
//!
//! Where the tree is says whose it is, and a rename moves it: no crash leaves two owners, or none.

use super::Key;
use crate::{WorkareaError, scratch};
use rensei_proto::SessionId;
use rensei_proto::control::{PoolMemberStatus, WorkareaPoolMember};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Largest record that is read.
const MAX_BYTES: u64 = 64 << 10;
const MIB: u64 = 1 << 20;

/// A pool entry, without its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// Format of this record: 1.
    pub(crate) version: u32,
    pub(crate) id: String,
    pub(crate) key: Key,
    /// Repository as people are shown it.
    pub(crate) repository: String,
    /// Ref that it was last asked for.
    pub(crate) r#ref: String,
    /// Checksum of the tree when it is clean; empty while it is being made.
    pub(crate) checksum: String,
    /// The same of the files that name dependencies; empty: it carries none.
    pub(crate) lockfiles: String,
    /// Unix milliseconds.
    pub(crate) created_at_ms: i64,
    /// Unix milliseconds; 0: never.
    pub(crate) last_acquired_at_ms: i64,
    /// Disk that the tree took when it was measured last.
    pub(crate) bytes: u64,
    /// The session that has it, or had it when the host was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) acquired_by: Option<SessionId>,
    /// Boot in which it was written: what was on its way to the disk when the machine went down is lost although the
    /// file looks the same.
    pub(crate) boot_id: String,
}

impl Record {
    /// The record in the directory of an entry; none when there is none that belongs there.
    pub(crate) fn read(dir: &Path) -> Option<Self> {
        let path = dir.join("record.json");
        let metadata = std::fs::symlink_metadata(&path).ok()?;
        if !metadata.is_file() || metadata.len() > MAX_BYTES {
            return None;
        }
        let record: Self = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        (record.version == 1 && Some(record.id.as_str()) == dir.file_name()?.to_str()).then_some(record)
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<(), WorkareaError> {
        let path = dir.join("record.json");
        let json = serde_json::to_vec(self).map_err(|error| WorkareaError::io("write", &path, error.into()))?;
        replace(&path, &json)
    }

    /// When a session got it, or when it was made.
    pub(crate) fn last_use_ms(&self) -> i64 {
        if self.last_acquired_at_ms == 0 { self.created_at_ms } else { self.last_acquired_at_ms }
    }

    /// What people are shown.
    pub(crate) fn member(&self, status: PoolMemberStatus) -> WorkareaPoolMember {
        let last = self.last_acquired_at_ms;
        WorkareaPoolMember {
            id: self.id.clone(),
            repository: self.repository.clone(),
            r#ref: self.r#ref.clone(),
            toolchain_key: self.key.toolchain.clone(),
            status,
            clean_state_checksum: self.checksum.clone(),
            acquired_by: self.acquired_by.clone().filter(|_| status == PoolMemberStatus::Acquired),
            created_at: shown(self.created_at_ms),
            last_acquired_at: if last == 0 { String::new() } else { shown(last) },
            disk_usage_mb: self.bytes.div_ceil(MIB),
        }
    }
}

fn shown(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map(rensei_proto::rfc3339_seconds).unwrap_or_default()
}

/// Replaces a file in one step.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), WorkareaError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let beside = scratch::building(parent);
    let replaced = std::fs::write(&beside, content).and_then(|()| std::fs::rename(&beside, path));
    replaced.map_err(|error| {
        // Goes with the directory at the latest.
        let _ = std::fs::remove_file(&beside);
        WorkareaError::io("write", path, error)
    })
}

/// Where the parts of an entry are.
#[derive(Debug, Clone)]
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(pool: &Path, id: &str) -> Self {
        Self(pool.join(id))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.0.join("index")
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.0.join("tree")
    }
}
