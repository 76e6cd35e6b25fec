//! One process at a time changes a mirror.

use super::salvage::entries;
use crate::{WorkareaError, scratch};
use rensei_process::{ProcessGroup, ProcessIdentity};
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Pause between two attempts while another process has the lock.
const RETRY: Duration = Duration::from_millis(20);
/// How long a git that outlived its host may take to end.
const GRACE: Duration = Duration::from_secs(2);
/// Longest note that is read.
const MAX_NOTE: u64 = 4096;

/// The right to change a mirror. The lock file notes which git is at work: when its holder dies, the lock is free but
/// git may go on, and whoever comes next must end it first.
#[derive(Debug)]
pub(crate) struct MirrorLock {
    file: File,
}

impl MirrorLock {
    /// Waits for the lock of the mirror at `mirror`, at most `limit` long, and cleans up after a dead holder.
    pub(crate) async fn acquire(mirror: &Path, limit: Duration) -> Result<Self, WorkareaError> {
        let path = lock_file(mirror);
        let file = open(&path).map_err(|error| WorkareaError::io("open", &path, error))?;
        let deadline = Instant::now() + limit;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => tokio::time::sleep(RETRY).await,
                Err(TryLockError::WouldBlock) => {
                    return Err(WorkareaError::io("lock", &path, io::ErrorKind::TimedOut.into()));
                }
                Err(TryLockError::Error(error)) => return Err(WorkareaError::io("lock", &path, error)),
            }
        }
        let lock = Self { file };
        if lock.end_orphan().await {
            remove_stale_locks(mirror);
            lock.clear();
        }
        Ok(lock)
    }

    /// The lock of a mirror that nobody changes and that no dead holder left unfinished; none otherwise.
    fn of_idle(mirror: &Path) -> Option<Self> {
        let lock = Self { file: open(&lock_file(mirror)).ok()? };
        lock.file.try_lock().ok()?;
        (lock.file.metadata().ok()?.len() == 0).then_some(lock)
    }

    /// Notes that this git changes the mirror.
    pub(crate) fn note(&self, process: &ProcessIdentity) {
        let written = serde_json::to_vec(process).map_err(io::Error::from).and_then(|json| self.replace(&json));
        if let Err(error) = written {
            tracing::warn!(%error, "could not note which git changes a mirror");
        }
    }

    /// Notes that this process itself changes the mirror: what comes after it has nobody to end, but may find locks.
    pub(crate) fn note_own_work(&self) {
        if let Err(error) = self.replace(b"no process of its own\n") {
            tracing::warn!(%error, "could not note that a mirror is being changed");
        }
    }

    /// Notes that no git changes the mirror any more.
    pub(crate) fn clear(&self) {
        if let Err(error) = self.replace(&[]) {
            tracing::warn!(%error, "could not clear the note in the lock of a mirror");
        }
    }

    fn replace(&self, content: &[u8]) -> io::Result<()> {
        let mut file = &self.file;
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(content)
    }

    /// Ends the git that the last holder noted; whether there was a note.
    async fn end_orphan(&self) -> bool {
        let mut note = Vec::new();
        if (&self.file).take(MAX_NOTE).read_to_end(&mut note).is_err() || note.is_empty() {
            return false;
        }
        if let Ok(process) = serde_json::from_slice::<ProcessIdentity>(&note)
            && process.is_alive()
        {
            tracing::warn!(pid = process.pid, "ending a git that outlived its host");
            ProcessGroup::of_leader(process.pid).stop(GRACE).await;
        }
        true
    }
}

/// What is locked while a mirror beside it is packed again: not the mirror, in which others go on meanwhile.
pub(super) fn packing(repos: &Path) -> PathBuf {
    // Names of mirrors end with a hash.
    repos.join("packing")
}

/// Ends the git that packs a mirror in `repos` although its host is dead.
pub(crate) fn end_orphaned_packing(repos: &Path) {
    let packing = packing(repos);
    if !lock_file(&packing).exists() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime
        .map_err(|error| WorkareaError::io("lock", &packing, error))
        .and_then(|runtime| runtime.block_on(MirrorLock::acquire(&packing, Duration::ZERO)));
    if let Err(error) = ended {
        tracing::warn!(%error, "a git that outlived its host may still pack a mirror");
    }
}

/// Notes that a mirror is used now.
pub(super) fn note_use(mirror: &Path) {
    let noted = open(&lock_file(mirror)).and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = noted {
        tracing::warn!(mirror = %mirror.display(), %error, "it is not noted that a mirror is used");
    }
}

/// When a mirror was last used or changed.
pub(crate) fn last_use(mirror: &Path) -> io::Result<SystemTime> {
    std::fs::metadata(lock_file(mirror))?.modified()
}

