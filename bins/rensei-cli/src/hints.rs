//! Every command that a message of any crate names can be typed.

use crate::args::RenseiArgs;
use clap::CommandFactory;
use clap::error::ErrorKind;
use regex_lite::Regex;
use std::path::{Path, PathBuf};

/// Sources of everything that ships.
fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = ["crates", "bins"].iter().map(|dir| root.join(dir)).collect();
    while let Some(dir) = open.pop() {
        for path in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !["target", "tests", "snapshots"].contains(&name.as_str()) {
                open.push(path);
            } else if name.ends_with(".rs") && name != "hints.rs" {
                found.push(path);
            }
        }
    }
    found
}

/// Calls of the program within backticks; comments count, help texts are made of them. Placeholders become a value.
fn calls(source: &str) -> Vec<String> {
    let shipped = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let one_line = Regex::new(r"\\\n\s*").unwrap().replace_all(shipped, "");
    // What is a placeholder from the first word on names nothing.
    let call = Regex::new(r"`(rensei [a-z-][^`\n]*)`").unwrap();
    let placeholder = Regex::new(r"\{[^}]*\}|<[^>]*>").unwrap();
    let calls = call.captures_iter(&one_line).map(|found| found[1].to_owned());
    calls.map(|call| placeholder.replace_all(&call, "1").into_owned()).collect()
}

/// Why a call cannot be typed. The name of a command may stand alone, as may a flag.
fn problem(call: &str) -> Option<String> {
    let simple = call.split(" | ").next().unwrap_or_default();
    let words: Vec<&str> = simple.split_whitespace().filter(|word| *word != "…").collect();
    let parse = |words: &[&str]| RenseiArgs::command().try_get_matches_from(words).err();
    let mut error = parse(&words)?;
    if error.kind() == ErrorKind::InvalidValue {
        error = parse(&[&words[..], &["1"]].concat())?;
    }
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::MissingRequiredArgument => None,
        _ => error.to_string().lines().next().map(str::to_owned),
    }
}

#[test]
fn every_command_that_is_named_exists() {
    let mut count = 0;
    let mut problems = Vec::new();
    for path in sources() {
        for call in calls(&std::fs::read_to_string(&path).unwrap()) {
            count += 1;
            problems.extend(problem(&call).map(|why| format!("{}: `{call}`: {why}", path.display())));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(count > 50, "only {count} were found: they are not looked for in the right way");
}

/// A hint as it was printed, without colour and with a value for what the record masks.
fn hints(page: &str) -> Vec<String> {
    let mask = Regex::new(r"\[[a-z]+\]").unwrap();
    let lines = page.lines().filter_map(|line| line.trim_start().strip_prefix("hint: "));
    lines.map(|hint| mask.replace_all(hint, "1").into_owned()).collect()
}

#[test]
fn every_failure_on_record_names_a_command_that_can_be_typed() {
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/snapshots");
    let (mut failures, mut problems) = (0, Vec::new());
    for path in std::fs::read_dir(records).unwrap().map(|entry| entry.unwrap().path()) {
        let record = std::fs::read_to_string(&path).unwrap();
        // One page per width; the coloured one says the same.
        for page in record.split("\n=== ").filter(|page| !page.starts_with("coloured")) {
            let found: Vec<String> = hints(page).iter().flat_map(|hint| calls(hint)).collect();
            let wrong = found.iter().filter_map(|call| problem(call).map(|why| format!("`{call}`: {why}")));
            problems.extend(wrong.map(|why| format!("{}: {why}", path.display())));
            if page.contains("--- stderr\nerror: ") {
                failures += 1;
                if found.is_empty() && !page.contains("try '--help'") {
                    problems.push(format!("{}: no next command:\n{page}", path.display()));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(failures > 50, "only {failures} failures are on record: they are not looked for in the right way");
}

#[test]
fn calls_are_found_and_judged() {
    let text =
        "hint(\"see `rensei host logs \\\n        --lines <n>`, or `rensei session show {id}`\")\n/// `rensei nothing`";
    assert_eq!(calls(text), ["rensei host logs --lines 1", "rensei session show 1", "rensei nothing"]);
    assert_eq!(problem("rensei host logs --lines 1"), None);
    assert_eq!(problem("rensei host"), None);
    assert!(problem("rensei nothing").is_some() && problem("rensei host logs --nothing").is_some());
    assert_eq!(problem("rensei host logs --file"), None);
}
