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
    /// The file that has taken this one's place.
    successor: Option<File>,
}

impl Tail {
    /// Opens `path` before its last `lines` lines, and says how many there are; 0 means at its start, uncounted.
    pub(super) fn open(path: &Path, lines: usize) -> io::Result<(Self, usize)> {
        let mut file = File::open(path)?;
        let (position, found) = if lines == 0 { (0, 0) } else { start_of_last(&mut file, lines)? };
        Ok((Self { path: path.to_owned(), file, position, partial: Vec::new(), successor: None }, found))
    }

    /// Hands all whole lines that are there now to `each`.
    pub(super) fn read_to_end<E>(&mut self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> io::Result<Result<(), E>> {
        while let Some(lines) = self.read()? {
            if let Err(error) = each(&lines) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    /// What is behind the last newline, for a reader who does not wait for the rest of it.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }

    /// The next whole lines, or `None` when there are none now.
    pub(super) fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            self.file.seek(SeekFrom::Start(self.position))?;
            let mut chunk = vec![0; CHUNK];
            let count = self.file.read(&mut chunk)?;
            if count == 0 {
                match self.at_end()? {
                    Next::Nothing => return Ok(None),
                    Next::More => continue,
                    Next::LastLine(line) => return Ok(Some(line)),
                }
            }
            self.position += count as u64;
            let chunk = &chunk[..count];
            let end = chunk.iter().rposition(|byte| *byte == b'\n').map(|end| self.partial.len() + end + 1);
            self.partial.extend_from_slice(chunk);
            if let Some(end) = end {
                let rest = self.partial.split_off(end);
                return Ok(Some(std::mem::replace(&mut self.partial, rest)));
            }
        }
    }

    /// Goes over to the file that replaced this one, or to the start of one that was cut.
    fn at_end(&mut self) -> io::Result<Next> {
        if let Some(successor) = self.successor.take() {
            (self.file, self.position) = (successor, 0);
            // A file that is replaced is not written to any more, so neither is its last line.
            return Ok(match std::mem::take(&mut self.partial) {
                line if line.is_empty() => Next::More,
                mut line => {
                    line.push(b'\n');
                    Next::LastLine(line)
                }
            });
        }
        let here = self.file.metadata()?;
        if here.len() < self.position {
            (self.position, self.partial) = (0, Vec::new());
            return Ok(if here.len() > 0 { Next::More } else { Next::Nothing });
        }
        // Between rename and creation there is no file; the next look finds it.
        let Ok(file) = File::open(&self.path) else { return Ok(Next::Nothing) };
        let there = file.metadata()?;
        if (there.ino(), there.dev()) == (here.ino(), here.dev()) {
            return Ok(Next::Nothing);
        }
        // Lines may have come between the last read and the replacement, so the old file is read once more.
        self.successor = Some(file);
        Ok(Next::More)
    }
}

/// What there is at the end of a file.
enum Next {
    Nothing,
    More,
    LastLine(Vec<u8>),
}

/// Where the last `lines` lines start, and how many there are. Reads backwards, so the size of the file does not matter.
fn start_of_last(file: &mut File, lines: usize) -> io::Result<(u64, usize)> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut position = end;
    let mut found = 0;
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
            found += 1;
            if found == lines {
                return Ok((behind, found));
            }
        }
        position = start;
    }
    Ok((0, if end == 0 { 0 } else { found + 1 }))
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
        assert_eq!(all(&mut Tail::open(&path, 2).unwrap().0), "b\nc\n");
        assert_eq!(all(&mut Tail::open(&path, 3).unwrap().0), format!("{long}\nb\nc\n"));
        assert_eq!(all(&mut Tail::open(&path, 0).unwrap().0).len(), 3 * CHUNK + 7);
        assert_eq!(all(&mut Tail::open(&path, 99).unwrap().0).len(), 3 * CHUNK + 7);
    }

    #[test]
    fn unfinished_lines_wait_and_replaced_files_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "a\nhal").unwrap();
        let (mut tail, found) = Tail::open(&path, 5).unwrap();
        assert_eq!(found, 2);
        assert_eq!(all(&mut tail), "a\n");
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"f\n").unwrap();
        assert_eq!(all(&mut tail), "half\n");
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        assert_eq!(all(&mut tail), "");
        file.write_all(b"late\nunfinished").unwrap();
        std::fs::write(&path, "new\n").unwrap();
        assert_eq!(all(&mut tail), "late\nunfinished\nnew\n");
        std::fs::write(&path, "c\n").unwrap();
        assert_eq!(all(&mut tail), "c\n");
    }
}
