//! Files that hold the output of children: raw, appended to by the child itself, bounded in the middle.

mod gap;
mod reader;
mod tail;
mod text;

pub use reader::{OutputLog, Piece};
pub use tail::tail_lines;
pub use text::plain_line;

use rustix::fs::{FallocateFlags, OFlags, SeekFrom, fallocate, seek};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Holes begin and end on such a boundary: file systems free whole blocks only.
const BLOCK: u64 = 4096;

/// Opens a log for appending, made if need be, readable by its owner only. A symlink in its place is refused.
///
/// # Errors
/// When the file system refuses.
pub fn create(path: &Path) -> io::Result<File> {
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    OpenOptions::new().create(true).append(true).mode(0o600).custom_flags(no_follow).open(path)
}

/// Beginning of an oversized log that is kept, in bytes.
pub const HEAD: u64 = 1 << 20;

/// Frees the middle of a log that has grown beyond [`HEAD`] and `keep_tail` bytes, while its writer goes on.
///
/// The freed range reads as NUL bytes; at least the head and `keep_tail` last bytes are untouched. Where the file
/// system cannot free ranges the file becomes shorter: a line that says so stands for the range, and half of `keep_tail`
/// is kept, so that this is not done all the time. For an [`OutputLog`] all offsets stay what they are, either way.
/// Returns the range that is missing from the log now, or `None` when the log is small enough or nothing more could be
/// freed.
///
/// # Errors
/// When the file cannot be opened, is a symlink, or the file system fails.
pub fn bound(path: &Path, keep_tail: u64) -> io::Result<Option<Range<u64>>> {
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).write(true).custom_flags(no_follow).open(path)?;
    let end = file.metadata()?.len().saturating_sub(keep_tail) / BLOCK * BLOCK;
    if end <= HEAD || next_data(&file, HEAD, end)? >= end {
        return Ok(None);
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match fallocate(&file, flags, HEAD, end - HEAD) {
        Ok(()) => Ok(Some(HEAD..end)),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => gap::close_up(&file, keep_tail / 2).map(Some),
        Err(error) => Err(error.into()),
    }
}

/// The first position from `position` on that has data, at most `end`.
fn next_data(file: &File, position: u64, end: u64) -> io::Result<u64> {
    match seek(file, SeekFrom::Data(position)) {
        Ok(data) => Ok(data.min(end)),
        Err(Errno::NXIO) => Ok(end),
        // The file system knows of no holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(position),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn is_private_appends_and_follows_no_symlink() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output.log");
        create(&path).unwrap().write_all(b"one\n").unwrap();
        create(&path).unwrap().write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(create(&link).is_err());
    }

    #[test]
    fn frees_the_middle_and_keeps_both_ends_and_the_writer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output.log");
        let mut writer = create(&path).unwrap();
        let block = vec![b'x'; 1 << 20];
        writer.write_all(b"first\n").unwrap();
        (0..8).for_each(|_| writer.write_all(&block).unwrap());
        writer.write_all(b"\nlast\n").unwrap();
        writer.sync_all().unwrap();
        let size = path.metadata().unwrap().len();
        let Some(dropped) = bound(&path, 200_000).unwrap() else { return };
        assert!(dropped.start == HEAD && dropped.end <= size - 200_000);
        assert!(dropped.end - dropped.start > size - HEAD - 220_000);
        assert!(path.metadata().unwrap().blocks() * 512 < 2 << 20, "blocks were freed");
        assert_eq!(bound(&path, 200_000).unwrap(), None, "nothing more to free");
        writer.write_all(b"later\n").unwrap();
        let mut content = Vec::new();
        File::open(&path).unwrap().read_to_end(&mut content).unwrap();
        assert_eq!(content.len() as u64, size + 6);
        assert!(content.starts_with(b"first\nxxx") && content.ends_with(b"x\nlast\nlater\n"));
        let (from, to) = (usize::try_from(dropped.start).unwrap(), usize::try_from(dropped.end).unwrap());
        assert!(content[from..to].iter().all(|&byte| byte == 0));
        assert!(content[6..from].iter().chain(&content[to..to + 100_000]).all(|&byte| byte == b'x'));
    }

    #[test]
    fn a_small_log_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output.log");
        create(&path).unwrap().write_all(&[b'y'; 10_000]).unwrap();
        assert_eq!(bound(&path, 5_000).unwrap(), None);
        assert_eq!(bound(&path, u64::MAX).unwrap(), None);
        assert_eq!(std::fs::read(&path).unwrap(), [b'y'; 10_000]);
    }
}
