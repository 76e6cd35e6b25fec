//! Copies of whole trees.

use super::beneath::{Listed, Tree, list, open_file};
use super::content::Contents;
use super::error::{TreeError, is_changed, is_denied};
use super::names::{escaped, join, lossy};
use super::queue::Queue;
use super::step::Step;
use rensei_proto::control::ExcludedEntry;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawMode, Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Files that travel between threads together.
const CHUNK: usize = 64;
/// How many of the things that were left out are named.
const NAMED: usize = 1000;
/// Bytes of their names together: an archive must be able to read its own manifest.
const NAMED_BYTES: usize = 1 << 20;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What a copy is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CopyRules {
    /// Modes are kept bit by bit; otherwise directories get 0750, and files keep what is not set-id as far as the
    /// umask goes.
    pub(crate) exact_modes: bool,
    /// What is unreadable is left out, what vanishes is passed over; otherwise both are errors.
    pub(crate) tolerant: bool,
    /// Most that is copied.
    pub(crate) limits: Limits,
}

/// Bounds of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Files, directories and links.
    pub(crate) entries: u64,
    /// Bytes on disk.
    pub(crate) bytes: u64,
    /// Directories in each other. Whatever is done with a tree takes a time that grows with the square of this.
    pub(crate) depth: usize,
}

impl Limits {
    /// More than any tree that somebody works in, less than what fills every disk.
    pub(crate) const USUAL: Self = Self { entries: 4_000_000, bytes: 256 << 30, depth: 1024 };
}

/// How far a copy has come; others may look.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) entries: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

/// What was copied.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Files, directories and links.
    pub(crate) entries: u64,
    /// Sizes of regular files, added up.
    pub(crate) size: u64,
    /// What was left out; the first thousand of it.
    pub(crate) excluded: Vec<ExcludedEntry>,
    /// How much was left out.
    pub(crate) excluded_count: u64,
}

/// Copies everything below `source` into the empty directory `target`.
pub(crate) fn copy(source: &Tree, target: &Tree, rules: CopyRules, progress: &Progress) -> Result<Copied, TreeError> {
    let copier = Copier {
        source,
        target,
        rules,
        progress,
        contents: Contents::default(),
        queue: Queue::new(),
        size: AtomicU64::new(0),
        noted: Mutex::default(),
    };
    copier.queue.push(Job::Directory { step: Arc::default(), mode: None });
    copier.queue.drain(|job| copier.run(job))?;
    copier.finish()
}

struct Copier<'a> {
    source: &'a Tree,
    target: &'a Tree,
    rules: CopyRules,
    progress: &'a Progress,
    contents: Contents,
    queue: Queue<Job, TreeError>,
    size: AtomicU64,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    excluded: Vec<ExcludedEntry>,
    excluded_bytes: usize,
    excluded_count: u64,
    /// Directories that get their mode when nothing is written into them any more.
    modes: Vec<(Arc<Step>, Mode)>,
}

enum Job {
    /// Of the mode that it shall have, if it is to get one.
    Directory { step: Arc<Step>, mode: Option<Mode> },
    /// Things of a directory that are no directories.
    Files { place: Arc<Place>, entries: Vec<Listed> },
}

/// A directory on both sides.
struct Place {
    step: Arc<Step>,
    path: Vec<u8>,
    from: OwnedFd,
    to: OwnedFd,
}

