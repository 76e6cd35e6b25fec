//! The control plane's directory: who may read it, who holds it, and the secret that lies in it.

use crate::tokens::random_hex;
use rensei_proto::Secret;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// A file or directory could not be created, read or written.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another server holds the directory.
    #[error("another control plane{} uses the data directory {}", of_pid(*pid), path.display())]
    Held {
        /// Process that holds it, when it said so.
        pid: Option<u32>,
        /// The directory.
        path: PathBuf,
    },
    /// The secret file was damaged.
    #[error("the signing secret in {} is damaged: it must be 64 hexadecimal digits", path.display())]
    DamagedSecret {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random(#[source] getrandom::Error),
}

fn of_pid(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

impl DataDirError {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Io { .. } => "choose a directory that you own: `rensei platform serve --data-dir <dir>`".to_owned(),
            Self::Held { pid: Some(pid), .. } => {
                format!("use the running one, stop it with `kill {pid}`, or choose another `--data-dir`")
            }
            Self::Held { pid: None, .. } => "use the running one, or choose another `--data-dir`".to_owned(),
            Self::DamagedSecret { path } => {
                format!("remove {}: a new one is made, and hosts refresh their tokens by themselves", path.display())
            }
            Self::Random(_) => return None,
        })
    }
}

/// Attaches operation and path to an I/O error.
fn at<'a>(operation: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> DataDirError + 'a {
    move |source| DataDirError::Io { operation, path: path.to_owned(), source }
}

/// A directory that only its owner can enter.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    path: PathBuf,
}

impl DataDir {
    /// Makes the directory, or takes the rights of others away from an existing one.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at("create", path))?;
        std::fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(at("protect", path))?;
        Ok(Self { path: path.to_owned() })
    }

    /// The database file, created if it is not there, readable by its owner only. SQLite gives its side files the
    /// same mode.
    pub(crate) fn database(&self) -> Result<PathBuf, DataDirError> {
        let path = self.path.join("platform.db");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(at("open", &path))?;
        file.set_permissions(Permissions::from_mode(0o600)).map_err(at("protect", &path))?;
        Ok(path)
    }

    /// Claims the directory for this process. The operating system drops the lock with the process, however it ends.
    pub(crate) fn lock(&self) -> Result<DirLock, DataDirError> {
        let path = self.path.join("platform.lock");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = file.map_err(at("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirError::Held { pid: read_pid(&mut file), path: self.path.clone() });
            }
            Err(TryLockError::Error(source)) => return Err(at("lock", &path)(source)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(at("write", &path))?;
        Ok(DirLock { _file: file })
    }

    /// The secret that runtime tokens are signed with; minted by whoever comes first.
    pub(crate) fn signing_secret(&self) -> Result<Secret, DataDirError> {
        let path = self.path.join("jwt-secret");
        if !path.try_exists().map_err(at("read", &path))? {
            self.mint_secret(&path)?;
        }
        let text = std::fs::read_to_string(&path).map_err(at("read", &path))?;
        let text = text.trim();
        let well_formed = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if well_formed { Ok(Secret::from(text)) } else { Err(DataDirError::DamagedSecret { path }) }
    }

    /// Writes a new secret beside `path` and links it there; an existing one wins over it.
    fn mint_secret(&self, path: &Path) -> Result<(), DataDirError> {
        let secret = random_hex::<32>().map_err(DataDirError::Random)?;
        let temporary = self.path.join(format!("jwt-secret.{}.tmp", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| file.write_all(secret.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(at("write", &temporary));
        let linked = written.and_then(|()| match std::fs::hard_link(&temporary, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(at("create", path)(error)),
            Ok(()) | Err(_) => File::open(&self.path).and_then(|dir| dir.sync_all()).map_err(at("sync", &self.path)),
        });
        // What matters is in place or reported; a leftover temporary file is overwritten next time.
        let _ = std::fs::remove_file(&temporary);
        linked
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Holds the directory for as long as it lives.
#[derive(Debug)]
pub(crate) struct DirLock {
    _file: File,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_and_held_by_one() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&root.path().join("a/b")).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir.path), 0o700);
        assert_eq!(mode(&dir.database().unwrap()), 0o600);
        let secret = dir.signing_secret().unwrap();
        assert_eq!(mode(&dir.path.join("jwt-secret")), 0o600);
        assert_eq!(dir.signing_secret().unwrap(), secret, "minted once");

        let held = dir.lock().unwrap();
        let refused = dir.lock().unwrap_err();
        assert!(refused.to_string().contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(held);
        dir.lock().unwrap();
    }

    #[test]
    fn a_damaged_secret_is_named_and_not_replaced() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path()).unwrap();
        std::fs::write(dir.path.join("jwt-secret"), "short").unwrap();
        assert!(matches!(dir.signing_secret(), Err(DataDirError::DamagedSecret { .. })));
    }
}
