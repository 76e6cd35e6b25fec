//! Leaves the worker's own result document out of an agent's output.

use rensei_proto::SessionId;

/// Passes output on, except the one JSON line with which a worker ends.
#[derive(Debug)]
pub(super) struct Hush {
    marker: Vec<u8>,
    held: Vec<u8>,
    is_in_document: bool,
}

impl Hush {
    /// For the worker of `id`.
    pub(super) fn new(id: &SessionId) -> Self {
        Self {
            marker: format!(r#"{{"version":1,"sessionId":"{id}","status":"#).into_bytes(),
            held: Vec::new(),
            is_in_document: false,
        }
    }

    /// What may be shown now that `bytes` have come.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let mut shown = Vec::with_capacity(self.held.len());
        loop {
            if self.is_in_document {
                let Some(end) = self.held.iter().position(|byte| *byte == b'\n') else {
                    self.held.clear();
                    return shown;
                };
                self.held.drain(..=end);
                self.is_in_document = false;
            }
            match self.held.windows(self.marker.len()).position(|window| window == self.marker) {
                Some(start) => {
                    shown.extend(self.held.drain(..start));
                    self.is_in_document = true;
                }
                None => {
                    let keep = self.partial_marker();
                    shown.extend(self.held.drain(..self.held.len() - keep));
                    return shown;
                }
            }
        }
    }

    /// What was held back and turned out to be output.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Length of the longest end of what is held that may be the start of a document.
    fn partial_marker(&self) -> usize {
        let longest = self.held.len().min(self.marker.len() - 1);
        (1..=longest).rev().find(|n| self.held.ends_with(&self.marker[..*n])).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_left_out_however_it_is_cut() {
        let id = SessionId::parse("s1").unwrap();
        let text = b"{\"a\":1}\nno newline{\"version\":1,\"sessionId\":\"s1\",\"status\":\"x\"}\ntail {\"vers";
        for size in 1..=text.len() {
            let mut hush = Hush::new(&id);
            let mut shown: Vec<u8> = text.chunks(size).flat_map(|chunk| hush.pass(chunk)).collect();
            shown.extend(hush.rest());
            assert_eq!(String::from_utf8(shown).unwrap(), "{\"a\":1}\nno newlinetail {\"vers", "{size}");
        }
    }
}