impl Copier<'_> {
    fn run(&self, job: Job) -> Result<(), TreeError> {
        match job {
            Job::Directory { step, mode } => self.directory(step, mode),
            Job::Files { place, entries } => self.files(&place, &entries),
        }
    }

    fn directory(&self, step: Arc<Step>, mode: Option<Mode>) -> Result<(), TreeError> {
        let path = step.path();
        let from = match self.source.directory(&path) {
            Ok(from) => from,
            // The root itself must be there.
            Err(error) if !path.is_empty() => return self.unreadable("open", &path, error),
            Err(error) => return Err(TreeError::io("open", &path, error)),
        };
        let to = self.target.directory(&path).map_err(|error| TreeError::io("open the copy of", &path, error))?;
        if let Some(mode) = mode {
            self.noted().modes.push((Arc::clone(&step), mode));
        }
        let place = Arc::new(Place { step, path, from, to });
        let mut chunk = Vec::new();
        let listing = list(place.from.as_fd()).map_err(|error| TreeError::io("list", &place.path, error))?;
        for entry in listing {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.unreadable("list", &place.path, error)?;
                    continue;
                }
            };
            if entry.kind == FileType::Directory {
                self.enter(&place, &entry.name)?;
                continue;
            }
            chunk.push(entry);
            if chunk.len() >= CHUNK {
                self.hand_over(&place, std::mem::take(&mut chunk))?;
            }
        }
        self.files(&place, &chunk)
    }

    /// Gives files to another thread when there is one without work.
    fn hand_over(&self, place: &Arc<Place>, entries: Vec<Listed>) -> Result<(), TreeError> {
        if self.queue.is_short() {
            self.queue.push(Job::Files { place: Arc::clone(place), entries });
            return Ok(());
        }
        self.files(place, &entries)
    }

    fn enter(&self, place: &Place, name: &CStr) -> Result<(), TreeError> {
        let path = join(&place.path, name.to_bytes());
        let (depth, limit) = (place.step.depth() + 1, self.rules.limits.depth);
        if depth > limit {
            if self.rules.tolerant {
                self.exclude(&path, "too-deep");
                return Ok(());
            }
            return Err(TreeError::too_deep(limit, &path));
        }
        let (mode, wanted) = if self.rules.exact_modes {
            let stat = match rustix::fs::statat(&place.from, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(error) => return self.unreadable("look at", &path, error),
            };
            (Mode::RWXU, Some(permissions(&stat)))
        } else {
            (Mode::RWXU | Mode::RGRP | Mode::XGRP, None)
        };
        rustix::fs::mkdirat(&place.to, name, mode).map_err(|error| TreeError::io("create", &path, error))?;
        self.count(0)?;
        self.queue.push(Job::Directory { step: Step::below(&place.step, name), mode: wanted });
        Ok(())
    }

    fn files(&self, place: &Place, entries: &[Listed]) -> Result<(), TreeError> {
        entries.iter().try_for_each(|entry| match entry.kind {
            FileType::RegularFile => self.file(place, &entry.name),
            FileType::Symlink => self.link(place, &entry.name),
            other => {
                self.exclude(&join(&place.path, entry.name.to_bytes()), special(other));
                Ok(())
            }
        })
    }

    fn link(&self, place: &Place, name: &CStr) -> Result<(), TreeError> {
        let path = || join(&place.path, name.to_bytes());
        match rustix::fs::readlinkat(&place.from, name, Vec::new()) {
            Ok(target) => rustix::fs::symlinkat(target, &place.to, name)
                .map_err(|error| TreeError::io("create the link", &path(), error))?,
            Err(error) => return self.unreadable("read the link", &path(), error),
        }
        self.count(0)
    }

    fn file(&self, place: &Place, name: &CStr) -> Result<(), TreeError> {
        let path = || join(&place.path, name.to_bytes());
        let from = match open_file(place.from.as_fd(), name) {
            Ok(from) => from,
            Err(error) => return self.unreadable("open", &path(), error),
        };
        let stat = rustix::fs::fstat(&from).map_err(|error| TreeError::io("look at", &path(), error))?;
        let kind = super::file_type(&stat);
        if kind != FileType::RegularFile {
            self.exclude(&path(), special(kind));
            return Ok(());
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = permissions(&stat) & (Mode::RWXU | Mode::RWXG | Mode::RWXO);
        let to = rustix::fs::openat(&place.to, name, flags, mode)
            .map_err(|error| TreeError::io("create", &path(), error))?;
        // Before the content: a file that is larger than all that may be copied is not begun.
        self.count(on_disk(&stat))?;
        let copied = BUFFER.with_borrow_mut(|buffer| self.contents.copy(from.as_fd(), to.as_fd(), &stat, buffer));
        let copied = copied.map_err(|error| TreeError::io("copy", &path(), error))?;
        self.size.fetch_add(copied, Ordering::Relaxed);
        self.seal(to.as_fd(), &stat).map_err(|error| TreeError::io("finish", &path(), error))
    }

    /// Mode and time, after the content: writing changes both.
    fn seal(&self, to: BorrowedFd<'_>, stat: &Stat) -> Result<(), Errno> {
        if self.rules.exact_modes {
            rustix::fs::fchmod(to, permissions(stat))?;
        }
        let omitted = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let modified = Timespec { tv_sec: stat.st_mtime as _, tv_nsec: stat.st_mtime_nsec as _ };
        rustix::fs::futimens(to, &Timestamps { last_access: omitted, last_modification: modified })
    }

    /// Directories get their modes from the inside out, so that none of them locks us out.
    fn finish(self) -> Result<Copied, TreeError> {
        let mut noted = self.noted.into_inner().unwrap_or_else(PoisonError::into_inner);
        noted.modes.sort_unstable_by_key(|(step, _)| Reverse(step.depth()));
        for (step, mode) in &noted.modes {
            let path = step.path();
            let directory = self.target.directory(&path);
            directory
                .and_then(|directory| rustix::fs::fchmod(directory, *mode))
                .map_err(|error| TreeError::io("set the mode of", &path, error))?;
        }
        noted.excluded.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(Copied {
            entries: self.progress.entries.load(Ordering::Relaxed),
            size: self.size.into_inner(),
            excluded: noted.excluded,
            excluded_count: noted.excluded_count,
        })
    }

    fn count(&self, bytes: u64) -> Result<(), TreeError> {
        let limits = self.rules.limits;
        if self.progress.entries.fetch_add(1, Ordering::Relaxed) >= limits.entries {
            return Err(TreeError::TooMany { limit: limits.entries });
        }
        if self.progress.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > limits.bytes {
            return Err(TreeError::TooLarge { limit: limits.bytes });
        }
        Ok(())
    }

    /// What a tolerant copy does without.
    fn unreadable(&self, operation: &'static str, path: &[u8], error: Errno) -> Result<(), TreeError> {
        if self.rules.tolerant && is_denied(error) {
            self.exclude(path, "unreadable");
            return Ok(());
        }
        if self.rules.tolerant && is_changed(error) {
            return Ok(());
        }
        Err(TreeError::io(operation, path, error))
    }

    fn exclude(&self, path: &[u8], kind: &str) {
        let mut noted = self.noted();
        noted.excluded_count += 1;
        noted.excluded_bytes = noted.excluded_bytes.saturating_add(path.len());
        if noted.excluded.len() < NAMED && noted.excluded_bytes <= NAMED_BYTES {
            let path = escaped(path).unwrap_or_else(|| lossy(path));
            noted.excluded.push(ExcludedEntry { path, kind: kind.to_owned() });
        }
    }

    fn noted(&self) -> std::sync::MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn special(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::BlockDevice | FileType::CharacterDevice => "device",
        FileType::RegularFile | FileType::Directory | FileType::Symlink | FileType::Unknown => "changed",
    }
}

fn permissions(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode as RawMode)
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

/// What a file takes on disk; a hole takes nothing.
fn on_disk(stat: &Stat) -> u64 {
    size(stat).min(u64::try_from(stat.st_blocks).unwrap_or_default().saturating_mul(512))
}