/// Deletes a mirror that nobody has used since, nor changes now; whether it did.
pub(crate) fn remove_if_unused(mirror: &Path, since: SystemTime) -> io::Result<bool> {
    let Some(_lock) = MirrorLock::of_idle(mirror) else { return Ok(false) };
    if last_use(mirror)? > since {
        return Ok(false);
    }
    scratch::remove(mirror).map(|()| true)
}

fn lock_file(mirror: &Path) -> PathBuf {
    mirror.with_added_extension("lock")
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(no_follow).open(path)
}

/// Removes git's own lock files, and packs that were not finished, from a mirror that nobody else changes.
pub(crate) fn remove_stale_locks(mirror: &Path) {
    remove_half_packs(&mirror.join("objects"));
    let mut pending: Vec<PathBuf> = vec![mirror.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let kind = entry.file_type();
            if kind.as_ref().is_ok_and(std::fs::FileType::is_dir) {
                // Objects are not locked, and there are many.
                pending.extend((entry.file_name() != "objects").then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "lock") {
                // One that cannot be removed makes git fail with its name.
                let _ = std::fs::remove_file(&path);
            }
        }
    }
}

/// Who is killed while packs come or go leaves what nobody reads.
fn remove_half_packs(objects: &Path) {
    let is_temporary = |path: &Path| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        [&b"tmp_"[..], b"pack_git2_"].iter().any(|prefix| name.starts_with(prefix))
    };
    let is_half = |path: &Path| {
        let other = match path.extension().and_then(|extension| extension.to_str()) {
            Some("idx") => "pack",
            Some("pack" | "rev" | "keep" | "bitmap") => "idx",
            _ => return false,
        };
        !path.with_extension(other).exists()
    };
    let packs = entries(&objects.join("pack")).into_iter().filter(|path| is_temporary(path) || is_half(path));
    for path in packs.chain(entries(objects).into_iter().filter(|path| is_temporary(path))) {
        if let Err(error) = scratch::remove_any(&path) {
            tracing::warn!(path = %path.display(), %error, "could not delete an unfinished pack");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    #[tokio::test]
    async fn what_a_dead_holder_left_is_ended_and_unlocked() {
        let dir = tempfile::tempdir().unwrap();
        let mirror = dir.path().join("r-1");
        std::fs::create_dir_all(mirror.join("refs/heads")).unwrap();
        let stale = [mirror.join("packed-refs.lock"), mirror.join("refs/heads/main.lock")];
        stale.iter().for_each(|path| std::fs::write(path, "").unwrap());
        let mut orphan = Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let identity = ProcessIdentity::of(orphan.id()).unwrap();
        MirrorLock::acquire(&mirror, Duration::ZERO).await.unwrap().note(&identity);
        let lock = MirrorLock::acquire(&mirror, Duration::ZERO).await.unwrap();
        assert!(!identity.is_alive() && !stale.iter().any(|path| path.exists()));
        assert_eq!(std::fs::read(dir.path().join("r-1.lock")).unwrap(), b"");
        drop(lock);
        orphan.wait().unwrap();
    }

    #[test]
    fn a_start_ends_the_git_that_packs_for_a_dead_host() {
        let dir = tempfile::tempdir().unwrap();
        end_orphaned_packing(dir.path());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut orphan = Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let identity = ProcessIdentity::of(orphan.id()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let lock = || runtime.block_on(MirrorLock::acquire(&packing(dir.path()), Duration::ZERO));
        lock().unwrap().note(&identity);
        end_orphaned_packing(dir.path());
        assert!(!identity.is_alive());
        orphan.wait().unwrap();
        drop(lock().unwrap());
    }

    #[tokio::test]
    async fn work_without_a_process_leaves_locks_and_nobody_to_end() {
        let dir = tempfile::tempdir().unwrap();
        let mirror = dir.path().join("r-1");
        std::fs::create_dir_all(&mirror).unwrap();
        std::fs::write(mirror.join("packed-refs.lock"), "").unwrap();
        MirrorLock::acquire(&mirror, Duration::ZERO).await.unwrap().note_own_work();
        MirrorLock::acquire(&mirror, Duration::ZERO).await.unwrap();
        assert!(!mirror.join("packed-refs.lock").exists());
    }

    #[tokio::test]
    async fn a_stranger_with_a_recycled_pid_is_spared_and_a_live_holder_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let mirror = dir.path().join("r-1");
        let mut stranger = Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let identity = ProcessIdentity::of(stranger.id()).unwrap();
        let earlier = ProcessIdentity { start_time: identity.start_time + 1, ..identity.clone() };
        MirrorLock::acquire(&mirror, Duration::ZERO).await.unwrap().note(&earlier);
        let lock = MirrorLock::acquire(&mirror, Duration::ZERO).await.unwrap();
        assert!(identity.is_alive());
        assert!(MirrorLock::acquire(&mirror, Duration::from_millis(50)).await.is_err());
        drop(lock);
        MirrorLock::acquire(&mirror, Duration::ZERO).await.unwrap();
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}
