//! As much DER as certificates and timestamps need.

use super::sign;
use p256::ecdsa::SigningKey;

/// A value with its tag and length.
pub(super) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = match length {
        0..=127 => vec![tag, u8::try_from(length).unwrap()],
        128..=255 => vec![tag, 0x81, u8::try_from(length).unwrap()],
        _ => [&[tag, 0x82], &u16::try_from(length).unwrap().to_be_bytes()[..]].concat(),
    };
    [head, content.to_vec()].concat()
}

/// Bytes before the content.
pub(super) fn head(value: &[u8]) -> usize {
    if value[1] < 0x80 { 2 } else { 2 + usize::from(value[1] & 0x7f) }
}

pub(super) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// In the order that DER wants.
pub(super) fn set(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut parts = parts.to_vec();
    parts.sort();
    tlv(0x31, &parts.concat())
}

pub(super) fn octets(content: &[u8]) -> Vec<u8> {
    tlv(0x04, content)
}

pub(super) fn integer(small: u8) -> Vec<u8> {
    tlv(0x02, &[small])
}

pub(super) fn context(number: u8, content: &[u8]) -> Vec<u8> {
    tlv(0xa0 | number, content)
}

pub(super) fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<u32> = dotted.split('.').map(|arc| arc.parse().unwrap()).collect();
    let mut content = Vec::new();
    for arc in std::iter::once(arcs[0] * 40 + arcs[1]).chain(arcs[2..].iter().copied()) {
        let mut digits = vec![u8::try_from(arc & 0x7f).unwrap()];
        let mut rest = arc >> 7;
        while rest > 0 {
            digits.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        content.extend(digits.iter().rev());
    }
    tlv(0x06, &content)
}

pub(super) fn generalized(at: i64) -> Vec<u8> {
    tlv(0x18, time(at, "%Y%m%d%H%M%SZ").as_bytes())
}

fn time(at: i64, format: &str) -> String {
    jiff::Timestamp::from_second(at).unwrap().strftime(format).to_string()
}

pub(super) fn ecdsa_sha256() -> Vec<u8> {
    sequence(&[oid("1.2.840.10045.4.3.2")])
}

/// A public key with its kind.
pub(super) fn spki(key: &SigningKey) -> Vec<u8> {
    let kind = sequence(&[oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")]);
    sequence(&[kind, bits(key.verifying_key().to_encoded_point(false).as_bytes())])
}

fn bits(content: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], content].concat())
}

pub(super) fn extension(name: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { vec![0x01, 0x01, 0xff] } else { Vec::new() };
    sequence(&[oid(name), critical, octets(value)])
}

pub(super) fn basic_constraints_ca() -> Vec<u8> {
    extension("2.5.29.19", true, &[0x30, 0x03, 0x01, 0x01, 0xff])
}

pub(super) fn key_usage(bits: &[u8]) -> Vec<u8> {
    extension("2.5.29.15", true, &tlv(0x03, bits))
}

/// A common name; empty: no name.
pub(super) struct Name(pub(super) &'static str);

impl Name {
    pub(super) fn der(&self) -> Vec<u8> {
        if self.0.is_empty() {
            return sequence(&[]);
        }
        sequence(&[set(&[sequence(&[oid("2.5.4.3"), tlv(0x0c, self.0.as_bytes())])])])
    }
}

/// A certificate of version 3.
pub(super) struct Certificate<'a> {
    pub(super) serial: u8,
    pub(super) issuer: Name,
    pub(super) subject: Name,
    /// First and last second.
    pub(super) valid: (i64, i64),
    pub(super) key: &'a SigningKey,
    pub(super) extensions: Vec<Vec<u8>>,
}

impl Certificate<'_> {
    pub(super) fn to_be_signed(&self) -> Vec<u8> {
        let at = |time_at: i64| tlv(0x17, time(time_at, "%y%m%d%H%M%SZ").as_bytes());
        sequence(&[
            context(0, &integer(2)),
            integer(self.serial),
            ecdsa_sha256(),
            self.issuer.der(),
            sequence(&[at(self.valid.0), at(self.valid.1)]),
            self.subject.der(),
            spki(self.key),
            context(3, &sequence(&self.extensions)),
        ])
    }

    pub(super) fn signed_by(&self, key: &SigningKey) -> Vec<u8> {
        let content = self.to_be_signed();
        let signature = bits(&sign(key, &content));
        sequence(&[content, ecdsa_sha256(), signature])
    }
}
