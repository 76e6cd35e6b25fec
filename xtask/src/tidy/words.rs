//! Words that have no place in the tree: leftovers, and references that a reader cannot follow.

use super::TextFile;
use crate::task::Finding;

/// A pattern in lower case and what is wrong with it. Written in two halves so that this file does not find itself.
const WORDS: &[(&str, &str, &str)] = &[
    ("fix", "me", "finish it, or describe what the code does today"),
    ("to", "do:", "finish it, or describe what the code does today"),
    ("to", "do(", "finish it, or describe what the code does today"),
    ("todo", "!(", "nothing unfinished is shipped"),
    ("unimplemented", "!(", "nothing unfinished is shipped"),
    ("iss", "ue #", "say what holds, not where it was discussed"),
    ("co-auth", "ored-by", "no banners"),
    ("generated ", "with", "no banners"),
    ("/wo", "rk/", "a path of one developer's machine"),
    ("/ho", "me/", "a path of one developer's machine"),
    ("/us", "ers/", "a path of one developer's machine"),
];

/// Places where such a path is data: patterns that are followed or preceded by these are fine.
const EXEMPT: &[&str] = &["tests", "golden"];

/// Checks one file.
pub(crate) fn check(file: &TextFile) -> Vec<Finding> {
    if file.path.components().any(|part| EXEMPT.iter().any(|name| part.as_os_str() == *name)) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let lower = line.to_lowercase();
        for (head, tail, why) in WORDS {
            let word = format!("{head}{tail}");
            if lower.match_indices(&word).any(|(at, _)| starts_a_word(&lower, at)) {
                findings.push(file.finding(index + 1, format!("`{word}`: {why}")));
            }
        }
    }
    findings
}

/// Whether the match at `at` is not the rest of a longer word or path.
fn starts_a_word(line: &str, at: usize) -> bool {
    line[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric() && !matches!(before, '.' | '}' | '>'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn count(path: &str, text: &str) -> usize {
        check(&TextFile { path: PathBuf::from(path), text: text.to_owned() }).len()
    }

    #[test]
    fn leftovers_are_found_and_ordinary_words_are_not() {
        assert_eq!(count("a.rs", &format!("// {}{} later\n", "FIX", "ME")), 1);
        assert_eq!(count("a.rs", &format!("see {}{}12", "iss", "ue #")), 1);
        assert_eq!(count("a.md", &format!("in /{}/me/x", "home")), 1);
        assert_eq!(count("a.rs", "mastodon: a prefix, an issue, $TMP/work/x and https://a.b/work/x"), 0);
        assert_eq!(count("crates/a/tests/a.rs", &format!("/{}/x", "home")), 0);
    }
}
