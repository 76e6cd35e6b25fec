//! What tests of archives share.

use jiff::Timestamp;
use rensei_proto::control::{RestoreRequest, WorkareaDetail};
use rensei_workarea::{ArchiveError, ArchiveMetadata, Archives, RestoreContext};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A place for archives, and a directory to archive.
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) root: PathBuf,
    pub(crate) archives: Archives,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let dir = scratch();
        let root = dir.path().join("workareas");
        fs::create_dir_all(dir.path().join("source")).unwrap();
        fs::create_dir_all(&root).unwrap();
        Self { archives: Archives::new(&root), root, dir }
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    /// What a half-made archive or restore would leave behind.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        leftovers(&self.root)
    }
}

/// In memory where there is such a place: an archive is flushed to disk, with everything that others write there.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_none| tempfile::tempdir()).unwrap()
}

pub(crate) fn leftovers(root: &Path) -> Vec<PathBuf> {
    let restored = root.with_file_name("workareas-restored");
    let entries = [root.to_owned(), restored].into_iter().flat_map(|dir| fs::read_dir(dir).into_iter().flatten());
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.file_name().unwrap().as_bytes()[0] == b'.').collect()
}

/// A whole number of hours after 2026-01-02T03:04:05Z.
pub(crate) fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(1_767_323_045 + hours * 3600).unwrap()
}

pub(crate) fn metadata(session: &str) -> ArchiveMetadata {
    ArchiveMetadata {
        session_id: session.to_owned(),
        repository: "/r".to_owned(),
        branch: format!("agent/{session}"),
        disposition: "failed".to_owned(),
        created_at: at(0),
        ..ArchiveMetadata::default()
    }
}

pub(crate) fn restore(archives: &Archives, id: &str) -> Result<WorkareaDetail, ArchiveError> {
    restore_into(archives, id, &RestoreRequest::default())
}

pub(crate) fn restore_into(
    archives: &Archives,
    id: &str,
    request: &RestoreRequest,
) -> Result<WorkareaDetail, ArchiveError> {
    let context = RestoreContext { saturated: &|| None, is_live: &|_| false, now: at(0) };
    archives.restore(id, request, &context)
}

/// Everything below a directory: mode, size, time, and the content or target.
pub(crate) fn snapshot(dir: &Path) -> BTreeMap<PathBuf, (u32, u64, i64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let stat = fs::symlink_metadata(&path).unwrap();
            let content = if stat.is_dir() {
                pending.push(path.clone());
                Vec::new()
            } else if stat.is_symlink() {
                fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
            } else if stat.is_file() {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            found.insert(path, (stat.mode(), stat.size(), stat.mtime(), content));
        }
    }
    found
}
