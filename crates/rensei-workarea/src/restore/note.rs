//! The note beside a restored workarea.

use super::Order;
use crate::tree::{Tree, file_type, open_file};
use rensei_proto::control::WorkareaDetail;
use rensei_proto::rfc3339_millis;
use rustix::fs::FileType;
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Largest note that is read.
const MAX_BYTES: u64 = 1 << 20;

/// Where a restored workarea came from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Note {
    pub(super) restore_id: String,
    pub(super) archive_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) into_session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    pub(super) restored_at: String,
    /// The workarea as it was answered, without the manifest of its archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) workarea: Option<WorkareaDetail>,
}

impl Note {
    pub(super) fn new(archive: &str, detail: &WorkareaDetail, order: &Order<'_>) -> Self {
        Self {
            restore_id: detail.id.clone(),
            archive_id: archive.to_owned(),
            into_session_id: order.session.map(str::to_owned),
            reason: order.request.reason.clone().filter(|reason| !reason.is_empty()),
            restored_at: rfc3339_millis(order.now),
            workarea: Some(WorkareaDetail { manifest: None, ..detail.clone() }),
        }
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()
    }

    /// The note about the workarea of that name, if it can be read.
    pub(super) fn read(restored: &Tree, id: &str) -> Option<Self> {
        let name = CString::new(format!("{id}.json")).ok()?;
        let file = File::from(open_file(restored.root(), &name).ok()?);
        let stat = rustix::fs::fstat(&file).ok()?;
        if file_type(&stat) != FileType::RegularFile {
            return None;
        }
        let mut text = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// Path of the note about the workarea at `path`.
pub(super) fn path_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".json");
    path.with_file_name(name)
}
