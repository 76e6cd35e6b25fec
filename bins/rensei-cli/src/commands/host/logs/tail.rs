//! The end of a file that grows and is replaced.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// Reads whole lines from a place near the end of a file.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    file: File,
    position: u64,
    /// Start of a line whose end is not written yet.
    partial: Vec<u8>,
}

impl Tail {
    /// Opens `path` before its last `lines` lines; 0 means at its start.
    pub(super) fn open(path: &Path, lines: usize) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let position = if lines == 0 { 0 } else { start_of_last(&mut file, lines)? };
        Ok(Self { path: path.to_owned(), file, position, partial: Vec::new() })
    }

    /// The next whole lines, or `None` when there are none now.
    pub(super) fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            self.file.seek(SeekFrom::Start(self.position))?;
            let mut chunk = vec![0; CHUNK];
            let count = self.file.read(&mut chunk)?;
            if count == 0 {
                if self.reopen()? {
                    continue;
                }
                return Ok(None);
            }
            self.position += count as u64;
            self.partial.extend_from_slice(&chunk[..count]);
            if let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') {
                let rest = self.partial.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.partial, rest)));
            }
        }
    }

    /// What is behind the last newline.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }

    /// Goes over to the file that replaced this one, or to the start of one that was cut; false when neither happened.
    fn reopen(&mut self) -> io::Result<bool> {
        let here = self.file.metadata()?;
        if here.len() < self.position {
            self.position = 0;
            return Ok(here.len() > 0);
        }
        // Between rename and creation there is no file; the next look finds it.
        let Ok(file) = File::open(&self.path) else { return Ok(false) };
        let there = file.metadata()?;
        if (there.ino(), there.dev()) == (here.ino(), here.dev()) {
            return Ok(false);
        }
        (self.file, self.position) = (file, 0);
        Ok(true)
    }
}

/// Where the last `lines` lines start. Reads backwards, so the size of the file does not matter.
fn start_of_last(file: &mut File, lines: usize) -> io::Result<u64> {
    let mut position = file.seek(SeekFrom::End(0))?;
    let end = position;
    let mut left = lines;
    let mut block = vec![0; CHUNK];
    while position > 0 {
        let size = CHUNK.min(usize::try_from(position).unwrap_or(CHUNK));
        let start = position - size as u64;
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block[..size])?;
        for at in (0..size).rev().filter(|at| block[*at] == b'\n') {
            let behind = start + at as u64 + 1;
            // The newline at the very end closes the last line; it does not begin another.
            if behind == end {
                continue;
            }
            left -= 1;
            if left == 0 {
                return Ok(behind);
            }
        }
        position = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn all(tail: &mut Tail) -> String {
        let mut text = Vec::new();
        while let Some(chunk) = tail.read().unwrap() {
            text.extend(chunk);
        }
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn the_last_lines_of_any_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let long = "x".repeat(3 * CHUNK);
        std::fs::write(&path, format!("a\n{long}\nb\nc\n")).unwrap();
        assert_eq!(all(&mut Tail::open(&path, 2).unwrap()), "b\nc\n");
        assert_eq!(all(&mut Tail::open(&path, 3).unwrap()), format!("{long}\nb\nc\n"));
        assert_eq!(all(&mut Tail::open(&path, 0).unwrap()).len(), 3 * CHUNK + 7);
        assert_eq!(all(&mut Tail::open(&path, 99).unwrap()).len(), 3 * CHUNK + 7);
    }

    #[test]
    fn unfinished_lines_wait_and_replaced_files_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "a\nhal").unwrap();
        let mut tail = Tail::open(&path, 5).unwrap();
        assert_eq!(all(&mut tail), "a\n");
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"f\n").unwrap();
        assert_eq!(all(&mut tail), "half\n");
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        assert_eq!(all(&mut tail), "");
        std::fs::write(&path, "new\n").unwrap();
        assert_eq!(all(&mut tail), "new\n");
        std::fs::write(&path, "c\n").unwrap();
        assert_eq!(all(&mut tail), "c\n");
    }
}
