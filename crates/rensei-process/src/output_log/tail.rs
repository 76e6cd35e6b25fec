//! The last lines of a log, read from its end.

use super::plain_line;
use crate::open_child_file;
use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Least and most that is read, in bytes.
const WINDOW: std::ops::RangeInclusive<u64> = (1 << 20)..=(16 << 20);
/// Stands for what a line lost.
const CUT: &str = "…";

/// The last `max_lines` lines of a log as safe text (see [`plain_line`]), oldest first, each at most `max_line_bytes`
/// long. A line that is cut begins or ends with `…`. An unfinished last line counts.
///
/// Reads a bounded stretch at the end of the file, however long the file and its lines are.
///
/// # Errors
/// When the file cannot be read.
pub fn tail_lines(path: &Path, max_lines: usize, max_line_bytes: usize) -> io::Result<Vec<String>> {
    let (window, is_whole) = read_end(path, window_size(max_lines, max_line_bytes))?;
    let text = window.strip_suffix(b"\n").unwrap_or(&window);
    if text.is_empty() && window.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines = VecDeque::new();
    let mut segments = text.rsplit(|&byte| byte == b'\n').peekable();
    while lines.len() < max_lines
        && let Some(segment) = segments.next()
    {
        let starts_here = is_whole || segments.peek().is_some();
        lines.push_front(shorten(segment, starts_here, max_line_bytes));
    }
    Ok(lines.into())
}

fn window_size(max_lines: usize, max_line_bytes: usize) -> u64 {
    let wanted = u64::try_from(max_lines.saturating_mul(max_line_bytes).saturating_mul(2)).unwrap_or(u64::MAX);
    wanted.clamp(*WINDOW.start(), *WINDOW.end())
}

/// The last bytes of a file, and whether they are all of it.
fn read_end(path: &Path, size: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut file = open_child_file(path)?;
    let start = file.metadata()?.len().saturating_sub(size);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes)?;
    Ok((bytes, start == 0))
}

/// Text of one line: its beginning when that is known, else its end.
fn shorten(segment: &[u8], starts_here: bool, max_bytes: usize) -> String {
    let begin = if starts_here { 0 } else { segment.iter().take(3).take_while(|&&byte| byte & 0xc0 == 0x80).count() };
    let line = plain_line(&segment[begin..]);
    if starts_here && line.len() <= max_bytes {
        return line;
    }
    let room = max_bytes.saturating_sub(CUT.len());
    let mark = if max_bytes < CUT.len() { "" } else { CUT };
    if starts_here {
        format!("{}{mark}", &line[..line.floor_char_boundary(room)])
    } else {
        format!("{mark}{}", &line[line.ceil_char_boundary(line.len().saturating_sub(room))..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn tail(content: &[u8], max_lines: usize, max_bytes: usize) -> Vec<String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        tail_lines(file.path(), max_lines, max_bytes).unwrap()
    }

    #[test]
    fn last_lines_in_order() {
        assert_eq!(tail(b"a\nb\nc\n", 2, 100), ["b", "c"]);
        assert_eq!(tail(b"a\nb\nc", 9, 100), ["a", "b", "c"]);
        assert_eq!(tail(b"a\n\nc\n\n", 9, 100), ["a", "", "c", ""]);
        assert_eq!(tail(b"\n", 9, 100), [""]);
        assert!(tail(b"", 9, 100).is_empty() && tail(b"a\n", 0, 100).is_empty());
        assert_eq!(tail(b"x\xff\r\ny\x1b[31mz", 9, 100), ["x\u{fffd}", "yz"]);
    }

    #[test]
    fn cuts_on_characters() {
        assert_eq!(tail("ääääääää\n".as_bytes(), 9, 8), ["ää…"]);
        assert_eq!(tail(b"abcdef\n", 9, 6), ["abcdef"]);
        assert_eq!(tail(b"abcdefg\n", 9, 6), ["abc…"]);
        assert_eq!(tail(b"abcdefg\n", 9, 1), ["a"].map(|_| String::new()));
    }

    #[test]
    fn a_huge_line_is_not_read_whole() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let block = "ö".repeat(1 << 19);
        (0..100).for_each(|_| file.write_all(block.as_bytes()).unwrap());
        file.write_all(b"end").unwrap();
        let lines = tail_lines(file.path(), 20, 1000).unwrap();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].len() <= 1000 && lines[0].starts_with("…ö") && lines[0].ends_with("öend"));
        file.write_all(b"\nafter\n").unwrap();
        let lines = tail_lines(file.path(), 20, 1000).unwrap();
        assert_eq!(lines.last().unwrap(), "after");
    }

    #[test]
    fn many_lines_fit_the_window() {
        let content = (0..100_000).map(|n| format!("line {n}\n")).collect::<String>();
        let lines = tail(content.as_bytes(), 200, 100);
        assert_eq!((lines.len(), lines[0].as_str(), lines[199].as_str()), (200, "line 99800", "line 99999"));
    }

    #[test]
    fn what_is_put_in_the_logs_place_neither_blocks_nor_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        for path in [&pipe, &link, &dir.path().to_owned()] {
            assert!(tail_lines(path, 1, 1).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn a_missing_file_is_an_error() {
        assert!(tail_lines(Path::new("/nonexistent/output.log"), 1, 1).is_err());
    }
}
