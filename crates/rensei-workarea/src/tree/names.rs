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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_bytes_have_an_exact_text() {
        assert_eq!((lossy(b"a\xffb").as_str(), escaped(b"a\xffb").as_deref()), ("a\u{fffd}b", Some(r"a\xffb")));
        assert_eq!(escaped(b"a\\\xc3").as_deref(), Some(r"a\\\xc3"));
        assert_eq!((escaped("ü\\".as_bytes()), lossy("ü\\".as_bytes()).as_str()), (None, "ü\\"));
    }
}
