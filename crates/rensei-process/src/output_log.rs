//! Files that hold the output of children: raw, appended to by the child itself, bounded in the middle.

mod tail;
mod text;

pub use tail::tail_lines;
pub use text::plain_line;

use rustix::fs::{FallocateFlags, OFlags, SeekFrom, fallocate, seek};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
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

/// Takes the place of what is dropped where the file system cannot free ranges.
const CUT: &[u8] = b"\n[... output was dropped here ...]\n";

/// Frees the middle of a log that has grown beyond `keep_head + keep_tail` bytes, while its writer goes on.
///
/// The file keeps its length and all offsets; the freed range reads as NUL bytes. At least `keep_head` first and
/// `keep_tail` last bytes are untouched. Returns the range that is missing from the log now, or `None` when the log is
/// small enough or nothing more could be freed.
///
/// Where the file system cannot free ranges the file becomes shorter: a line that says so stands for the range, and half
/// of `keep_tail` is kept, so that this is not done all the time.
///
/// # Errors
/// When the file cannot be opened, is a symlink, or the file system fails.
pub fn bound(path: &Path, keep_head: u64, keep_tail: u64) -> io::Result<Option<Range<u64>>> {
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).write(true).custom_flags(no_follow).open(path)?;
    let start = keep_head.div_ceil(BLOCK).saturating_mul(BLOCK);
    let size = file.metadata()?.len();
    let end = size.saturating_sub(keep_tail) / BLOCK * BLOCK;
    if end <= start || !has_data(&file, start..end)? {
        return Ok(None);
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match fallocate(&file, flags, start, end - start) {
        Ok(()) => Ok(Some(start..end)),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let dropped = start..size - keep_tail / 2;
            close_up(&file, &dropped)?;
            Ok(Some(dropped))
        }
        Err(error) => Err(error.into()),
    }
}

/// Moves what follows the range to its beginning, and cuts off what is twice there then. Whatever is appended between the
/// last look and the cut is lost. A writer that is always faster does not keep this going.
fn close_up(file: &File, range: &Range<u64>) -> io::Result<()> {
    let last = file.metadata()?.len().saturating_mul(2);
    let (mut from, mut to) = (range.end, range.start + CUT.len() as u64);
    file.write_all_at(CUT, range.start)?;
    let mut piece = vec![0; 64 << 10];
    while from < last {
        let count = file.read_at(&mut piece, from)?;
        if count == 0 {
            break;
        }
        file.write_all_at(&piece[..count], to)?;
        (from, to) = (from + count as u64, to + count as u64);
    }
    file.set_len(to)
}

/// Whether the range is more than a hole already.
fn has_data(file: &File, range: Range<u64>) -> io::Result<bool> {
    match seek(file, SeekFrom::Data(range.start)) {
        Ok(data) => Ok(data < range.end),
        Err(Errno::NXIO) => Ok(false),
        Err(Errno::INVAL) => Ok(true),
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
        let Some(dropped) = bound(&path, 100_000, 200_000).unwrap() else { return };
        assert!(dropped.start >= 100_000 && dropped.end <= size - 200_000);
        assert!(dropped.end - dropped.start > size - 320_000);
        assert!(path.metadata().unwrap().blocks() * 512 < 1 << 20, "blocks were freed");
        assert_eq!(bound(&path, 100_000, 200_000).unwrap(), None, "nothing more to free");
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
        assert_eq!(bound(&path, 5_000, 5_000).unwrap(), None);
        assert_eq!(bound(&path, u64::MAX, u64::MAX).unwrap(), None);
        assert_eq!(std::fs::read(&path).unwrap(), [b'y'; 10_000]);
    }
}
