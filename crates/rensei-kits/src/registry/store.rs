//! Writes kits into the first scan path so that a kit is there whole or not at all, also when the writer is killed.
//!
//! Everything of a kit is written into a directory of its own, which is then renamed to `.commit-…`: from that moment on
//! the kit is installed. What remains, moving its files to their places, is repeated by whoever comes next.

use crate::kit::MANIFEST_SUFFIX;
use crate::kit::files_dir;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const STAGING: &str = ".install-";
const COMMITTED: &str = ".commit-";
const LOCK: &str = ".install.lock";

/// Names within a staging directory.
const MANIFEST: &str = "manifest";
const BUNDLE: &str = "bundle";
const FILES: &str = "files";
/// Empty files that say that the kit has none: what an earlier version had must go.
const NO_BUNDLE: &str = "no-bundle";
const NO_FILES: &str = "no-files";

/// A kit to write.
#[derive(Debug)]
pub(super) struct Bytes {
    pub(super) manifest: Vec<u8>,
    pub(super) bundle: Option<Vec<u8>>,
    /// By relative path.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// Makes the directory of kits, for its owner only.
pub(super) fn make_home(home: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(home)
}

/// Replaces a file in one step.
pub(super) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    write_file(&temporary, content)?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync)
}

/// Where the manifest of a kit goes.
pub(super) fn manifest_path(home: &Path, stem: &str) -> PathBuf {
    home.join(format!("{stem}{MANIFEST_SUFFIX}"))
}

/// Writes a kit and returns its manifest's path.
pub(super) fn write(home: &Path, stem: &str, bytes: &Bytes) -> io::Result<PathBuf> {
    make_home(home)?;
    let lock = open_lock(home)?;
    flock(&lock, FlockOperation::LockExclusive)?;
    finish_all(home)?;
    let staging = home.join(format!("{STAGING}{stem}"));
    remove(&staging)?;
    stage(&staging, bytes)?;
    let committed = home.join(format!("{COMMITTED}{stem}"));
    fs::rename(&staging, &committed)?;
    sync(home)?;
    finish(home, &committed, stem)?;
    Ok(manifest_path(home, stem))
}

/// Finishes what a killed writer has begun. Somebody who is writing just now finishes it by himself.
pub(super) fn recover(home: &Path) {
    let begun = fs::read_dir(home).is_ok_and(|entries| {
        let mut names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
        names.any(|name| name.as_encoded_bytes().starts_with(COMMITTED.as_bytes()))
    });
    if !begun {
        return;
    }
    let held =
        open_lock(home).and_then(|lock| Ok(flock(&lock, FlockOperation::NonBlockingLockExclusive).map(|()| lock)?));
    if let Err(error) = held.and_then(|_lock| finish_all(home)) {
        tracing::warn!(event = "kit.install", path = %home.display(), %error, "a kit waits for its installation to be finished");
    }
}

fn open_lock(home: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(home.join(LOCK))
}

fn stage(staging: &Path, bytes: &Bytes) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(staging)?;
    write_file(&staging.join(MANIFEST), &bytes.manifest)?;
    match &bytes.bundle {
        Some(bundle) => write_file(&staging.join(BUNDLE), bundle)?,
        None => write_file(&staging.join(NO_BUNDLE), &[])?,
    }
    if bytes.files.is_empty() {
        write_file(&staging.join(NO_FILES), &[])?;
    }
    for (path, content) in &bytes.files {
        let path = staging.join(FILES).join(path);
        let parent = path.parent().ok_or(ErrorKind::InvalidInput)?;
        make_home(parent)?;
        write_file(&path, content)?;
        sync(parent)?;
    }
    sync(staging)
}

fn finish_all(home: &Path) -> io::Result<()> {
    for entry in fs::read_dir(home)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(stem) = name.strip_prefix(COMMITTED) {
            finish(home, &home.join(name), stem)?;
        } else if name.starts_with(STAGING) && name != LOCK {
            remove(&home.join(name))?;
        }
    }
    Ok(())
}

/// Moves the files of a committed kit to their places. Each step may have been done before; the manifest is the last.
fn finish(home: &Path, committed: &Path, stem: &str) -> io::Result<()> {
    let manifest = manifest_path(home, stem);
    let files = files_dir(&manifest);
    if committed.join(NO_FILES).exists() {
        remove(&files)?;
    } else if committed.join(FILES).exists() {
        remove(&files)?;
        fs::rename(committed.join(FILES), &files)?;
    }
    let bundle = super::scan::bundle_path(&manifest);
    if committed.join(NO_BUNDLE).exists() {
        remove(&bundle)?;
    } else {
        rename_if_there(&committed.join(BUNDLE), &bundle)?;
    }
    rename_if_there(&committed.join(MANIFEST), &manifest)?;
    sync(home)?;
    remove(committed)
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    // An old file keeps its mode when it is opened.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.sync_all()
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
