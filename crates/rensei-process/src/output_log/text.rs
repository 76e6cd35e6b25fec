//! Raw output as text that is safe to show.

/// One raw line as people would have seen it in the end, without anything that acts on a terminal.
///
/// Invalid UTF-8 is replaced, escape sequences and control characters (other than tab) are dropped, and of a line that
/// was overwritten with carriage returns only the last visible state remains.
#[must_use]
pub fn plain_line(raw: &[u8]) -> String {
    let states = raw.rsplit(|&byte| byte == b'\r').map(|state| strip(&String::from_utf8_lossy(state)));
    states.into_iter().find(|state| !state.trim().is_empty()).unwrap_or_default()
}

fn strip(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c == '\u{1b}' {
            rest = skip_escape(rest);
        } else if c == '\t' || !acts_on_terminal(c) {
            plain.push(c);
        }
    }
    plain
}

/// Control characters, and those that reorder what stands around them.
fn acts_on_terminal(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What follows an escape sequence whose ESC has been read.
fn skip_escape(rest: &str) -> &str {
    match rest.chars().next() {
        Some('[') => after(&rest[1..], |c| ('\u{40}'..='\u{7e}').contains(&c)),
        Some(']' | 'P' | 'X' | '^' | '_') => after_string(&rest[1..]),
        Some(' '..='/') => after(rest, |c| ('0'..='~').contains(&c)),
        Some('0'..='~') => &rest[1..],
        _ => rest,
    }
}

/// What follows the first character that ends a sequence. One that never ends is not allowed to swallow the line.
fn after(rest: &str, is_final: impl Fn(char) -> bool) -> &str {
    match rest.char_indices().find(|&(_, c)| is_final(c) || !(' '..='~').contains(&c)) {
        Some((at, c)) if is_final(c) => &rest[at + c.len_utf8()..],
        Some((at, _)) => &rest[at..],
        None => rest,
    }
}

/// What follows a string that ends with BEL or ESC \.
fn after_string(rest: &str) -> &str {
    match rest.find(['\u{7}', '\u{1b}', '\u{9c}']) {
        Some(at) => rest[at..]
            .strip_prefix("\u{1b}\\")
            .or_else(|| rest[at..].strip_prefix(['\u{7}', '\u{9c}']))
            .unwrap_or(&rest[at..]),
        None => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_a_terminal_would_have_shown_in_the_end() {
        let cases: [(&[u8], &str); 15] = [
            (b"plain\ttext", "plain\ttext"),
            (b"\x1b[1;31merror\x1b[0m: no", "error: no"),
            (b"10%\r50%\r100%", "100%"),
            (b"done\r", "done"),
            (b"100%\r\x1b[K", "100%"),
            (b"\x1b]0;title\x07text", "text"),
            (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            (b"a\0b\x08c\x7f", "abc"),
            (b"\xff\xfe ok", "\u{fffd}\u{fffd} ok"),
            (b"\x1b(Btext\x1b=", "text"),
            (b"\x1b]never ends", "never ends"),
            (b"\x1b[", ""),
            (b"\x1b", ""),
            ("a\u{202e}b\u{9b}c ü\u{1b}ü".as_bytes(), "abc üü"),
            (b"\x1b[38;5;1", "38;5;1"),
        ];
        for (raw, expected) in cases {
            assert_eq!(plain_line(raw), expected, "{:?}", String::from_utf8_lossy(raw));
        }
    }
}
