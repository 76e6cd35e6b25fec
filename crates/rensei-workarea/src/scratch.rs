//! Directories that are being built or deleted.
//!
//! Their names carry the process that works on them, so that what a dead process left can be told from what a live
//! one is busy with.

mod delete;

use rensei_process::ProcessIdentity;
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const BUILDING: &str = ".new-";
const DELETING: &str = ".trash-";

/// Unused path in `dir` for something that is being built; rename it when it is complete.
pub(crate) fn building(dir: &Path) -> PathBuf {
    unused(dir, BUILDING)
}

/// Whether that is the name of something that was being built.
pub(crate) fn is_building(name: &str) -> bool {
    name.starts_with(BUILDING)
}

/// Removes a directory: first out of the way with a rename, then for good. Missing is fine.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    move_away(path)?.map_or(Ok(()), |trash| remove_tree(&trash))
}

/// Moves a directory out of the way and deletes it in the background, after `before` has seen it: its name is free when
/// this returns.
pub(crate) fn remove_later(path: &Path, before: impl FnOnce(&Path) + Send + 'static) -> io::Result<()> {
    let Some(trash) = move_away(path)? else { return Ok(()) };
    let deleter = std::thread::Builder::new().name("workarea-delete".to_owned());
    // Without a thread the next start of a host sweeps it.
    let _handle = deleter.spawn(move || {
        before(&trash);
        remove_tree(&trash)
    })?;
    Ok(())
}

/// Where a directory has gone; none when there was none.
fn move_away(path: &Path) -> io::Result<Option<PathBuf>> {
    let trash = unused(path.parent().unwrap_or(Path::new("/")), DELETING);
    match std::fs::rename(path, &trash) {
        Ok(()) => Ok(Some(trash)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Deletes what dead processes left in `dir`.
pub(crate) fn sweep(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_abandoned)
            && let Err(error) = remove_any(&entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "could not delete what an earlier run left");
        }
    }
}

fn unused(dir: &Path, prefix: &str) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let pid = std::process::id();
    let started = ProcessIdentity::of(pid).map_or(0, |own| own.start_time);
    dir.join(format!("{prefix}{pid}-{started}-{}", COUNTER.fetch_add(1, Ordering::Relaxed)))
}

fn is_abandoned(name: &str) -> bool {
    let Some(owner) = name.strip_prefix(BUILDING).or_else(|| name.strip_prefix(DELETING)) else { return false };
    let mut parts = owner.split('-').map(str::parse::<u64>);
    let (Some(Ok(pid)), Some(Ok(started))) = (parts.next(), parts.next()) else { return false };
    let alive = u32::try_from(pid).ok().and_then(|pid| ProcessIdentity::of(pid).ok());
    alive.is_none_or(|process| process.start_time != started)
}

/// Deletes a directory and everything in it, however deep and whatever its rights are. Missing is fine.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match delete::delete(path) {
        Err(Errno::NOENT) => Ok(()),
        result => Ok(result?),
    }
}

/// Removes whatever is called that: a tree, a file, a link, which is not followed. Missing is fine.
pub(crate) fn remove_any(path: &Path) -> io::Result<()> {
    let result = match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => remove_tree(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Bytes of the files below a directory, as far as they can be seen.
pub(crate) fn bytes_below(path: &Path) -> u64 {
    let (mut total, mut pending) = (0_u64, vec![path.to_owned()]);
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => pending.push(entry.path()),
                Ok(metadata) if metadata.is_file() => total = total.saturating_add(metadata.len()),
                Ok(_) | Err(_) => {}
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn sweeps_what_the_dead_left_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let own = building(dir.path());
        let recycled = dir.path().join(format!(".new-{}-1-0", std::process::id()));
        let dead = dir.path().join(".trash-4294967295-1-0");
        let others = [dir.path().join("s1"), dir.path().join(".owned"), dir.path().join(".new-x")];
        for path in [&own, &recycled, &dead].into_iter().chain(&others) {
            std::fs::create_dir_all(path.join("deep/er")).unwrap();
        }
        sweep(dir.path());
        assert!(own.exists() && others.iter().all(|path| path.exists()));
        assert!(!recycled.exists() && !dead.exists());
    }

    #[test]
    fn removes_read_only_trees_and_leaves_link_targets() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, precious) = (dir.path().join("victim"), dir.path().join("precious"));
        std::fs::create_dir_all(victim.join("a/b")).unwrap();
        std::fs::create_dir_all(&precious).unwrap();
        std::fs::write(precious.join("file"), "x").unwrap();
        std::os::unix::fs::symlink(&precious, victim.join("a/link")).unwrap();
        std::fs::set_permissions(victim.join("a/b"), std::fs::Permissions::from_mode(0o500)).unwrap();
        std::fs::set_permissions(victim.join("a"), std::fs::Permissions::from_mode(0o500)).unwrap();
        remove(&victim).unwrap();
        remove(&victim).unwrap();
        assert!(precious.join("file").exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
