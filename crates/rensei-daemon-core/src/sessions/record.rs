//! One journal per session. Holds no credentials.
//!
//! The first line is the session as it was accepted, each further line what changed since: the process that runs it,
//! then its end. A line is written with one call, so that whatever kills the daemon leaves whole lines and at most one
//! torn one, which is ignored: what is true is the last whole line. Nothing waits for the disk: the journal speaks of
//! processes, and those do not survive a loss of power either.

use super::brief::brief;
use super::table::Entry;
use super::token::TokenDigest;
use rensei_process::{ProcessIdentity, open_child_file};
use rensei_proto::control::SessionView;
use rensei_proto::outcome::{OUTCOME_FILE, Outcome, STOP_FILE, StopNotice};
use rensei_proto::{SessionDetail, SessionId, lenient};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

/// The journal.
const RECORD_FILE: &str = "record.jsonl";
/// Raw output of the worker.
pub(super) const OUTPUT_FILE: &str = "output.log";
const VERSION: u32 = 1;
/// How the names of directories begin that wait to be deleted. No session is called like that.
const ASIDE: &str = ".forgotten-";
/// Largest journal that is read.
const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// What the worker notes of kits.
const KITS_FILE: &str = "kits.json";
/// Tools of one session that are noted, and the longest name or version.
const MAX_TOOLS: usize = 64;
const MAX_TOOL_TEXT: usize = 200;
/// Largest outcome that is read: it is reported as a whole.
const MAX_OUTCOME_BYTES: u64 = 256 * 1024;

/// One line.
#[expect(clippy::large_enum_variant, reason = "lives for one line")]
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
enum Line<'a> {
    /// The session as it was accepted.
    #[serde(rename_all = "camelCase")]
    Accepted {
        version: u32,
        view: Cow<'a, SessionView>,
        detail: Cow<'a, SessionDetail>,
        origin: Sender,
        /// The control plane that sent it; its organisation is in `view`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        control_plane: Option<Cow<'a, str>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_duration_seconds: Option<u64>,
        /// Of what its worker shows; the token itself is in the worker's environment only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<Cow<'a, TokenDigest>>,
    },
    /// Its process.
    Started { process: Cow<'a, ProcessIdentity> },
    /// It has ended, or the control plane has heard of it.
    Ended {
        view: Cow<'a, SessionView>,
        /// The control plane does not want to hear of it, so that nothing is left to report.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        refused: bool,
    },
}

/// Who sent a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sender {
    Platform,
    Local,
}

/// What a journal says in the end.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) view: SessionView,
    /// Its end was refused.
    pub(super) refused: bool,
    pub(super) detail: SessionDetail,
    pub(super) origin: Sender,
    /// Absent for local sessions, and in records of older daemons.
    pub(super) control_plane: Option<String>,
    /// The worker's process; absent until it was started.
    pub(super) process: Option<ProcessIdentity>,
    pub(super) max_duration_seconds: Option<u64>,
    pub(super) token: Option<TokenDigest>,
}

/// The first line of a session's journal.
pub(super) fn opening(entry: &Entry) -> io::Result<Vec<u8>> {
    encode(&Line::Accepted {
        version: VERSION,
        view: Cow::Borrowed(&entry.view),
        detail: Cow::Borrowed(&entry.detail),
        origin: if entry.origin.is_local() { Sender::Local } else { Sender::Platform },
        control_plane: entry.origin.link().map(|link| Cow::Borrowed(link.url.as_str())),
        max_duration_seconds: entry.max_duration_seconds,
        token: entry.token.as_ref().map(Cow::Borrowed),
    })
}

/// Begins the journal in a directory that is new.
pub(super) fn begin(directory: &Path, opening: &[u8]) -> io::Result<()> {
    append(directory, opening)
}

/// Notes the process that runs the session.
pub(super) fn note_process(directory: &Path, process: &ProcessIdentity) -> io::Result<()> {
    append(directory, &encode(&Line::Started { process: Cow::Borrowed(process) })?)
}

/// Notes how the session ended, and later that this was reported, or refused.
pub(super) fn note_end(directory: &Path, view: &SessionView, refused: bool) -> io::Result<()> {
    append(directory, &encode(&Line::Ended { view: Cow::Borrowed(view), refused })?)
}

/// Starts with a line break, so that a torn line before it cannot swallow this one.
fn encode(line: &Line<'_>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![b'\n'];
    serde_json::to_writer(&mut bytes, line)?;
    Ok(bytes)
}

fn append(directory: &Path, line: &[u8]) -> io::Result<()> {
    rensei_process::append_child_file(&directory.join(RECORD_FILE))?.write_all(line)
}

