//! What of a used tree can stay.

use super::index::{Snapshot, Stat};
use super::items::{GITLINK, Item};
use super::keep::Keep;
use crate::scratch;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{DirEntry, Metadata, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Directories that are looked for before the work is shared out.
const ENOUGH_TO_SHARE: usize = 32;

/// A tree on the disk and what it is meant to become.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    /// Root of the tree.
    pub(crate) root: &'a Path,
    /// Files of the commit, sorted.
    pub(crate) items: &'a [Item],
    /// Directories of the commit.
    pub(crate) directories: &'a HashSet<Vec<u8>>,
    /// The tree as it was handed out.
    pub(crate) before: &'a Snapshot,
    /// What else stays.
    pub(crate) keep: &'a Keep,
    /// Whether what stays is gone through as well: its size, and what is cleaned in it.
    pub(crate) thorough: bool,
    /// Threads to use.
    pub(crate) threads: usize,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Present {
    /// Files that are as they are meant to be, by their place among the items.
    pub(crate) items: Vec<(usize, Stat)>,
    /// Disk that files take which have stayed.
    pub(crate) bytes: u64,
}

/// A place among the items, and the stat data of an untouched file with the wanted content.
type Wanted<'a> = HashMap<&'a [u8], (usize, Option<Stat>)>;

impl Scan<'_> {
    /// Deletes everything that is not wanted as it is, including whatever is called `.git` at the root.
    pub(crate) fn run(&self) -> io::Result<Present> {
        scratch::remove_any(&self.root.join(".git"))?;
        let walk = Walk { scan: self, wanted: self.wanted(), mode: directory_mode(self.root)? };
        let mut present = Present::default();
        let mut queue = vec![Vec::new()];
        let mut next = 0;
        while next < queue.len() && queue.len() - next < ENOUGH_TO_SHARE {
            let directory = std::mem::take(&mut queue[next]);
            next += 1;
            walk.visit(&directory, &mut present, &mut queue)?;
        }
        let shared = queue.split_off(next);
        walk.share(&shared, present)
    }

    fn wanted(&self) -> Wanted<'_> {
        let mut known = self.before.entries().iter().peekable();
        let mut wanted = HashMap::with_capacity(self.items.len());
        for (number, item) in self.items.iter().enumerate() {
            // Both are sorted.
            while known.next_if(|(before, _)| before.path < item.path).is_some() {}
            let stat = known.peek().filter(|(before, _)| before == item).map(|(_, stat)| *stat);
            wanted.insert(item.path.as_slice(), (number, stat.filter(|stat| *stat != Stat::default())));
        }
        wanted
    }
}

/// Mode that a new directory gets here.
fn directory_mode(root: &Path) -> io::Result<u32> {
    let probe = root.join(".git");
    std::fs::create_dir(&probe)?;
    let mode = std::fs::symlink_metadata(&probe)?.mode();
    std::fs::remove_dir(&probe)?;
    Ok(mode & 0o7777)
}

struct Walk<'a> {
    scan: &'a Scan<'a>,
    wanted: Wanted<'a>,
    mode: u32,
}

impl Walk<'_> {
    fn share(&self, directories: &[Vec<u8>], mut all: Present) -> io::Result<Present> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::new());
        let work = || {
            let result = self.work(directories, &next);
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(result);
        };
        std::thread::scope(|scope| {
            for _ in 1..self.scan.threads.min(directories.len()) {
                scope.spawn(work);
            }
            work();
        });
        for part in done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
            let part = part?;
            all.items.extend(part.items);
            all.bytes += part.bytes;
        }
        Ok(all)
    }

    fn work(&self, directories: &[Vec<u8>], next: &AtomicUsize) -> io::Result<Present> {
        let mut present = Present::default();
        while let Some(directory) = directories.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut pending = vec![directory.clone()];
            while let Some(directory) = pending.pop() {
                self.visit(&directory, &mut present, &mut pending)?;
            }
        }
        Ok(present)
    }

    fn visit(&self, directory: &[u8], present: &mut Present, below: &mut Vec<Vec<u8>>) -> io::Result<()> {
        let path = self.path(directory);
        for entry in self.entries(&path)? {
            let entry = entry?;
            let mut name = directory.to_vec();
            if !name.is_empty() {
                name.push(b'/');
            }
            name.extend_from_slice(entry.file_name().as_bytes());
            if entry.file_type()?.is_dir() {
                self.directory(&entry, name, present, below)?;
            } else {
                self.file(&entry, &name, present)?;
            }
        }
        Ok(())
    }

    /// Opens a directory, which gets the mode back that it was made with.
    fn entries(&self, path: &Path) -> io::Result<std::fs::ReadDir> {
        let metadata = std::fs::symlink_metadata(path)?;
        if !metadata.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if metadata.mode() & 0o7777 != self.mode {
            std::fs::set_permissions(path, Permissions::from_mode(self.mode))?;
        }
        std::fs::read_dir(path)
    }

    fn directory(
        &self,
        entry: &DirEntry,
        name: Vec<u8>,
        present: &mut Present,
        below: &mut Vec<Vec<u8>>,
    ) -> io::Result<()> {
        if self.scan.directories.contains(&name) {
            below.push(name);
            return Ok(());
        }
        if self.scan.keep.keeps(&name) && !self.wanted.contains_key(name.as_slice()) {
            return if self.scan.thorough { self.kept(name, present) } else { Ok(()) };
        }
        scratch::remove_tree(&entry.path())
    }

    fn file(&self, entry: &DirEntry, name: &[u8], present: &mut Present) -> io::Result<()> {
        match self.wanted.get(name) {
            Some((number, Some(stat))) => {
                let metadata = entry.metadata()?;
                if Stat::of(&metadata) == *stat {
                    present.bytes += disk(&metadata);
                    present.items.push((*number, *stat));
                    return Ok(());
                }
            }
            Some((_, None)) => {}
            None if self.scan.keep.keeps(name) => {
                present.bytes += disk(&entry.metadata()?);
                return Ok(());
            }
            None => {}
        }
        scratch::remove_any(&entry.path())
    }

    /// Goes through what stays because of its name: measures it and takes out what goes in spite of that.
    fn kept(&self, name: Vec<u8>, present: &mut Present) -> io::Result<()> {
        let mut pending = vec![name];
        while let Some(directory) = pending.pop() {
            for entry in std::fs::read_dir(self.path(&directory))? {
                let entry = entry?;
                let name = [&directory, b"/".as_slice(), entry.file_name().as_bytes()].concat();
                if self.scan.keep.cleans(&name) {
                    scratch::remove_any(&entry.path())?;
                } else if entry.file_type()?.is_dir() {
                    pending.push(name);
                } else {
                    present.bytes += disk(&entry.metadata()?);
                }
            }
        }
        Ok(())
    }

    fn path(&self, name: &[u8]) -> PathBuf {
        if name.is_empty() { self.scan.root.to_owned() } else { self.scan.root.join(OsStr::from_bytes(name)) }
    }
}

fn disk(metadata: &Metadata) -> u64 {
    metadata.blocks() * 512
}

impl Present {
    /// The stat data of every item, none for those that must be written.
    pub(crate) fn stats(&self, count: usize) -> Vec<Option<Stat>> {
        let mut stats = vec![None; count];
        for (number, stat) in &self.items {
            stats[*number] = Some(*stat);
        }
        stats
    }
}

/// Whether an item is a directory on the disk although it is none in the commit.
pub(super) const fn is_submodule(item: &Item) -> bool {
    item.mode == GITLINK
}
