//! Rules for Rust sources: sizes, shape of `lib.rs`, wording of errors.

use super::TextFile;
use crate::task::Finding;

/// Lines of a module without its tests, above which its documentation must say why it is that long.
const SOFT_LINES: usize = 350;
/// Lines of a module without its tests that no reason allows.
const HARD_LINES: usize = 700;
/// How a module's documentation starts the reason.
const REASON: &str = "//! Length:";

/// Checks one source file.
pub(crate) fn check(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(length(file));
    findings.extend(module_file_name(file));
    findings.extend(library_root(file));
    findings.extend(error_messages(file));
    findings
}

/// Whether the file holds nothing but tests.
fn is_test_file(file: &TextFile) -> bool {
    let in_tests = file.path.components().any(|part| part.as_os_str() == "tests");
    in_tests || file.path.file_stem().is_some_and(|stem| stem == "tests")
}

/// Lines before the inline test module.
fn lines_without_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let opens_tests =
        |pair: &[&str]| pair[0].starts_with("#[cfg(test)]") && pair[1].starts_with("mod ") && pair[1].ends_with('{');
    lines.windows(2).position(opens_tests).unwrap_or(lines.len())
}

fn length(file: &TextFile) -> Option<Finding> {
    let lines = lines_without_tests(&file.text);
    if is_test_file(file) || lines <= SOFT_LINES {
        return None;
    }
    let reasoned = file.text.lines().any(|line| line.starts_with(REASON));
    if lines > HARD_LINES {
        Some(file.finding(1, format!("{lines} lines without tests; the limit is {HARD_LINES}: split the module")))
    } else if reasoned {
        None
    } else {
        let message = format!(
            "{lines} lines without tests; above {SOFT_LINES} split it, or give the reason in a `{REASON} …` line"
        );
        Some(file.finding(1, message))
    }
}

fn module_file_name(file: &TextFile) -> Option<Finding> {
    let is_mod = file.path.file_name().is_some_and(|name| name == "mod.rs");
    (is_mod && !is_test_file(file)).then(|| file.finding(1, "name the module's file after the module, not mod.rs"))
}

/// A library's root is its table of contents: docs, modules, re-exports.
fn library_root(file: &TextFile) -> Vec<Finding> {
    if !file.path.ends_with("src/lib.rs") {
        return Vec::new();
    }
    let items = ["fn ", "struct ", "enum ", "trait ", "impl ", "impl<", "const ", "static ", "type ", "macro_rules!"];
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().take(lines_without_tests(&file.text)).enumerate() {
        let item = strip_visibility(line);
        let item = item.strip_prefix("async ").unwrap_or(item);
        if items.iter().any(|start| item.starts_with(start)) {
            findings.push(file.finding(index + 1, "an item in lib.rs; it holds docs, modules and re-exports only"));
        }
    }
    findings
}

fn strip_visibility(line: &str) -> &str {
    let line = line.trim_start();
    let Some(rest) = line.strip_prefix("pub") else { return line };
    let rest = rest.strip_prefix("(crate)").or_else(|| rest.strip_prefix("(super)")).unwrap_or(rest);
    rest.trim_start()
}

/// Messages are lower-case fragments without a final full stop, and never repeat their source: whoever prints an error
/// prints its whole chain.
fn error_messages(file: &TextFile) -> Vec<Finding> {
    let lines: Vec<&str> = file.text.lines().take(lines_without_tests(&file.text)).collect();
    let mut findings = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(start) = line.trim_start().strip_prefix("#[error(") else { continue };
        let Some(message) = message_text(start.trim_start(), lines.get(index + 1).copied()) else { continue };
        let body = &lines[index + 1..lines.len().min(index + 4)];
        let problems = [starts_upper(message), ends_with_stop(message), repeats_source(message, body)];
        findings.extend(problems.into_iter().flatten().map(|problem| file.finding(index + 1, problem)));
    }
    findings
}

