//! What makes a directory ours.

use crate::WorkareaError;
use crate::pool::replace;
use rensei_proto::SessionId;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Largest marker that is read.
const MAX_BYTES: u64 = 64 << 10;

/// Note in every checkout that we made; nothing without it is ever deleted.
///
/// It lies in the `.git` directory and, because an agent may change that, once more beside the checkouts. That one counts;
/// the other one only where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Marker {
    /// Format of this note: 1.
    pub(crate) version: u32,
    /// The session that holds the checkout.
    pub(crate) session_id: SessionId,
    /// Repository as it was asked for, without credentials.
    pub(crate) repository: String,
    /// Starting point as it was asked for.
    pub(crate) r#ref: String,
    /// Commit that the session starts from; empty when the repository has none.
    pub(crate) base_commit: String,
    /// Branch that the session starts from, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base_branch: Option<String>,
    /// Branch that was created.
    pub(crate) branch: String,
    /// Which run of the session it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<u64>,
    /// Pool entry that it is; empty when it was made before there were any.
    #[serde(default)]
    pub(crate) entry: String,
    /// How it came about.
    #[serde(default)]
    pub(crate) acquire_path: String,
    /// What its user should know about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
    /// When it was made, Unix milliseconds.
    pub(crate) created_at_ms: u64,
}

impl Marker {
    /// The note of a checkout; none when there is no such directory, whatever lies beside it.
    pub(crate) fn read(checkout: &Path) -> Option<Self> {
        if !std::fs::symlink_metadata(checkout).is_ok_and(|metadata| metadata.is_dir()) {
            return None;
        }
        let id = checkout.file_name()?.to_str()?;
        let places = [beside(checkout)?, inside(checkout)];
        places.iter().filter_map(|place| parse(place)).find(|marker| marker.session_id.as_str() == id)
    }

    /// The note in a directory that was a checkout and may be called anything by now.
    pub(crate) fn read_inside(directory: &Path) -> Option<Self> {
        parse(&inside(directory))
    }

    /// Leaves the note in a checkout that is still being built.
    pub(crate) fn write_inside(&self, building: &Path) -> Result<(), WorkareaError> {
        self.write(&inside(building))
    }

    /// Leaves the note beside a checkout that is in its place.
    pub(crate) fn write_beside(&self, checkout: &Path) -> Result<(), WorkareaError> {
        beside(checkout).map_or(Ok(()), |place| self.write(&place))
    }

    fn write(&self, place: &Path) -> Result<(), WorkareaError> {
        let failed = |error| WorkareaError::io("write", place, error);
        let json = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        std::fs::create_dir_all(place.parent().unwrap_or(place)).map_err(failed)?;
        replace(place, &json)
    }

    /// Removes the notes beside checkouts that are gone.
    pub(crate) fn forget_strays(worktrees: &Path) {
        for entry in std::fs::read_dir(worktrees.join(".owned")).into_iter().flatten().flatten() {
            let path = entry.path();
            let checkout = path.file_stem().map(|session| worktrees.join(session));
            if checkout.is_some_and(|checkout| std::fs::symlink_metadata(checkout).is_err()) {
                // It says nothing without the checkout.
                let _ = std::fs::remove_file(path);
            }
        }
    }

    /// Removes the note beside a checkout that is gone.
    pub(crate) fn forget(checkout: &Path) {
        if let Some(place) = beside(checkout) {
            // It says nothing without the checkout.
            let _ = std::fs::remove_file(place);
        }
    }
}

fn inside(checkout: &Path) -> PathBuf {
    checkout.join(".git/rensei-workarea.json")
}

fn beside(checkout: &Path) -> Option<PathBuf> {
    Some(checkout.parent()?.join(".owned").join(format!("{}.json", checkout.file_name()?.to_str()?)))
}

fn parse(place: &Path) -> Option<Marker> {
    let metadata = std::fs::symlink_metadata(place).ok()?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return None;
    }
    serde_json::from_slice(&std::fs::read(place).ok()?).ok()
}
