//! What a mirror has twice since it was packed again.
//!
//! It is noted beside the mirror, so that it goes also when the host is started again meanwhile. The note is there before
//! the new packs are: where they are missing, it says nothing.

use super::repack::Stock;
use crate::WorkareaError;
use crate::pool::replace;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long what was replaced stays.
pub(super) const STAYS: Duration = Duration::from_secs(3600);
/// Largest note that is read; that of some hundred thousand loose objects.
const MAX_BYTES: u64 = 16 << 20;
/// Extension of the notes.
pub(super) const EXTENSION: &str = "replaced";

/// Files of a mirror that hold nothing but what others of its files hold, too.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Replaced {
    /// Of the mirror.
    pub(super) generation: Option<u64>,
    pub(super) old: Stock,
    /// Packs that have it all.
    pub(super) by: BTreeSet<String>,
    /// When it was replaced, or when this process learned of it.
    #[serde(skip, default = "Instant::now")]
    pub(super) since: Instant,
}

impl Replaced {
    /// What is noted beside this mirror.
    pub(super) fn read(mirror: &Path) -> Option<Self> {
        let mut text = Vec::new();
        std::fs::File::open(note(mirror)).ok()?.take(MAX_BYTES).read_to_end(&mut text).ok()?;
        let noted: Self = serde_json::from_slice(&text).ok()?;
        noted.old.packs.iter().all(|name| is_pack(name)).then_some(noted)
    }

    pub(super) fn write(&self, mirror: &Path) -> Result<(), WorkareaError> {
        let path = note(mirror);
        let json = serde_json::to_vec(self).map_err(|error| WorkareaError::io("write", &path, error.into()))?;
        replace(&path, &json)
    }

    /// Forgets what was noted beside this mirror.
    pub(super) fn forget(mirror: &Path) {
        // What it names is gone, or it says nothing.
        let _ = std::fs::remove_file(note(mirror));
    }

    pub(super) fn is_past(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= STAYS
    }
}

fn note(mirror: &Path) -> PathBuf {
    mirror.with_added_extension(EXTENSION)
}

/// Whether a pack may be called that.
fn is_pack(name: &str) -> bool {
    name.strip_prefix("pack-").is_some_and(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Names of the mirrors in `repos` that have such a note.
pub(crate) fn with_replaced(repos: &Path) -> Vec<String> {
    let notes = super::salvage::entries(repos);
    let notes = notes.iter().filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
    notes.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect()
}
