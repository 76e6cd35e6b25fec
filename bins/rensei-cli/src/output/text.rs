//! Foreign text on a terminal.

use std::borrow::Cow;

/// `text` on one line and without control characters, so that it cannot move the cursor or change colours.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\u{1b}' => rest = after_escape(rest),
            '\n' | '\r' | '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    Cow::Owned(out.trim_end().to_owned())
}

/// What follows an escape sequence: a CSI ends with its final byte, anything else is one character long.
fn after_escape(rest: &str) -> &str {
    match rest.strip_prefix('[') {
        Some(csi) => csi.find(|c| matches!(c, '\u{40}'..='\u{7e}')).map_or("", |end| &csi[end + 1..]),
        None => rest.chars().next().map_or("", |c| &rest[c.len_utf8()..]),
    }
}

/// Each line of `text`, cleaned.
pub(crate) fn clean_lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.lines().map(clean)
}

/// At most `max` characters of `text`, cleaned; a cut is marked.
pub(crate) fn shorten(text: &str, max: usize) -> String {
    let text = clean(text);
    if text.chars().count() <= max {
        return text.into_owned();
    }
    let kept: String = text.chars().take(max.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Every line of a table or page, moved in by two spaces.
pub(crate) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// `1 file`, `2 files`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// A repository's place, cleaned, without the user and password that a URL may hold: screens are shared, and pages land
/// in bug reports.
pub(crate) fn place(repository: &str) -> Cow<'_, str> {
    let repository = clean(repository);
    let Some((scheme, rest)) = repository.split_once("://") else { return repository };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        // A name alone is how ssh is told whom to be.
        Some((user, _)) if user.contains(':') || scheme.starts_with("http") => {
            Cow::Owned(format!("{scheme}://***{}", &rest[user.len()..]))
        }
        _ => repository,
    }
}

/// A word for a POSIX shell.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=@%,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_keep_no_secrets() {
        for (given, shown) in [
            ("https://bob:pw@h.example/a/b.git", "https://***@h.example/a/b.git"),
            ("https://token@h.example/a@b", "https://***@h.example/a@b"),
            ("http://a:p@ss@h:1/x", "http://***@h:1/x"),
            ("ssh://git:pw@h/x", "ssh://***@h/x"),
            ("ssh://git@h/x", "ssh://git@h/x"),
            ("git@h:a/b", "git@h:a/b"),
            ("https://h.example/a@b", "https://h.example/a@b"),
            ("/srv/a@b", "/srv/a@b"),
        ] {
            assert_eq!(place(given), shown, "{given}");
        }
    }

    #[test]
    fn control_sequences_do_not_reach_the_terminal() {
        assert_eq!(clean("\u{1b}[2J\u{1b}[31mred\u{1b}[0m\u{7} tail"), "red tail");
        assert_eq!(clean("a\nb\tc"), "a b c");
        assert_eq!(clean("\u{1b}[unterminated \u{1b}"), "nterminated");
        assert_eq!(clean("\u{1b}é\u{9b}x"), "x");
        assert_eq!(clean("plain ü"), "plain ü");
        assert_eq!(clean_lines("a\r\nb").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn shortening_counts_characters() {
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten("äöüß", 3), "äö…");
        assert_eq!((count(1, "file"), count(0, "file")), ("1 file".into(), "0 files".into()));
    }

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(quoted("/var/lib/x"), "/var/lib/x");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
