//! `outcome.json`: the session's end, for the daemon.

use rensei_proto::outcome::{OUTCOME_FILE, Outcome};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where the outcome goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct OutcomeFile {
    dir: Option<PathBuf>,
}

impl OutcomeFile {
    /// A file in the session's directory; without one nothing is written.
    pub(crate) const fn in_dir(dir: Option<PathBuf>) -> Self {
        Self { dir }
    }

    /// Replaces the file. A failure is logged only: the control plane may still learn of the end, and without either
    /// the daemon reports a worker that ended without a word.
    pub(crate) fn write(&self, outcome: &Outcome) {
        let Some(dir) = &self.dir else { return };
        if let Err(error) = replace(dir, outcome) {
            tracing::warn!(%error, dir = %dir.display(), "failed to write {OUTCOME_FILE}");
        }
    }
}

/// Not synced to disk: the file bridges the time until the control plane has the report, which is milliseconds, and
/// after a power cut the daemon reports the session as ended without a word.
fn replace(dir: &Path, outcome: &Outcome) -> io::Result<()> {
    let temporary = dir.join(format!(".{OUTCOME_FILE}.{}", std::process::id()));
    let mut text = serde_json::to_vec_pretty(outcome)?;
    text.push(b'\n');
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(&text)?;
    drop(file);
    std::fs::rename(&temporary, dir.join(OUTCOME_FILE))
}
