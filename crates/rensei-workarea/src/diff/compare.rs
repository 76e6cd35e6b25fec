//! One path on both sides.

use super::walk::Task;
use super::{Failure, Side};
use crate::tree::{Limits, TreeError, escaped, file_type, lossy, mode_text, open_file};
use rensei_proto::control::{DiffEntry, DiffStatus};
use rustix::fs::{AtFlags, FileType, RawMode, Stat, fstat, statat};
use rustix::io::{Errno, Result as Reading, pread, retry_on_intr};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// What is read at once.
const CHUNK: usize = 64 << 10;

/// Space for parts of two files.
#[derive(Debug)]
pub(super) struct Buffers {
    a: Vec<u8>,
    b: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { a: vec![0; CHUNK], b: vec![0; CHUNK] }
    }
}

/// What is at a path on one side.
struct Thing {
    side: Side,
    stat: Stat,
    /// Regular files only.
    file: Option<OwnedFd>,
    /// Links only.
    target: Vec<u8>,
}

/// What differs at a path, if something does.
pub(super) fn compare(
    task: &Task,
    buffers: &mut Buffers,
    cancelled: &AtomicBool,
) -> Result<Option<DiffEntry>, Failure> {
    if cancelled.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let place = &task.place;
    let (a, b) = (look(task, Side::A, place.a.as_ref(), task.a)?, look(task, Side::B, place.b.as_ref(), task.b)?);
    if let (Some(a), Some(b)) = (&a, &b)
        && equal(task, a, b, buffers, cancelled)?
    {
        return Ok(None);
    }
    let mut hash = |thing: &Option<Thing>| match thing {
        Some(thing) => hash(task, thing, &mut buffers.a, cancelled),
        None => Ok(String::new()),
    };
    let (hash_a, hash_b) = (hash(&a)?, hash(&b)?);
    let path = task.path();
    let mode = |thing: &Option<Thing>| thing.as_ref().map(Thing::mode).unwrap_or_default();
    let size = |thing: &Option<Thing>| thing.as_ref().map(Thing::size).unwrap_or_default();
    Ok(Some(DiffEntry {
        path_escaped: escaped(&path),
        path: lossy(&path),
        status: match (&a, &b) {
            (None, _) => DiffStatus::Added,
            (_, None) => DiffStatus::Removed,
            _ => DiffStatus::Modified,
        },
        size_a: size(&a),
        size_b: size(&b),
        mode_a: mode(&a),
        mode_b: mode(&b),
        hash_a,
        hash_b,
    }))
}

impl Thing {
    fn mode(&self) -> String {
        mode_text(self.stat.st_mode as RawMode)
    }

    fn size(&self) -> u64 {
        u64::try_from(self.stat.st_size).unwrap_or_default()
    }
}

/// Looks at one side; opens what is a regular file and nothing else.
fn look(
    task: &Task,
    side: Side,
    directory: Option<&OwnedFd>,
    kind: Option<FileType>,
) -> Result<Option<Thing>, Failure> {
    let (Some(directory), Some(kind)) = (directory, kind) else { return Ok(None) };
    let name = task.name.as_c_str();
    let found = match kind {
        FileType::RegularFile => open_file(directory.as_fd(), name).and_then(|file| {
            let stat = fstat(&file)?;
            Ok(Thing { side, stat, file: Some(file), target: Vec::new() })
        }),
        FileType::Symlink => rustix::fs::readlinkat(directory, name, Vec::new()).and_then(|target| {
            let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok(Thing { side, stat, file: None, target: target.into_bytes() })
        }),
        _ => statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| Thing {
            side,
            stat,
            file: None,
            target: Vec::new(),
        }),
    };
    let found = found.and_then(|thing| if file_type(&thing.stat) == kind { Ok(thing) } else { Err(Errno::STALE) });
    found.map(Some).map_err(|error| failure(task, side, "look at", error))
}

fn equal(task: &Task, a: &Thing, b: &Thing, buffers: &mut Buffers, cancelled: &AtomicBool) -> Result<bool, Failure> {
    if a.stat.st_mode != b.stat.st_mode {
        return Ok(false);
    }
    match file_type(&a.stat) {
        FileType::Directory => Ok(true),
        FileType::Symlink => Ok(a.target == b.target),
        FileType::RegularFile if a.stat.st_size != b.stat.st_size => Ok(false),
        FileType::RegularFile if (a.stat.st_dev, a.stat.st_ino) == (b.stat.st_dev, b.stat.st_ino) => Ok(true),
        FileType::RegularFile => same_content(task, a, b, buffers, cancelled),
        FileType::CharacterDevice | FileType::BlockDevice => Ok(a.stat.st_rdev == b.stat.st_rdev),
        FileType::Fifo | FileType::Socket | FileType::Unknown => Ok(true),
    }
}

/// Compares bytes: cheaper than two hashes, and most files of two archives are equal.
fn same_content(
    task: &Task,
    a: &Thing,
    b: &Thing,
    buffers: &mut Buffers,
    cancelled: &AtomicBool,
) -> Result<bool, Failure> {
    let (Some(file_a), Some(file_b)) = (&a.file, &b.file) else { return Ok(false) };
    check_size(a)?;
    let (size, mut at) = (a.size(), 0);
    while at < size && !cancelled.load(Ordering::Relaxed) {
        let from_a = fill(file_a, at, &mut buffers.a).map_err(|error| failure(task, Side::A, "read", error))?;
        let from_b = fill(file_b, at, &mut buffers.b).map_err(|error| failure(task, Side::B, "read", error))?;
        if buffers.a[..from_a] != buffers.b[..from_b] {
            return Ok(false);
        }
        if from_a == 0 {
            break;
        }
        at += from_a as u64;
    }
    Ok(true)
}

/// Lower-case SHA-256 of a regular file; nothing for what is none.
fn hash(task: &Task, thing: &Thing, buffer: &mut [u8], cancelled: &AtomicBool) -> Result<String, Failure> {
    let Some(file) = &thing.file else { return Ok(String::new()) };
    check_size(thing)?;
    let (mut hasher, mut at) = (Sha256::new(), 0);
    while !cancelled.load(Ordering::Relaxed) {
        let read = fill(file, at, buffer).map_err(|error| failure(task, thing.side, "read", error))?;
        hasher.update(&buffer[..read]);
        at += read as u64;
        if read < buffer.len() {
            break;
        }
    }
    let mut text = String::with_capacity(64);
    for byte in hasher.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// Reads as much as there is, up to the size of the buffer. A short read is the end.
fn fill(file: &OwnedFd, at: u64, buffer: &mut [u8]) -> Reading<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let read = retry_on_intr(|| pread(file, &mut buffer[filled..], at + filled as u64))?;
        filled += read;
        // Regular files are read whole or to their end.
        if read == 0 || filled < buffer.len() {
            break;
        }
    }
    Ok(filled)
}

/// A hole of terabytes is not read.
fn check_size(thing: &Thing) -> Result<(), Failure> {
    let limit = Limits::USUAL.bytes;
    if thing.size() > limit {
        return Err(Failure { side: thing.side, error: TreeError::TooLarge { limit } });
    }
    Ok(())
}

fn failure(task: &Task, side: Side, operation: &'static str, error: Errno) -> Failure {
    Failure { side, error: TreeError::io(operation, &task.path(), error) }
}
