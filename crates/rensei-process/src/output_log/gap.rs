//! What is missing from a log whose file system cannot free ranges: a line of fixed length at [`HEAD`] that says how much.
//!
//! What a worker writes there itself misleads the readers of its own log only.

use super::HEAD;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

const BEFORE: &str = "\n[... ";
const AFTER: &str = " bytes of output were dropped here ...]\n";
const DIGITS: usize = 20;
const LINE: usize = BEFORE.len() + DIGITS + AFTER.len();
/// Bytes that the line takes in the file.
const LINE_BYTES: u64 = LINE as u64;

/// Held for writing while bytes move. All logs share it: that is rare, and takes milliseconds.
static MOVING: RwLock<()> = RwLock::new(());

/// Bytes of output that a line in their place stands for, beginning at [`HEAD`]; 0 when there is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap(u64);

impl Gap {
    /// What a log lacks, as long as the guard lives.
    pub(super) fn of(file: &File) -> io::Result<(Self, RwLockReadGuard<'static, ()>)> {
        let still = MOVING.read().unwrap_or_else(PoisonError::into_inner);
        Ok((Self::look(file)?, still))
    }

    fn look(file: &File) -> io::Result<Self> {
        let mut line = [0; LINE];
        match file.read_exact_at(&mut line, HEAD) {
            Ok(()) => Ok(Self(stated(&line).unwrap_or(0))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Self(0)),
            Err(error) => Err(error),
        }
    }

    /// How much further on something is in the output than in the file, behind the gap.
    const fn shift(self) -> u64 {
        self.0.saturating_sub(LINE_BYTES)
    }

    /// What is missing, as a range of the output.
    pub(super) const fn range(self) -> Range<u64> {
        HEAD..HEAD.saturating_add(self.0)
    }

    /// Where in the output something of the file is.
    pub(super) const fn in_output(self, position: u64) -> u64 {
        match position.checked_sub(HEAD) {
            Some(behind) if self.0 > 0 && behind < LINE_BYTES => HEAD,
            Some(_) => position.saturating_add(self.shift()),
            None => position,
        }
    }

    /// Where in the file something of the output is that is not missing.
    pub(super) const fn in_file(self, offset: u64) -> u64 {
        if offset < HEAD { offset } else { offset.saturating_sub(self.shift()) }
    }
}

fn stated(line: &[u8]) -> Option<u64> {
    let number = line.strip_prefix(BEFORE.as_bytes())?.strip_suffix(AFTER.as_bytes())?;
    std::str::from_utf8(number).ok()?.trim_start().parse().ok()
}

/// Moves the last `keep` bytes up to the head and cuts off what is twice there then; what is missing from the output now.
/// Whatever is appended between the last look and the cut is lost. A writer that is always faster does not keep this
/// going.
pub(super) fn close_up(file: &File, keep: u64) -> io::Result<Range<u64>> {
    let _alone = MOVING.write().unwrap_or_else(PoisonError::into_inner);
    let size = file.metadata()?.len();
    let last = size.saturating_mul(2);
    let (mut from, mut to) = (size.saturating_sub(keep), HEAD + LINE_BYTES);
    let gap = Gap(from.saturating_sub(HEAD).saturating_add(Gap::look(file)?.shift()));
    file.write_all_at(format!("{BEFORE}{:>DIGITS$}{AFTER}", gap.0).as_bytes(), HEAD)?;
    let mut piece = vec![0; 64 << 10];
    while from < last {
        let count = file.read_at(&mut piece, from)?;
        if count == 0 {
            break;
        }
        file.write_all_at(&piece[..count], to)?;
        (from, to) = (from + count as u64, to + count as u64);
    }
    file.set_len(to)?;
    Ok(gap.range())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output_log::{OutputLog, Piece, create};
    use std::io::Write as _;

    /// Lines of ten bytes that count.
    fn lines(numbers: Range<u64>) -> String {
        numbers.map(|number| format!("{number:09}\n")).collect()
    }

    fn read(log: &OutputLog, from: u64) -> String {
        let Piece::Data(bytes) = log.read(from, 1 << 20).unwrap() else { panic!("a hole at {from}") };
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn offsets_stay_what_they_are_when_a_log_is_closed_up_again_and_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output.log");
        let mut writer = create(&path).unwrap();
        let (log, file) =
            (OutputLog::open(&path).unwrap(), File::options().read(true).write(true).open(&path).unwrap());
        for round in 1..=3_u64 {
            let (written, kept) = (round * 200_000, 50_000);
            writer.write_all(lines(written - 200_000..written).as_bytes()).unwrap();
            assert_eq!(log.size().unwrap(), written * 10);
            let missing = close_up(&file, kept).unwrap();
            assert_eq!(missing, HEAD..written * 10 - kept);
            assert_eq!(file.metadata().unwrap().len(), HEAD + LINE_BYTES + kept, "the file is small");
            assert_eq!(log.size().unwrap(), written * 10, "the output is as long as ever");
            assert_eq!(log.read(HEAD + 77, 100).unwrap(), Piece::Hole { until: missing.end });
            assert_eq!(read(&log, missing.end), lines(missing.end / 10..written), "who was there reads on");
            assert!(lines(0..200_000).starts_with(&read(&log, 0)), "so does who is at the beginning");
            assert_eq!(log.start_of_last(3).unwrap(), written * 10 - 30);
            // 5,000 lines behind the gap, the line for it, and a torn one at the end of the head.
            assert_eq!(log.start_of_last(10_000).unwrap(), HEAD / 10 * 10 - 10 * (10_000 - 5_002));
        }
    }

    #[test]
    fn a_forged_line_misleads_without_harm() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output.log");
        for number in ["                   0", "18446744073709551615", "                   7", "                   x"] {
            let head = usize::try_from(HEAD).unwrap();
            std::fs::write(&path, format!("{}{BEFORE}{number}{AFTER}end\n", "x".repeat(head))).unwrap();
            let log = OutputLog::open(&path).unwrap();
            let size = log.size().unwrap();
            let (mut position, mut rounds) = (0, 0);
            while position < size && rounds < 10 {
                rounds += 1;
                match log.read(position, 4 << 20).unwrap() {
                    Piece::Data(bytes) if bytes.is_empty() => break,
                    Piece::Data(bytes) => position += bytes.len() as u64,
                    Piece::Hole { until } => position = until,
                }
            }
            assert!(rounds < 10, "{number}");
            assert!(log.start_of_last(1).unwrap() <= size);
        }
    }
}
