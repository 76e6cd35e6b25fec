//! `manifest.json` of an archive.

use super::error::is_of_the_host;
use crate::tree::{Tree, file_type, open_file};
use rensei_proto::control::ExcludedEntry;
use rensei_proto::lenient;
use rustix::fs::FileType;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _};

/// Name of the manifest in an archive.
pub(crate) const MANIFEST: &CStr = c"manifest.json";
/// Name of the tree in an archive.
pub(crate) const TREE: &CStr = c"tree";
/// Marks archives that this program made; only those are ever removed without being named.
pub(crate) const SCHEMA: &str = "rensei.workarea-archive.v1";
/// Largest manifest that is read. Ours name at most a thousand left-out paths.
const MAX_BYTES: u64 = 8 << 20;

/// What an archive says of itself. Other programs may add keys; they are kept and shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ArchiveManifest {
    /// Format: `rensei.workarea-archive.v1`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub schema_version: String,
    /// Id of the archive, which is the name of its directory.
    pub id: String,
    /// Session whose workarea it was.
    pub session_id: String,
    /// Which run of the session it was, when there can be several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// Project of the session.
    pub project_id: String,
    /// Provider of the archive: `local`.
    pub provider_id: String,
    /// Provider of the workarea: `local`.
    pub source_provider: String,
    /// Why there is an archive: `failed`, `terminated`, `released` or `live`.
    pub disposition: String,
    /// More about that, in somebody's words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// Sizes of the files, added up.
    pub size_bytes: i64,
    /// Repository that the workarea was made from.
    pub repository: String,
    /// What the session started from.
    pub r#ref: String,
    /// Branch that was checked out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub branch: String,
    /// Commit that the session started from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub commit: String,
    /// What the workarea could do.
    pub capabilities: Vec<String>,
    /// Tools and their versions.
    pub toolchain: BTreeMap<String, String>,
    /// Files, directories and links.
    #[serde(skip_serializing_if = "is_zero")]
    pub entry_count: u64,
    /// What was left out; the first thousand of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<ExcludedEntry>,
    /// How much was left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub excluded_count: u64,
}

impl ArchiveManifest {
    /// When it was made, if it says so in a way that can be read.
    pub(crate) fn created(&self) -> Option<jiff::Timestamp> {
        self.created_at.parse().ok()
    }

    /// Sizes of its files, added up, as it says.
    pub(crate) fn size(&self) -> u64 {
        u64::try_from(self.size_bytes).unwrap_or_default()
    }
}

/// A manifest as it is on disk, and what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) verbatim: Map<String, Value>,
    pub(crate) manifest: ArchiveManifest,
}

/// Why there is no manifest.
#[derive(Debug)]
pub(crate) enum ManifestError {
    Missing,
    Corrupted {
        reason: String,
    },
    /// It may be as good as ever.
    Unreadable(io::Error),
}

impl ManifestError {
    fn of(operation: &str, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        if is_of_the_host(&error) {
            return Self::Unreadable(error);
        }
        Self::Corrupted { reason: format!("manifest.json cannot be {operation}: {error}") }
    }
}

/// Reads the manifest in the directory of an archive.
pub(crate) fn read(directory: &Tree) -> Result<Read, ManifestError> {
    read_named(directory, MANIFEST)
}

/// Reads a file that has the form of a manifest.
pub(crate) fn read_named(directory: &Tree, name: &CStr) -> Result<Read, ManifestError> {
    let corrupted = |reason: String| ManifestError::Corrupted { reason };
    let file = match open_file(directory.root(), name) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Err(ManifestError::Missing),
        Err(Errno::LOOP) => return Err(corrupted("manifest.json is a symbolic link".to_owned())),
        Err(error) => return Err(ManifestError::of("opened", error)),
    };
    let stat = rustix::fs::fstat(&file).map_err(|error| ManifestError::of("read", error))?;
    if file_type(&stat) != FileType::RegularFile {
        return Err(corrupted("manifest.json is not a regular file".to_owned()));
    }
    let mut text = Vec::new();
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut text);
    read.map_err(|error| ManifestError::of("read", error))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(corrupted(format!("manifest.json is larger than {} MiB", MAX_BYTES >> 20)));
    }
    parse(&text).map_err(|error| corrupted(format!("manifest.json: {error}")))
}

fn parse(text: &[u8]) -> Result<Read, serde_json::Error> {
    let verbatim: Map<String, Value> = serde_json::from_slice(text)?;
    Ok(Read { verbatim, manifest: lenient::from_slice(text)? })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_of_others_are_read_and_kept() {
        let read = parse(br#"{"id":"wa","sizeBytes":-1,"toolchain":{"node":"20","go":null},"ref":null,"x":{"y":[1]}}"#)
            .unwrap();
        assert_eq!((read.manifest.id.as_str(), read.manifest.size(), read.manifest.r#ref.as_str()), ("wa", 0, ""));
        assert_eq!(read.manifest.toolchain.get("node").map(String::as_str), Some("20"));
        assert!(read.verbatim.contains_key("x") && read.verbatim.contains_key("ref"));
        assert_eq!(read.manifest.created(), None);
    }

    #[test]
    fn what_is_no_manifest_is_told() {
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        for bad in [b"".as_slice(), b"{", b"[]", b"null", br#"{"id":1}"#, br#"{"toolchain":[]}"#, b"\xff{}", &deep] {
            assert!(parse(bad).is_err(), "{:?}", String::from_utf8_lossy(&bad[..bad.len().min(20)]));
        }
    }
}
