//! A configuration file that is changed as a whole or not at all.

use super::edit::{self, Edit, EditError, Subject};
use super::load;
use crate::state::write_atomic;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a lock is tried, and how long to wait in between: two seconds, which is ample for a write.
const LOCK_TRIES: u32 = 100;
const LOCK_WAIT: Duration = Duration::from_millis(20);
/// How often a change is made again on what somebody else wrote meanwhile.
const UPDATE_TRIES: u32 = 5;
/// First lines of a file that did not exist.
const HEADER: &str = "apiVersion: rensei.dev/v1\nkind: LocalDaemon\n";

/// The text of a configuration file and changes to it. Comments, order, quoting and unknown keys stay.
///
/// Nothing is on disk before [`save`](Self::save). The functions of this type wait for the disk.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    env: BTreeMap<String, String>,
    /// What was read; none without a file.
    original: Option<String>,
    text: String,
}

impl ConfigFile {
    /// Reads `path`; a missing file is one with a header only. `env` gives `~/` in paths its meaning, nothing else:
    /// neither a variable nor a token from it can get into the text.
    ///
    /// # Errors
    /// [`EditError::Unreadable`].
    pub fn open(path: &Path, env: &BTreeMap<String, String>) -> Result<Self, EditError> {
        let original = read(path)?;
        let text = original.clone().unwrap_or_else(|| HEADER.to_owned());
        Ok(Self { path: path.to_owned(), env: env.clone(), original, text })
    }

    /// The text with all changes so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Makes one change. The answer is whether there was something to change.
    ///
    /// # Errors
    /// [`EditError`]; the text is then as before.
    pub fn edit(&mut self, edit: &Edit) -> Result<bool, EditError> {
        let subject = Subject { path: &self.path, env: &self.env };
        let edited = edit::apply(&self.text, edit, subject)?;
        let Some(edited) = edited else { return Ok(false) };
        self.text = edited;
        Ok(true)
    }

    /// Puts the text in the place of the file: mode 0600, old or new content at any moment, also after a loss of power.
    /// The answer is whether there was something to write.
    ///
    /// # Errors
    /// [`EditError::ChangedMeanwhile`] when the file is not what was read, [`EditError::Locked`],
    /// [`EditError::Write`].
    pub fn save(self) -> Result<bool, EditError> {
        let failed = |source| EditError::Write { path: self.path.clone(), source };
        if self.original.as_ref() == Some(&self.text) {
            return Ok(false);
        }
        // A link stays a link.
        let target = match fs::canonicalize(&self.path) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.path.clone(),
            Err(error) => return Err(failed(error)),
        };
        if let Some(parent) = target.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
        }
        let _lock = lock(&target)?;
        if read(&self.path)? != self.original {
            return Err(EditError::ChangedMeanwhile { path: self.path });
        }
        write_atomic(&target, self.text.as_bytes()).map_err(failed)?;
        Ok(true)
    }

    /// Makes all of `edits` or none, again on the new content when somebody else changed the file meanwhile. The
    /// answer is the new text; none when there was nothing to change.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn update(path: &Path, env: &BTreeMap<String, String>, edits: &[Edit]) -> Result<Option<String>, EditError> {
        let mut tries = UPDATE_TRIES;
        loop {
            let mut file = Self::open(path, env)?;
            let mut changed = false;
            for edit in edits {
                changed |= file.edit(edit)?;
            }
            if !changed {
                return Ok(None);
            }
            let text = file.text.clone();
            match file.save() {
                Err(EditError::ChangedMeanwhile { .. }) if tries > 1 => tries -= 1,
                saved => return saved.map(|_written| Some(text)),
            }
        }
    }
}

fn read(path: &Path) -> Result<Option<String>, EditError> {
    let read = load::read(path).map_err(|source| EditError::Unreadable { path: path.to_owned(), source })?;
    Ok(read.map(|(text, _access)| text))
}

/// Waits for the other writers. The lock is the kernel's, so it ends with the process, however that ends; the empty
/// file stays, because removing it would let two writers hold "the" lock.
fn lock(target: &Path) -> Result<File, EditError> {
    let mut path = target.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let failed = |source| EditError::Write { path: path.clone(), source };
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
    for attempt in 1..=LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if attempt < LOCK_TRIES => std::thread::sleep(LOCK_WAIT),
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
    Err(EditError::Locked { path })
}

#[cfg(test)]
#[path = "file/tests.rs"]
mod tests;
