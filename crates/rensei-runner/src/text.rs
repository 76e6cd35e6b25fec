//! Foreign text, bounded and safe to show.

use rensei_process::output_log::plain_line;

/// Cuts `text` to at most `max` bytes at a character border; a cut text ends in `…`.
pub(crate) fn cut(text: &mut String, max: usize) {
    const MARK: char = '…';
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max.saturating_sub(MARK.len_utf8())));
        text.push(MARK);
    }
}

/// One line of at most `max` bytes: every run of white space becomes one space.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let words: Vec<String> = text.split_whitespace().map(|word| plain_line(word.as_bytes())).collect();
    let mut line = words.join(" ");
    cut(&mut line, max);
    line
}

/// The same with the next step, where there is one.
pub(crate) fn with_hint(message: String, hint: Option<String>) -> String {
    match hint.filter(|hint| !hint.is_empty()) {
        Some(hint) => format!("{message} ({hint})"),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_a_character() {
        let mut text = "ééééé".to_owned();
        cut(&mut text, 8);
        assert_eq!(text, "éé…");
        let mut short = "abc".to_owned();
        cut(&mut short, 3);
        assert_eq!(short, "abc");
        assert_eq!(one_line("  fix\n the\tthing\u{1b}[31m ", 100), "fix the thing");
    }
}
