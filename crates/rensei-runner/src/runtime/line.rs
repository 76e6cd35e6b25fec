//! Raw bytes into whole lines.

/// Longest line that is kept together; a longer one is split.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// Collects what follows the last newline.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes `chunk` and returns the lines that are complete now, separated by newlines, without the final one.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Option<Vec<u8>> {
        let Some(newline) = chunk.iter().rposition(|byte| *byte == b'\n') else {
            self.rest.extend_from_slice(chunk);
            return (self.rest.len() >= MAX_LINE).then(|| std::mem::take(&mut self.rest));
        };
        let mut lines = std::mem::take(&mut self.rest);
        lines.extend_from_slice(&chunk[..newline]);
        self.rest.extend_from_slice(&chunk[newline + 1..]);
        Some(lines)
    }

    /// What is left of a last line without newline.
    pub(super) fn finish(&mut self) -> Option<Vec<u8>> {
        (!self.rest.is_empty()).then(|| std::mem::take(&mut self.rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_were_cut() {
        let text = b"one\n\ntwo\nthree";
        for size in 1..=text.len() {
            let mut lines = Lines::default();
            let mut seen: Vec<Vec<u8>> = text.chunks(size).filter_map(|chunk| lines.push(chunk)).collect();
            seen.extend(lines.finish());
            assert_eq!(seen.join(&b'\n'), text, "chunks of {size}");
            assert_eq!(lines.finish(), None);
        }
    }

    #[test]
    fn an_endless_line_is_split_and_never_collected() {
        let mut lines = Lines::default();
        let chunk = [b'x'; 10_000];
        let mut total = 0;
        for _ in 0..100 {
            let piece = lines.push(&chunk).map_or(0, |piece| piece.len());
            assert!(piece < MAX_LINE + chunk.len() && lines.rest.len() < MAX_LINE);
            total += piece;
        }
        assert_eq!(total + lines.finish().map_or(0, |rest| rest.len()), 1_000_000);
    }
}
