//! The state directory and its lock.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Paths below one state root. See the table in `docs/architecture.md`.
#[derive(Debug, Clone)]
pub(crate) struct StateDir {
    root: PathBuf,
}

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be created or written.
    #[error("state directory {} cannot be used", path.display())]
    Unusable {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another daemon holds it.
    #[error("another daemon{} already runs on {}", pid.map(|p| format!(" (pid {p})")).unwrap_or_default(), root.display())]
    Locked {
        /// The state root.
        root: PathBuf,
        /// Its holder, when it could be read.
        pid: Option<u32>,
    },
}

impl StateError {
    /// The next step for a person.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unusable { path, .. } => {
                format!("make {} writable for this user, or set RENSEI_HOME to another directory", path.display())
            }
            Self::Locked { .. } => {
                "run `rensei host status` to see it, `rensei host stop` to end it, or set RENSEI_HOME for a second one"
                    .to_owned()
            }
        }
    }
}

impl StateDir {
    /// Creates the directory (0700) if need be.
    pub(crate) fn open(root: PathBuf) -> Result<Self, StateError> {
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |source| StateError::Unusable { path, source }
        };
        let sessions = root.join("sessions");
        fs::create_dir_all(&sessions).map_err(unusable(&root))?;
        for private in [&root, &sessions] {
            fs::set_permissions(private, Permissions::from_mode(0o700)).map_err(unusable(private))?;
        }
        // Workers carry their directory as their marker, so it must read the same whichever way the root was named.
        let root = root.canonicalize().map_err(unusable(&root))?;
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn sessions(&self) -> PathBuf {
        self.root.join("sessions")
    }

    /// Takes the state lock. It is the kernel's, so it ends with the process, however that ends.
    pub(crate) fn lock(&self) -> Result<StateLock, StateError> {
        let path = self.root.join("daemon.lock");
        let unusable = |source| StateError::Unusable { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The holder may be writing just now; without its pid the message is still true.
                let _unreadable = file.take(32).read_to_string(&mut text);
                return Err(StateError::Locked { root: self.root.clone(), pid: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(unusable)?;
        Ok(StateLock { _file: file })
    }

    /// The machine's identity: a UUIDv4, minted once.
    pub(crate) fn machine_uuid(&self) -> Result<String, StateError> {
        let path = self.root.join("machine-id");
        if let Ok(text) = fs::read_to_string(&path)
            && let Ok(id) = uuid::Uuid::parse_str(text.trim())
        {
            return Ok(id.to_string());
        }
        let id = uuid::Uuid::new_v4().to_string();
        write_atomic(&path, format!("{id}\n").as_bytes()).map_err(|source| StateError::Unusable { path, source })?;
        Ok(id)
    }
}

/// Held for as long as the daemon lives.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: File,
}

/// Replaces `path` as a whole, mode 0600. Readers see the old or the new content, never a mixture, also after a loss
/// of power.
pub(crate) fn write_atomic(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temp = path.as_os_str().to_owned();
    temp.push(".tmp");
    let temp = PathBuf::from(temp);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temp)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temp, path)?;
        if let Some(dir) = path.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    })();
    if written.is_err() {
        let _leftover = fs::remove_file(&temp);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_daemon_on_the_same_state_is_told_the_pid() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path().join("state")).unwrap();
        let _held = state.lock().unwrap();
        let error = StateDir::open(dir.path().join("state")).unwrap().lock().unwrap_err();
        assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
    }

    #[test]
    fn machine_uuid_is_minted_once_and_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path().to_owned()).unwrap();
        let first = state.machine_uuid().unwrap();
        assert_eq!(state.machine_uuid().unwrap(), first);
        fs::write(dir.path().join("machine-id"), "garbage").unwrap();
        assert_ne!(state.machine_uuid().unwrap(), first);
    }

    #[test]
    fn state_directory_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("state");
        StateDir::open(root.clone()).unwrap();
        assert_eq!(fs::metadata(root).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