/// The literal of an `#[error(…)]`, which may start on the next line.
fn message_text<'a>(rest: &'a str, next: Option<&'a str>) -> Option<&'a str> {
    let literal = if rest.is_empty() { next?.trim_start() } else { rest };
    let inside = literal.strip_prefix('"')?;
    let end = inside.char_indices().find(|(at, c)| *c == '"' && !inside[..*at].ends_with('\\'))?.0;
    Some(&inside[..end])
}

fn starts_upper(message: &str) -> Option<String> {
    let mut chars = message.chars();
    let capital = chars.next().is_some_and(char::is_uppercase) && chars.next().is_some_and(char::is_lowercase);
    capital.then(|| format!("error message `{message}` starts with a capital; messages are lower-case fragments"))
}

fn ends_with_stop(message: &str) -> Option<String> {
    (message.ends_with('.') && !message.ends_with(".."))
        .then(|| format!("error message `{message}` ends with a full stop"))
}

fn repeats_source(message: &str, body: &[&str]) -> Option<String> {
    let tuple_source =
        body.first().is_some_and(|variant| variant.contains("(#[source]") || variant.contains("(#[from]"));
    let named = ["{source}", "{source:"].iter().any(|p| message.contains(p));
    let positional = tuple_source && ["{0}", "{0:"].iter().any(|p| message.contains(p));
    (named || positional)
        .then(|| format!("error message `{message}` repeats its source; whoever prints it prints the chain"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn messages(path: &str, text: &str) -> Vec<String> {
        let file = TextFile { path: PathBuf::from(path), text: text.to_owned() };
        check(&file).into_iter().map(|finding| format!("{} {}", finding.place, finding.message)).collect()
    }

    #[test]
    fn long_modules_need_a_reason_and_longer_ones_must_be_split() {
        let long = "//! A.\n".to_owned() + &"fn a() {}\n".repeat(400);
        assert_eq!(messages("crates/a/src/a.rs", &long).len(), 1);
        assert!(messages("crates/a/src/a.rs", &format!("//! Length: a table.\n{long}")).is_empty());
        assert!(messages("crates/a/tests/a.rs", &long).is_empty());
        let with_tests = format!("//! A.\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
        assert!(messages("crates/a/src/a.rs", &with_tests).is_empty());
        assert!(
            messages("crates/a/src/a.rs", &format!("//! Length: x\n{}", "fn a() {}\n".repeat(800)))[0]
                .contains("split")
        );
    }

    #[test]
    fn library_roots_hold_no_items() {
        let good = "//! Docs.\nmod a;\npub mod b;\n#[cfg(feature = \"x\")]\npub use a::{\n    One,\n};\n";
        assert!(messages("crates/a/src/lib.rs", good).is_empty());
        assert_eq!(
            messages("crates/a/src/lib.rs", "pub const fn a() {}\npub(crate) struct B;\nasync fn c() {}\n").len(),
            3
        );
        assert!(messages("crates/a/src/other.rs", "pub fn a() {}\n").is_empty());
    }

    #[test]
    fn error_messages_are_fragments_that_do_not_repeat_their_source() {
        for bad in [
            "#[error(\"Failed to open\")]\nA,",
            "#[error(\"failed to open.\")]\nA,",
            "#[error(\"failed: {source}\")]\nA {\n#[source] source: E },",
            "#[error(\"failed: {0}\")]\nA(#[source] E),",
            "#[error(\n    \"Failed\"\n)]\nA,",
        ] {
            assert_eq!(messages("crates/a/src/a.rs", bad).len(), 1, "{bad}");
        }
        for good in [
            "#[error(\"HTTP status {0}\")]\nA(u16),",
            "#[error(\"more\u{2026}\")]\nA,",
            "#[error(transparent)]\nA(#[from] E),",
        ] {
            assert!(messages("crates/a/src/a.rs", good).is_empty(), "{good}");
        }
    }
}
