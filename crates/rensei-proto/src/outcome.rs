//! What a session left behind.
//!
//! A worker writes its [`Outcome`] into its session directory before it reports to the control plane and again after
//! the report was accepted. A worker that dies in between, or cannot reach the control plane, has thereby handed the
//! report to the daemon, which sends it until it is accepted.

use crate::{SessionId, SessionStatus, lenient};
use serde::{Deserialize, Serialize};

/// Name of the file in the session's directory.
pub const OUTCOME_FILE: &str = "outcome.json";

/// End of one session, as its worker saw it. Also the worker's one JSON document on stdout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Format of this document: 1.
    pub version: u32,
    /// The session.
    pub session_id: SessionId,
    /// `completed`, `failed` or `stopped`.
    pub status: SessionStatus,
    /// Agent runtime that ran.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub provider_name: String,
    /// Where it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worktree_path: Option<String>,
    /// Why it did not complete: a stable word such as `provider-error`, `timeout`, `worktree-provision`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_mode: Option<String>,
    /// Why it did not complete, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What was done, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What it left behind.
    #[serde(default)]
    pub result: SessionResult,
    /// Start, Unix milliseconds.
    #[serde(default)]
    pub started_at: i64,
    /// End, Unix milliseconds.
    #[serde(default)]
    pub finished_at: i64,
    /// Whether the control plane has accepted the report. Always true for a session without one.
    #[serde(default)]
    pub reported: bool,
}

/// Name of the file in the session's directory in which the daemon says why it ends a worker, before it does.
pub const STOP_FILE: &str = "stop.json";

/// Why the daemon ends a session, so that its worker reports the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StopNotice {
    /// `stopped`, or `failed` for a session that ran too long.
    pub status: SessionStatus,
    /// The outcome's `failureMode`.
    pub failure_mode: String,
    /// The outcome's `error`.
    pub reason: String,
}

/// Traces of a session's work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionResult {
    /// Branch that was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub branch: Option<String>,
    /// Commit at its tip, full hexadecimal id.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub commit_sha: Option<String>,
    /// Commit that the session started from.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub base_sha: Option<String>,
    /// Whether the branch reached the remote.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub pushed: bool,
    /// What changed between base and tip.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub diff: Option<DiffStat>,
    /// Exit code of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub exit_code: Option<i32>,
    /// Signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub signal: Option<i32>,
    /// Last lines of output, oldest first, at most [`SessionResult::TAIL_LINES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::or_default")]
    pub output_tail: Vec<String>,
}

impl SessionResult {
    /// Most lines in [`SessionResult::output_tail`].
    pub const TAIL_LINES: usize = 20;
    /// Most bytes of one such line.
    pub const TAIL_LINE_BYTES: usize = 1000;
}

/// Size of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DiffStat {
    /// Files touched.
    pub files_changed: usize,
    /// Lines added.
    pub insertions: usize,
    /// Lines removed.
    pub deletions: usize,
    /// Per file, in path order; at most [`DiffStat::MAX_FILES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::or_default")]
    pub files: Vec<FileStat>,
}

impl DiffStat {
    /// Most entries in [`DiffStat::files`].
    pub const MAX_FILES: usize = 50;
}

/// Size of a change to one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileStat {
    /// Path in the repository.
    pub path: String,
    /// Lines added.
    pub insertions: usize,
    /// Lines removed.
    pub deletions: usize,
}