impl Record {
    fn load(directory: &Path) -> io::Result<Self> {
        let mut text = Vec::new();
        open_child_file(&directory.join(RECORD_FILE))?.take(MAX_BYTES).read_to_end(&mut text)?;
        let mut record = None;
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if let Ok(line) = serde_json::from_slice::<Line<'_>>(line) {
                record = Self::after(record, line);
            }
        }
        record.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no whole line that this version knows"))
    }

    fn after(record: Option<Self>, line: Line<'_>) -> Option<Self> {
        match (record, line) {
            (
                _,
                Line::Accepted { version: VERSION, view, detail, origin, control_plane, max_duration_seconds, token },
            ) => Some(Self {
                view: view.into_owned(),
                refused: false,
                detail: detail.into_owned(),
                origin,
                control_plane: control_plane.map(Cow::into_owned),
                process: None,
                max_duration_seconds,
                token: token.map(Cow::into_owned),
            }),
            (record, Line::Accepted { .. }) => record,
            (Some(record), Line::Started { process }) => Some(Self { process: Some(process.into_owned()), ..record }),
            (Some(record), Line::Ended { view, refused }) => {
                // Older daemons noted the whole of it.
                let mut view = view.into_owned();
                view.outcome = view.outcome.map(brief);
                Some(Self { view, refused, ..record })
            }
            (None, Line::Started { .. } | Line::Ended { .. }) => None,
        }
    }
}

/// Tells the worker why it is being ended. It has ended before it could read it, or is no worker of ours: no harm.
pub(super) fn leave_stop_notice(directory: &Path, notice: &StopNotice) {
    let written = serde_json::to_vec(notice).map_err(io::Error::from).and_then(|json| {
        let temporary = directory.join(".stop.tmp");
        // The worker may have put anything there; what is new is neither followed nor waited for.
        let _missing = fs::remove_file(&temporary);
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?.write_all(&json)?;
        fs::rename(temporary, directory.join(STOP_FILE))
    });
    if let Err(error) = written {
        tracing::debug!(path = %directory.display(), %error, "stop notice could not be left");
    }
}

/// All readable records, in no order. A damaged one is moved aside and named in the log: its session's processes are
/// still found by their marker, but nothing more can be said about it.
pub(super) fn load_all(sessions: &Path, mut damaged: impl FnMut(&Path)) -> Vec<Record> {
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
                damaged(&path);
                let aside = path.with_file_name(format!(".damaged-{id}"));
                remove(&aside);
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

/// Tools and versions that the kits of a session named, as far as its worker noted them.
pub(super) fn read_toolchain(directory: &Path) -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    struct Composed {
        toolchain: Vec<Tool>,
    }
    #[derive(Deserialize)]
    struct Tool {
        name: String,
        version: String,
    }
    let short = |text: &String| text.len() <= MAX_TOOL_TEXT;
    let composed = read_json::<Composed>(&directory.join(KITS_FILE)).ok();
    let tools = composed.into_iter().flat_map(|composed| composed.toolchain).take(MAX_TOOLS);
    let named = tools.map(|tool| (tool.name, tool.version)).filter(|(name, version)| short(name) && short(version));
    let mut toolchain = BTreeMap::new();
    for (name, version) in named {
        // Two kits may want two versions of a tool.
        let versions: &mut String = toolchain.entry(name).or_default();
        let more = if versions.is_empty() { version } else { format!(", {version}") };
        versions.push_str(&more);
    }
    toolchain
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<T> {
    let mut bytes = Vec::new();
    open_child_file(path)?.take(MAX_OUTCOME_BYTES).read_to_end(&mut bytes)?;
    Ok(lenient::from_slice(&bytes)?)
}

/// Whoever makes a session's directory, or moves it away, does it alone, so that an id that comes again finds its own.
#[derive(Debug, Default)]
pub(super) struct Directories(Mutex<()>);

impl Directories {
    /// Runs `change`, which may look at the table; who has the table must not wait for this.
    pub(super) fn alone<T>(&self, change: impl FnOnce() -> T) -> T {
        let _alone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change()
    }
}

/// Moves a session's directory out of its place; where it is then, if it must still be deleted.
pub(super) fn set_aside(directory: &Path) -> Option<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let aside = directory.with_file_name(format!("{ASIDE}{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    match fs::rename(directory, &aside) {
        Ok(()) => return Some(aside),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(path = %directory.display(), %error, "session directory could not be moved");
            remove(directory);
        }
    }
    None
}

/// Deletes what a predecessor moved aside and did not come to delete.
pub(super) fn remove_set_aside(sessions: &Path) {
    let entries = fs::read_dir(sessions).into_iter().flatten().flatten();
    let aside = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(ASIDE.as_bytes()));
    aside.for_each(|entry| remove(&entry.path()));
}

/// Forgets a session for good.
pub(super) fn remove(directory: &Path) {
    if let Err(error) = fs::remove_dir_all(directory)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %directory.display(), %error, "session directory could not be removed");
    }
}
