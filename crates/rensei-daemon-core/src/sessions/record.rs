//! One versioned file per session. Holds no credentials.
//!
//! It is written without waiting for the disk: it speaks of processes, and those do not survive a loss of power
//! either. Against the death of the daemon the rename is enough.

use super::{Origin, table::Entry};
use crate::state::{Durability, write_atomic};
use rensei_process::ProcessIdentity;
use rensei_proto::control::SessionView;
use rensei_proto::outcome::{OUTCOME_FILE, Outcome};
use rensei_proto::{SessionDetail, SessionId};
use serde::{Deserialize, Serialize};
use std::io::Read as _;
use std::path::Path;
use std::{fs, io};

const RECORD_FILE: &str = "record.json";
/// Raw output of the worker.
pub(super) const OUTPUT_FILE: &str = "output.log";
const VERSION: u32 = 1;
/// Largest record or outcome that is read.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// What is on disk.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    version: u32,
    pub(super) view: SessionView,
    pub(super) detail: SessionDetail,
    pub(super) origin: Origin,
    /// The worker's process; absent until it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) process: Option<ProcessIdentity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_duration_seconds: Option<u64>,
}

impl Record {
    pub(super) fn of(entry: &Entry, process: Option<ProcessIdentity>) -> Self {
        Self {
            version: VERSION,
            view: entry.view.clone(),
            detail: entry.detail.clone(),
            origin: entry.origin,
            process,
            max_duration_seconds: entry.max_duration_seconds,
        }
    }

    pub(super) fn save(&self, directory: &Path) -> io::Result<()> {
        let json = serde_json::to_vec(self)?;
        write_atomic(&directory.join(RECORD_FILE), &json, Durability::Crash)
    }

    fn load(directory: &Path) -> io::Result<Self> {
        let record: Self = read_json(&directory.join(RECORD_FILE))?;
        if record.version == VERSION {
            Ok(record)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("record version {} is not known", record.version)))
        }
    }
}

/// All readable records, in no order. A damaged one is moved aside and named in the log: its session's processes are
/// still found by their marker, but nothing more can be said about it.
pub(super) fn load_all(sessions: &Path) -> Vec<Record> {
    let Ok(directories) = fs::read_dir(sessions) else { return Vec::new() };
    let named = directories.flatten().filter_map(|entry| {
        let id = SessionId::parse(entry.file_name().to_str()?).ok()?;
        Some((id, entry.path()))
    });
    named
        .filter_map(|(id, path)| match Record::load(&path) {
            Ok(record) if record.view.session_id == id => Some(record),
            outcome => {
                let why = outcome.err().map_or_else(|| "it names another session".to_owned(), |e| e.to_string());
                let aside = path.with_file_name(format!(".damaged-{id}"));
                let moved = fs::rename(&path, &aside).is_ok();
                tracing::warn!(session_id = %id, why, moved, "session record is damaged");
                None
            }
        })
        .collect()
}

/// What the worker left, if it left anything readable that is about this session.
pub(super) fn read_outcome(directory: &Path, id: &SessionId) -> Option<Outcome> {
    let path = directory.join(OUTCOME_FILE);
    match read_json::<Outcome>(&path) {
        Ok(outcome) if outcome.session_id == *id && outcome.status.is_terminal() => Some(outcome),
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(session_id = %id, %error, "outcome of the worker is unreadable");
            None
        }
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<T> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Forgets a session for good.
pub(super) fn remove(directory: &Path) {
    if let Err(error) = fs::remove_dir_all(directory)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %directory.display(), %error, "session directory could not be removed");
    }
}
