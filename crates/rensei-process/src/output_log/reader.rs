//! A log that is read while it grows and loses its middle.

use super::gap::Gap;
use super::next_data;
use crate::open_child_file;
use rustix::fs::{SeekFrom, seek};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Most bytes looked at for the start of the last lines.
const TAIL_SCAN: u64 = 16 * 1024 * 1024;

/// A log that may still grow. Offsets are those of the output: they stay what they are when [`super::bound`] drops some.
#[derive(Debug)]
pub struct OutputLog(File);

/// What is at an offset.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Output; nothing only at the end.
    Data(Vec<u8>),
    /// Nothing: the log was too large, and what was there up to `until` was dropped.
    Hole {
        /// Where there is output again, or the end.
        until: u64,
    },
}

impl OutputLog {
    /// Opens a log. What a worker put in its place, a symlink or a pipe, is refused.
    ///
    /// # Errors
    /// When there is no regular file of that name, or the system refuses.
    pub fn open(path: &Path) -> io::Result<Self> {
        open_child_file(path).map(Self)
    }

    /// Bytes of output so far, with those that were dropped.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn size(&self) -> io::Result<u64> {
        let (gap, _still) = Gap::of(&self.0)?;
        Ok(gap.in_output(self.0.metadata()?.len()))
    }

    /// What is at `offset`, not more than `most` bytes of it.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn read(&self, offset: u64, most: usize) -> io::Result<Piece> {
        let (gap, _still) = Gap::of(&self.0)?;
        if gap.range().contains(&offset) {
            return Ok(Piece::Hole { until: gap.range().end });
        }
        let (position, size) = (gap.in_file(offset), self.0.metadata()?.len());
        let data = if position < size { next_data(&self.0, position, size)? } else { position };
        if data > position {
            return Ok(Piece::Hole { until: gap.in_output(data) });
        }
        let mut buffer = vec![0; most];
        let length = self.0.read_at(&mut buffer, position)?;
        buffer.truncate(length);
        // Stop before a hole, and before a gap, so that they are told and not sent.
        let hole = seek(&self.0, SeekFrom::Hole(position)).unwrap_or(u64::MAX);
        let gap_start = if gap.range().is_empty() || offset > gap.range().start { u64::MAX } else { gap.range().start };
        buffer.truncate(usize::try_from(hole.min(gap_start).saturating_sub(position)).unwrap_or(usize::MAX).max(1));
        Ok(Piece::Data(buffer))
    }

    /// Where the last `lines` lines begin; not more than 16 MiB before the end.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn start_of_last(&self, lines: usize) -> io::Result<u64> {
        let (gap, _still) = Gap::of(&self.0)?;
        Ok(gap.in_output(start_of_last(&self.0, lines, self.0.metadata()?.len())?))
    }
}

fn start_of_last(file: &File, lines: usize, size: u64) -> io::Result<u64> {
    if lines == 0 {
        return Ok(size);
    }
    let mut missing = lines;
    let mut end = size;
    let mut block = vec![0; 64 * 1024];
    while end > 0 && size - end < TAIL_SCAN {
        let start = end.saturating_sub(block.len() as u64);
        let block = &mut block[..usize::try_from(end - start).unwrap_or(0)];
        file.read_exact_at(block, start)?;
        for (index, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = start + index as u64 + 1;
            // The line break at the very end closes the last line; it does not begin another.
            if after == size {
                continue;
            }
            missing -= 1;
            if missing == 0 {
                return Ok(after);
            }
        }
        end = start;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn log(content: &[u8]) -> (tempfile::TempDir, OutputLog) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output.log");
        std::fs::write(&path, content).unwrap();
        let log = OutputLog::open(&path).unwrap();
        (dir, log)
    }

    #[test]
    fn last_lines() {
        for (content, lines, start) in [
            ("", 3, 0),
            ("one", 1, 0),
            ("one\n", 1, 0),
            ("one\ntwo", 1, 4),
            ("one\ntwo\n", 1, 4),
            ("one\ntwo\n", 2, 0),
            ("one\ntwo\n", 9, 0),
            ("one\ntwo\n", 0, 8),
            ("a\n\n\nb\n", 2, 3),
            ("\n\n", 1, 1),
        ] {
            let (_dir, log) = log(content.as_bytes());
            assert_eq!(log.start_of_last(lines).unwrap(), start, "{content:?} {lines}");
        }
    }

    #[test]
    fn last_lines_across_blocks_and_without_any_break() {
        let content = format!("first\n{}\nlast\n", "x".repeat(200_000));
        let (_dir, long) = log(content.as_bytes());
        assert_eq!(long.start_of_last(2).unwrap(), 6);
        let endless = vec![b'x'; usize::try_from(TAIL_SCAN).unwrap() + 1_000_000];
        let (_dir, endless_log) = log(&endless);
        let size = endless.len() as u64;
        assert_eq!(endless_log.start_of_last(1).unwrap(), size - TAIL_SCAN);
    }

    #[test]
    fn a_freed_middle_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output.log");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"head").unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"tail", 1 << 20).unwrap();
        let log = OutputLog::open(&path).unwrap();
        let end = log.size().unwrap();
        let mut position = 0;
        let mut seen = Vec::new();
        while position < end {
            match log.read(position, 1 << 20).unwrap() {
                Piece::Data(bytes) => {
                    position += bytes.len() as u64;
                    seen.extend_from_slice(&bytes);
                }
                Piece::Hole { until } => {
                    assert!(until > position && until <= 1 << 20);
                    position = until;
                    seen.extend_from_slice(b"|");
                }
            }
        }
        let text: String = seen.iter().filter(|&&byte| byte != 0).map(|&byte| char::from(byte)).collect();
        assert_eq!(text, "head|tail");
        assert!(seen.len() < 100_000, "the hole was not sent as NUL bytes");
    }

    #[test]
    fn only_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("output.log");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(OutputLog::open(&link).is_err());
        assert!(OutputLog::open(dir.path()).is_err());
    }
}
