//! A session's log, read without blocking the runtime.

use axum::body::Bytes;
use rustix::fs::{OFlags, SeekFrom, seek};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

/// Most bytes read at once.
const PIECE: u64 = 256 * 1024;
/// Most bytes looked at for the start of the last lines.
const TAIL_SCAN: u64 = 16 * 1024 * 1024;

/// A log that may still grow. Its middle may have been freed; see [`Piece::Hole`].
#[derive(Debug, Clone)]
pub(super) struct LogFile(Arc<File>);

/// What is at a position.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// At least one byte.
    Data(Bytes),
    /// Nothing: the log was too large, and the bytes up to `until` were freed.
    Hole { until: u64 },
}

impl LogFile {
    /// Opens the log. What the agent put in its place, a symlink or a pipe, is refused.
    pub(super) async fn open(path: PathBuf) -> io::Result<Self> {
        blocking(move || {
            let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
            let file = OpenOptions::new().read(true).custom_flags(flags).open(&path)?;
            if file.metadata()?.is_file() { Ok(Self(Arc::new(file))) } else { Err(io::Error::other("not a file")) }
        })
        .await
    }

    /// Bytes in the log now.
    pub(super) fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    /// What is at `position`, up to `end`.
    pub(super) async fn read(&self, position: u64, end: u64) -> io::Result<Piece> {
        let file = Arc::clone(&self.0);
        blocking(move || read(&file, position, end)).await
    }

    /// Where the last `lines` lines of the first `size` bytes begin; not more than [`TAIL_SCAN`] before the end.
    pub(super) async fn start_of_last(&self, lines: usize, size: u64) -> io::Result<u64> {
        let file = Arc::clone(&self.0);
        blocking(move || start_of_last(&file, lines, size)).await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn read(file: &File, position: u64, end: u64) -> io::Result<Piece> {
    let data = next_data(file, position, end)?;
    if data > position {
        return Ok(Piece::Hole { until: data });
    }
    let wanted = usize::try_from((end - position).min(PIECE)).unwrap_or(usize::MAX);
    let mut buffer = vec![0; wanted];
    let length = file.read_at(&mut buffer, position)?;
    if length == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the log has shrunk"));
    }
    buffer.truncate(length);
    // Stop before a hole, so that it is told and not sent as NUL bytes.
    let hole = seek(file, SeekFrom::Hole(position)).unwrap_or(end).saturating_sub(position);
    buffer.truncate(usize::try_from(hole).unwrap_or(usize::MAX).max(1));
    Ok(Piece::Data(Bytes::from(buffer)))
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

    async fn log(content: &[u8]) -> (tempfile::TempDir, LogFile) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output.log");
        std::fs::write(&path, content).unwrap();
        let log = LogFile::open(path).await.unwrap();
        (dir, log)
    }

    #[tokio::test]
    async fn last_lines() {
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
            let (_dir, log) = log(content.as_bytes()).await;
            assert_eq!(log.start_of_last(lines, content.len() as u64).await.unwrap(), start, "{content:?} {lines}");
        }
    }

    #[tokio::test]
    async fn last_lines_across_blocks_and_without_any_break() {
        let content = format!("first\n{}\nlast\n", "x".repeat(200_000));
        let (_dir, long) = log(content.as_bytes()).await;
        assert_eq!(long.start_of_last(2, content.len() as u64).await.unwrap(), 6);
        let endless = vec![b'x'; usize::try_from(TAIL_SCAN).unwrap() + 1_000_000];
        let (_dir, endless_log) = log(&endless).await;
        let size = endless.len() as u64;
        assert_eq!(endless_log.start_of_last(1, size).await.unwrap(), size - TAIL_SCAN);
    }

    #[tokio::test]
    async fn a_freed_middle_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output.log");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"head").unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"tail", 1 << 20).unwrap();
        let log = LogFile::open(path).await.unwrap();
        let end = log.size().unwrap();
        let mut position = 0;
        let mut seen = Vec::new();
        while position < end {
            match log.read(position, end).await.unwrap() {
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

    #[tokio::test]
    async fn only_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("output.log");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(LogFile::open(link).await.is_err());
        assert!(LogFile::open(dir.path().to_owned()).await.is_err());
    }
}
