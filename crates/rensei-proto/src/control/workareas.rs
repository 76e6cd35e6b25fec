//! Workareas as operators see them: live ones, archives, and how two archives differ.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `GET /api/daemon/workareas` | | 200 [`WorkareaList`] |
//! | `GET /api/daemon/workareas/<id>` | | 200 [`WorkareaEnvelope`] |
//! | `POST /api/daemon/workareas/<archive>/restore` | [`RestoreRequest`], optional | 201 [`WorkareaEnvelope`] |
//! | `GET /api/daemon/workareas/<archive>/diff/<archive>` | | 200 [`DiffEnvelope`](super::DiffEnvelope), or one [`DiffLine`](super::DiffLine) per line |
//! | `POST /api/daemon/sessions/<id>/archive` | [`ArchiveRequest`], optional | 201 [`WorkareaEnvelope`] |
//! | `POST /api/daemon/archives/prune` | [`PruneRequest`], optional | 200 [`PruneResponse`] |

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Whether a workarea can be worked in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum WorkareaKind {
    /// In use by a session, or restored.
    #[default]
    Active,
    /// A snapshot on disk that never changes.
    Archived,
}

/// State of a workarea.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words of the wire")]
pub enum WorkareaStatus {
    Warming,
    #[default]
    Ready,
    Acquired,
    Releasing,
    Invalid,
    Retired,
    Archived,
}

impl WorkareaStatus {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warming => "warming",
            Self::Ready => "ready",
            Self::Acquired => "acquired",
            Self::Releasing => "releasing",
            Self::Invalid => "invalid",
            Self::Retired => "retired",
            Self::Archived => "archived",
        }
    }
}

/// One row of a list of workareas. Times are RFC 3339.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct WorkareaSummary {
    /// Session, restore or archive.
    pub id: String,
    /// Live or archived.
    pub kind: WorkareaKind,
    /// Provider of the workarea; empty for those of sessions.
    pub provider_id: String,
    /// Session that it belongs or belonged to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub session_id: String,
    /// Project of that session.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project_id: String,
    /// Its state.
    pub status: WorkareaStatus,
    /// What the session started from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub r#ref: String,
    /// Repository that it was made from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub repository: String,
    /// When an archive was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Sizes of the files of an archive, added up.
    #[serde(skip_serializing_if = "is_zero")]
    pub size_bytes: u64,
    /// Provider that an archived workarea came from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source_provider: String,
    /// Why there is an archive, `corrupted: <reason>` or `unreadable: <reason>`; of a workarea that is still to be
    /// archived the same, or `not archived: <reason>`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub disposition: String,
    /// When a live one was taken into use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acquired_at: Option<String>,
    /// When it was given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released_at: Option<String>,
    /// Age in seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub age_seconds: u64,
}

/// Everything about one workarea. Times are RFC 3339.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct WorkareaDetail {
    /// Session, restore or archive.
    pub id: String,
    /// Live or archived.
    pub kind: WorkareaKind,
    /// Provider of the workarea; empty for those of sessions.
    pub provider_id: String,
    /// Its state.
    pub status: WorkareaStatus,
    /// Session that it belongs or belonged to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub session_id: String,
    /// Project of that session.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project_id: String,
    /// Where it is on disk; for an archive the directory with `manifest.json` and `tree`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What the session started from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub r#ref: String,
    /// Repository that it was made from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub repository: String,
    /// SHA-256 over the files that say whether it is clean.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub clean_state_checksum: String,
    /// Tools and their versions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub toolchain: BTreeMap<String, String>,
    /// `exclusive` or `shared`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// `pool-warm`, `pool-fresh` or `cold`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub acquire_path: String,
    /// When a live one was taken into use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acquired_at: Option<String>,
    /// When it was given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released_at: Option<String>,
    /// For an archive the directory of all archives, for a restored workarea that of its archive.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub archive_location: String,
    /// Session that holds it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owner_session: String,
    /// What its user should know: what is missing in it, why it is not archived. *Extension.*
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The archive's `manifest.json` as it is, with keys that are not known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Map<String, Value>>,
    /// What a restore left out: things in the tree that are neither file, directory nor symbolic link.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<ExcludedEntry>,
}

/// Something of a tree that was not copied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ExcludedEntry {
    /// Path in the tree.
    pub path: String,
    /// `fifo`, `socket`, `device`, `unreadable` or `too-deep`.
    pub kind: String,
}

/// All workareas of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct WorkareaList {
    /// Those of live sessions by session id, then those that were restored by id, then those of ended sessions that are to
    /// be archived.
    pub active: Vec<WorkareaSummary>,
    /// Archives by id.
    pub archived: Vec<WorkareaSummary>,
    /// Archives and restores that are being made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub in_progress: Vec<CopyProgress>,
}

/// How far an archive or a restore has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct CopyProgress {
    /// `archive` or `restore`.
    pub operation: String,
    /// The session that is archived, or the archive that is restored.
    pub source: String,
    /// Bytes of files that are copied.
    pub bytes: u64,
    /// Files, directories and links that are there.
    pub entries: u64,
    /// What `bytes` is going to be, when that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
}

/// One workarea.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkareaEnvelope {
    /// The workarea.
    pub workarea: WorkareaDetail,
}

/// How an archive is to be restored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RestoreRequest {
    /// Why; kept beside the restored workarea.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Session that the workarea is for; one that is live or has one already is a conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub into_session_id: Option<String>,
}

/// How the workarea of a live session is to be archived.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ArchiveRequest {
    /// Why; kept in the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Which archives and restored workareas to remove. Limits that are missing do not limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PruneRequest {
    /// These and no others; also corrupted ones, foreign ones and restored workareas.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Archives older than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_than_seconds: Option<u64>,
    /// The oldest ones beyond this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<usize>,
    /// The oldest ones until the others are not larger than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Only say what would go.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PruneResponse {
    /// What is gone, or would be.
    pub removed: Vec<PrunedWorkarea>,
    /// What stays although it was meant, and why.
    pub skipped: Vec<SkippedWorkarea>,
    /// Sizes of the files of what is gone, added up.
    pub freed_bytes: u64,
    /// Nothing was removed: this is what would be.
    pub dry_run: bool,
}

/// An archive or restored workarea that is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PrunedWorkarea {
    /// Which one.
    pub id: String,
    /// Sizes of its files, where that is known.
    pub size_bytes: u64,
}

/// An archive or restored workarea that stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct SkippedWorkarea {
    /// Which one.
    pub id: String,
    /// Why.
    pub reason: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_is_left_out_and_what_is_required_stays() {
        let row = serde_json::to_string(&WorkareaSummary { id: "x".to_owned(), ..WorkareaSummary::default() }).unwrap();
        assert_eq!(row, r#"{"id":"x","kind":"active","providerId":"","status":"ready"}"#);
        let list = serde_json::to_string(&WorkareaList::default()).unwrap();
        assert_eq!(list, r#"{"active":[],"archived":[]}"#);
    }
}
