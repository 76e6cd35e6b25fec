//! Writing the files of a commit.

use super::index::{Snapshot, Stat};
use super::items::{EXECUTABLE, Item, Listing, SYMLINK};
use super::scan::{Present, is_submodule};
use crate::WorkareaError;
use crate::git::GitEnvironment;
use crate::local;
use git2::build::CheckoutBuilder;
use git2::{Odb, Oid};
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Files that a thread takes at a time: neighbours share directories and packs.
const BATCH: usize = 64;

/// Writes what is missing of a commit.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    /// Root of the tree.
    pub(crate) root: &'a Path,
    /// Repository with the content.
    pub(crate) mirror: &'a Path,
    /// How repositories are opened.
    pub(crate) git: &'a GitEnvironment,
    /// What is to be there.
    pub(crate) listing: &'a Listing,
    /// Threads to use.
    pub(crate) threads: usize,
}

/// Why a file could not be written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// Its content could not be read.
    Git(git2::Error),
    /// The file system refused.
    Io(WorkareaError),
}

impl From<git2::Error> for WriteError {
    fn from(error: git2::Error) -> Self {
        Self::Git(error)
    }
}

/// The stat data of what one thread wrote, by place among the items.
type Share = Vec<(usize, Stat)>;

impl Writer<'_> {
    /// Writes every item that is not present.
    pub(crate) fn run(&self, present: &Present) -> Result<Snapshot, WriteError> {
        let items = &self.listing.items;
        let mut stats = present.stats(items.len());
        let missing: Vec<usize> = (0..items.len()).filter(|&number| stats[number].is_none()).collect();
        self.make_directories(&missing)?;
        for (number, stat) in self.shares(&missing)?.into_iter().flatten() {
            stats[number] = Some(stat);
        }
        let entries = items.iter().cloned().zip(stats.into_iter().map(Option::unwrap_or_default)).collect();
        Ok(Snapshot::new(entries))
    }

    /// Writes every item with the conversions that attributes and settings ask for, into a repository at the root.
    pub(crate) fn convert(&self, commit: Oid) -> Result<Snapshot, WriteError> {
        let repository = local::open_checkout(self.root, self.git)?;
        let tree = repository.find_commit(commit)?.tree()?;
        repository.checkout_tree(tree.as_object(), Some(CheckoutBuilder::new().force()))?;
        let stats = self.listing.items.iter().map(|item| {
            let path = self.path(&item.path);
            let stat = if is_submodule(item) { Ok(Stat::default()) } else { stat(&path) };
            stat.map(|stat| (item.clone(), stat)).map_err(|error| failed("look at", &path, error))
        });
        Ok(Snapshot::new(stats.collect::<Result<_, _>>()?))
    }

    fn make_directories(&self, missing: &[usize]) -> Result<(), WriteError> {
        let mut last: &[u8] = &[];
        for &number in missing {
            let item = &self.listing.items[number];
            let parent = if is_submodule(item) { &item.path } else { parent(&item.path) };
            if parent != last {
                let path = self.path(parent);
                std::fs::create_dir_all(&path).map_err(|error| failed("create", &path, error))?;
                last = parent;
            }
        }
        Ok(())
    }

    fn shares(&self, missing: &[usize]) -> Result<Vec<Share>, WriteError> {
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let done = Mutex::new(Vec::new());
        let work = || {
            let share = self.share(missing, &next, &failed);
            failed.fetch_or(share.is_err(), Ordering::Relaxed);
            done.lock().unwrap_or_else(PoisonError::into_inner).push(share);
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads.min(missing.len().div_ceil(BATCH)) {
                scope.spawn(work);
            }
            work();
        });
        done.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect()
    }

    fn share(&self, missing: &[usize], next: &AtomicUsize, failed: &AtomicBool) -> Result<Share, WriteError> {
        let repository = local::open_bare(self.mirror, self.git)?;
        let odb = repository.odb()?;
        let mut share = Share::default();
        while !failed.load(Ordering::Relaxed) {
            let begin = next.fetch_add(BATCH, Ordering::Relaxed);
            let Some(batch) = missing.get(begin..missing.len().min(begin + BATCH)).filter(|batch| !batch.is_empty())
            else {
                break;
            };
            for &number in batch {
                share.push((number, self.write(&odb, &self.listing.items[number])?));
            }
        }
        Ok(share)
    }

    fn write(&self, odb: &Odb<'_>, item: &Item) -> Result<Stat, WriteError> {
        if is_submodule(item) {
            return Ok(Stat::default());
        }
        let path = self.path(&item.path);
        let content = odb.read(item.id)?;
        write_one(&path, item.mode, content.data()).map_err(|error| failed("write", &path, error))
    }

    fn path(&self, name: &[u8]) -> PathBuf {
        if name.is_empty() { self.root.to_owned() } else { self.root.join(OsStr::from_bytes(name)) }
    }
}

/// Makes a file that is not there: nothing is overwritten, and no link is followed in its last component.
fn write_one(path: &Path, mode: u32, content: &[u8]) -> io::Result<Stat> {
    if mode == SYMLINK {
        std::os::unix::fs::symlink(OsStr::from_bytes(content), path)?;
        return stat(path);
    }
    let permissions = if mode == EXECUTABLE { 0o777 } else { 0o666 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(permissions).open(path)?;
    file.write_all(content)?;
    Ok(Stat::of(&file.metadata()?))
}

fn stat(path: &Path) -> io::Result<Stat> {
    Ok(Stat::of(&std::fs::symlink_metadata(path)?))
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').map_or(&[], |slash| &path[..slash])
}

fn failed(operation: &str, path: &Path, error: io::Error) -> WriteError {
    WriteError::Io(WorkareaError::io(operation, path, error))
}
