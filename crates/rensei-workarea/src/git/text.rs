//! Git's words for people.

use rensei_process::output_log::plain_line;

/// Most lines of one message.
const MAX_LINES: usize = 5;
/// Most characters of one line.
const MAX_CHARS: usize = 300;

/// The last lines of what git wrote, on one line, without control characters and credentials.
pub(crate) fn readable(raw: &[u8]) -> String {
    let lines = raw.split(|&byte| byte == b'\n').map(plain_line).filter(|line| !line.trim().is_empty());
    let all: Vec<String> = lines.map(|line| redact(line.trim()).chars().take(MAX_CHARS).collect()).collect();
    all[all.len().saturating_sub(MAX_LINES)..].join("; ")
}

/// The text with user and password of every URL in it replaced.
#[must_use]
pub fn redact(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after.find(|c: char| c == '/' || c.is_whitespace() || matches!(c, '\'' | '"')).unwrap_or(after.len());
        let (authority, path) = after.split_at(end);
        match authority.rsplit_once('@') {
            // `git@` is how everybody logs in over ssh.
            Some((user, host)) if user != "git" => shown.extend(["***@", host]),
            _ => shown.push_str(authority),
        }
        rest = path;
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_never_show() {
        assert_eq!(redact("x https://u:p@h/r y 'http://tok@h' z"), "x https://***@h/r y 'http://***@h' z");
        assert_eq!(redact("https://a@b:c@host/p@q ssh://git@h/x"), "https://***@host/p@q ssh://git@h/x");
        assert_eq!(redact("no url @ all"), "no url @ all");
    }

    #[test]
    fn the_last_lines_count() {
        let raw = (0..9).map(|n| format!("remote: {n}\n\n")).collect::<String>() + "fatal: \x1b[31mno\x1b[0m\r\n";
        assert_eq!(readable(raw.as_bytes()), "remote: 5; remote: 6; remote: 7; remote: 8; fatal: no");
        assert!(readable(&vec![b'x'; 100_000]).len() <= MAX_CHARS);
    }
}
