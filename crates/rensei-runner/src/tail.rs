//! The last lines of an agent's output.

use crate::text;
use rensei_process::output_log::plain_line;
use rensei_proto::outcome::SessionResult;
use std::collections::VecDeque;

/// Ring of the last lines, each cut to its limit. Blank lines are not kept.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    lines: VecDeque<String>,
}

impl Tail {
    /// Adds the lines of `chunk`. Costs nothing for lines that would fall out again at once.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        let kept = chunk.rsplit(|b| *b == b'\n').map(shorten).filter(|line| !line.trim().is_empty());
        let newest_first: Vec<String> = kept.take(SessionResult::TAIL_LINES).collect();
        self.lines.extend(newest_first.into_iter().rev());
        let surplus = self.lines.len().saturating_sub(SessionResult::TAIL_LINES);
        self.lines.drain(..surplus);
    }

    /// The lines, oldest first.
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

fn shorten(line: &[u8]) -> String {
    // Cleaning only removes bytes, or replaces one by three, so what is needed is within the first few thousand.
    let mut text = plain_line(&line[..line.len().min(4 * SessionResult::TAIL_LINE_BYTES)]);
    text::cut(&mut text, SessionResult::TAIL_LINE_BYTES);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_lines_across_chunks() {
        let mut tail = Tail::default();
        tail.push(b"first\n\nsecond");
        for n in 0..19 {
            tail.push(format!("n{n}").as_bytes());
        }
        let lines = tail.into_lines();
        assert_eq!((lines.len(), lines[0].as_str(), lines[19].as_str()), (20, "second", "n18"));
    }

    #[test]
    fn a_line_is_cut_to_its_limit() {
        let mut tail = Tail::default();
        tail.push(&vec![0xffu8; 60_000]);
        assert!(tail.into_lines()[0].len() <= SessionResult::TAIL_LINE_BYTES);
    }
}
