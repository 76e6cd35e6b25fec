//! Packets of git's protocol: four hexadecimal digits of length, then the content.

use std::fmt::Write as _;

/// Longest content of a packet.
const MAX: usize = 65_516;

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Packet {
    /// `0000`: the message ends.
    Flush,
    /// `0001`: the section ends.
    Delimiter,
    /// Content.
    Data(Vec<u8>),
}

/// Takes packets from bytes as they come.
#[derive(Debug, Default)]
pub(super) struct Packets {
    waiting: Vec<u8>,
    taken: usize,
}

impl Packets {
    /// More bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.waiting.drain(..self.taken);
        self.taken = 0;
        self.waiting.extend_from_slice(bytes);
    }

    /// The next packet that is whole.
    pub(super) fn next(&mut self) -> Result<Option<Packet>, String> {
        let rest = &self.waiting[self.taken..];
        let Some(head) = rest.first_chunk::<4>() else { return Ok(None) };
        let digits = std::str::from_utf8(head).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let length = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let (packet, taken) = match length {
            Some(0) => (Packet::Flush, 4),
            Some(1) => (Packet::Delimiter, 4),
            Some(length @ 4..) if length <= MAX + 4 => match rest.get(4..length) {
                Some(content) => (Packet::Data(content.to_vec()), length),
                None => return Ok(None),
            },
            _ => return Err("the server does not speak git's protocol".to_owned()),
        };
        self.taken += taken;
        Ok(Some(packet))
    }
}

/// A message in the making.
#[derive(Debug, Default)]
pub(super) struct Message(String);

impl Message {
    /// Adds a line.
    pub(super) fn line(mut self, text: &str) -> Self {
        // Writing to a string cannot fail.
        let _written = writeln!(self.0, "{:04x}{text}", text.len() + 5);
        self
    }

    /// Ends the section.
    pub(super) fn delimiter(mut self) -> Self {
        self.0.push_str("0001");
        self
    }

    /// Ends the message.
    pub(super) fn flush(mut self) -> Vec<u8> {
        self.0.push_str("0000");
        self.0.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_in_any_pieces() {
        let bytes = Message::default().line("command=x").delimiter().line("y").flush();
        assert_eq!(bytes, b"000ecommand=x\n00010006y\n0000");
        let mut packets = Packets::default();
        let mut seen = Vec::new();
        for byte in bytes {
            packets.push(&[byte]);
            while let Some(packet) = packets.next().unwrap() {
                seen.push(packet);
            }
        }
        let data = |text: &str| Packet::Data(text.into());
        assert_eq!(seen, [data("command=x\n"), Packet::Delimiter, data("y\n"), Packet::Flush]);
    }

    #[test]
    fn nonsense_is_refused() {
        for bytes in [&b"<htm"[..], b"0002", b"0003", b"ffff", b"+00a", b"\xff\xff\xff\xff"] {
            let mut packets = Packets::default();
            packets.push(bytes);
            assert!(packets.next().is_err(), "{bytes:?}");
        }
    }
}
