//! Names of any bytes as text.

use std::fmt::Write;

/// A name below a directory; the root is the empty path.
pub(crate) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}

/// For people and JSON: bytes that are no UTF-8 are replaced.
pub(crate) fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// The exact path where [`lossy`] loses something: bytes that are no UTF-8 as `\xNN`, a backslash as `\\`.
pub(crate) fn escaped(path: &[u8]) -> Option<String> {
    std::str::from_utf8(path).is_err().then(|| {
        let mut text = String::new();
        for chunk in path.utf8_chunks() {
            text.push_str(&chunk.valid().replace('\\', r"\\"));
            for byte in chunk.invalid() {
                // Writing to a string cannot fail.
                let _ = write!(text, r"\x{byte:02x}");
            }
        }
        text
    })
}

/// The path that [`escaped`] wrote; what it cannot have written stands for itself.
pub(crate) fn unescaped(text: &str) -> Vec<u8> {
    let (mut path, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let (byte, tail) = match rest {
            [b'\\', b'\\', tail @ ..] => (b'\\', tail),
            [b'\\', b'x', high, low, tail @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, tail),
                _ => (*first, &rest[1..]),
            },
            _ => (*first, tail),
        };
        path.push(byte);
        rest = tail;
    }
    path
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_bytes_have_an_exact_text() {
        assert_eq!((lossy(b"a\xffb").as_str(), escaped(b"a\xffb").as_deref()), ("a\u{fffd}b", Some(r"a\xffb")));
        assert_eq!(escaped(b"a\\\xc3").as_deref(), Some(r"a\\\xc3"));
        for path in [b"a\xffb".as_slice(), b"\\x41\xfe", b"\\\\\x80\\"] {
            assert_eq!(unescaped(&escaped(path).unwrap()), path);
        }
        assert_eq!((escaped("ü\\".as_bytes()), lossy("ü\\".as_bytes()).as_str()), (None, "ü\\"));
    }
}
