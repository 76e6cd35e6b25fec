//! The state directory and its lock.

use rensei_process::ProcessIdentity;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a daemon that was killed while it started a process can leave its lock behind: the new process holds it from
/// its birth to its program.
const INHERITED: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

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
        // Made while there is room, for when there is none.
        let retained = root.join("retained");
        fs::create_dir_all(&retained).map_err(unusable(&root))?;
        for private in [&root, &sessions, &retained] {
            fs::set_permissions(private, Permissions::from_mode(0o700)).map_err(unusable(private))?;
        }
        // Workers carry their directory as their marker, so it must read the same whichever way the root was named.
        let root = root.canonicalize().map_err(unusable(&root))?;
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Workareas of sessions that failed, until they are archived.
    pub(crate) fn retained(&self) -> PathBuf {
        self.root.join("retained")
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
        let deadline = Instant::now() + INHERITED;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    let pid = holder(&file);
                    if pid.is_none_or(is_running) || Instant::now() > deadline {
                        return Err(StateError::Locked { root: self.root.clone(), pid });
                    }
                    std::thread::sleep(LOOK_AGAIN);
                }
                Err(TryLockError::Error(source)) => return Err(unusable(source)),
            }
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

/// The pid that the lock's holder has written. It may be writing just now; without it the message is still true.
fn holder(file: &File) -> Option<u32> {
    let mut text = [0; 32];
    let length = file.read_at(&mut text, 0).ok()?;
    str::from_utf8(text.get(..length)?).ok()?.trim().parse().ok()
}

fn is_running(pid: u32) -> bool {
    ProcessIdentity::of(pid).is_ok_and(|process| process.is_alive())
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
    fn a_lock_that_a_dead_daemon_left_to_its_child_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path().join("state")).unwrap();
        let held = state.lock().unwrap();
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        fs::write(state.root().join("daemon.lock"), format!("{}\n", dead.id())).unwrap();
        let child = std::thread::spawn(move || {
            std::thread::sleep(LOOK_AGAIN * 4);
            drop(held);
        });
        state.lock().unwrap();
        child.join().unwrap();
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
