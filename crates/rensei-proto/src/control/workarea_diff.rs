//! How two archives of workareas differ.

use serde::{Deserialize, Serialize};

/// What happened to a path from A to B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DiffStatus {
    /// Only in B.
    Added,
    /// In both, and different.
    Modified,
    /// Only in A.
    Removed,
}

/// A path that differs. Hashes are lower-case SHA-256 of the content, modes as in `-rw-r--r--`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DiffEntry {
    /// Path in the tree, with `/`; bytes that are no UTF-8 are replaced by U+FFFD.
    pub path: String,
    /// The exact path when it is not UTF-8: such bytes as `\xNN`, a backslash as `\\`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_escaped: Option<String>,
    /// What happened to it.
    pub status: DiffStatus,
    /// Size in A, bytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size_a: u64,
    /// Size in B, bytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size_b: u64,
    /// Mode in A.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mode_a: String,
    /// Mode in B.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mode_b: String,
    /// Hash in A, of a regular file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash_a: String,
    /// Hash in B, of a regular file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash_b: String,
}

/// How many paths differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DiffSummary {
    /// Archive A.
    pub workarea_a: String,
    /// Archive B.
    pub workarea_b: String,
    /// Paths only in B.
    pub added: u64,
    /// Paths only in A.
    pub removed: u64,
    /// Paths that differ.
    pub modified: u64,
    /// All of them.
    pub total: u64,
}

impl DiffSummary {
    /// Counts one more path.
    pub const fn count(&mut self, status: DiffStatus) {
        match status {
            DiffStatus::Added => self.added += 1,
            DiffStatus::Removed => self.removed += 1,
            DiffStatus::Modified => self.modified += 1,
        }
        self.total += 1;
    }
}

/// How two archives differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkareaDiff {
    /// Counts.
    pub summary: DiffSummary,
    /// Paths in byte order.
    pub entries: Vec<DiffEntry>,
}

/// A difference as one JSON document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiffEnvelope {
    /// The difference.
    pub diff: WorkareaDiff,
}

/// One line of a difference that is streamed: entries, then one summary or one error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum DiffLine {
    /// A path that differs.
    Entry(DiffEntry),
    /// The end.
    Summary {
        /// Counts of all entries before it.
        summary: DiffSummary,
    },
    /// The difference could not be completed.
    Error {
        /// Why.
        error: String,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_streamed_difference_are_told_apart() {
        let lines = [
            (r#"{"path":"a","status":"added","sizeB":3,"modeB":"-rw-r--r--","hashB":"00"}"#, "entry"),
            (
                r#"{"summary":{"workareaA":"a","workareaB":"b","added":1,"removed":0,"modified":0,"total":1}}"#,
                "summary",
            ),
            (r#"{"error":"gone"}"#, "error"),
        ];
        for (text, kind) in lines {
            let line: DiffLine = serde_json::from_str(text).unwrap();
            let found = match &line {
                DiffLine::Entry(_) => "entry",
                DiffLine::Summary { .. } => "summary",
                DiffLine::Error { .. } => "error",
            };
            assert_eq!((found, serde_json::to_string(&line).unwrap().as_str()), (kind, text));
        }
    }
}
