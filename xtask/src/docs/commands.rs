//! Commands named in documents, looked up in the help of the programs.

use crate::markdown::Document;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Programs of this repository that documents may name.
const PROGRAMS: &[&str] = &["rensei", "rensei-daemon", "rensei-platform", "xtask"];

/// A call of one of our programs: its name and the words after it.
pub(super) type Call = (String, Vec<String>);

/// All calls in a document, with line numbers: in shell blocks and in inline code.
pub(super) fn calls(document: &Document) -> Vec<(usize, Call)> {
    let blocks = document.blocks.iter().filter(|block| block.info.starts_with("sh"));
    let in_blocks = blocks.flat_map(|block| {
        let text = block.text.replace("\\\n", "  ");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.into_iter().map(|line| (block.line, line))
    });
    let inline = document.code.iter().filter(|(_, code)| starts_call(code)).cloned();
    in_blocks.chain(inline).flat_map(|(line, text)| calls_in(&text).into_iter().map(move |call| (line, call))).collect()
}

/// Whether inline code is a call and not a crate's or a file's name.
fn starts_call(code: &str) -> bool {
    let mut words = code.split_whitespace();
    let first = words.next().unwrap_or_default();
    words.next().is_some() && (PROGRAMS.contains(&first) || first == "cargo")
}

fn calls_in(line: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    for simple in line.split(['|', ';', '(', ')', '&']) {
        let words: Vec<&str> = simple.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
        // `RENSEI_X=… rensei …`, `until rensei …` and `cargo run --bin rensei -- …` are calls; `cargo build --bin
        // rensei` is not one of ours.
        let at = words.iter().position(|word| PROGRAMS.contains(word));
        let Some(at) =
            at.filter(|_| words.first() != Some(&"cargo") || words.contains(&"--") || words.contains(&"xtask"))
        else {
            continue;
        };
        let rest = words[at + 1..].iter().filter(|word| **word != "--");
        let rest = rest.take_while(|word| !word.starts_with('>') && !word.starts_with("2>") && !word.starts_with('<'));
        calls.push((words[at].to_owned(), rest.map(|word| (*word).to_owned()).collect()));
    }
    calls
}

/// Help texts, asked for once.
#[derive(Debug)]
pub(super) struct Help {
    programs: PathBuf,
    texts: BTreeMap<Vec<String>, Option<String>>,
}

impl Help {
    pub(super) const fn new(programs: PathBuf) -> Self {
        Self { programs, texts: BTreeMap::new() }
    }

    /// What is wrong with a call, if anything: an unknown command or an unknown flag.
    pub(super) fn problem(&mut self, (program, words): &Call) -> Option<String> {
        let mut path = vec![program.clone()];
        let mut rest = words.as_slice();
        loop {
            let Some(text) = self.text(&path) else {
                return Some(format!("`{}` cannot be asked for help", path.join(" ")));
            };
            let commands = subcommands(&text);
            match rest.split_first() {
                Some((word, tail)) if commands.contains(word) => {
                    path.push(word.clone());
                    rest = tail;
                }
                Some((word, _)) if !commands.is_empty() && is_plain_word(word) => {
                    return Some(format!("`{}` has no command `{word}`", path.join(" ")));
                }
                _ => return unknown_flag(&text, rest).map(|flag| format!("`{}` has no flag `{flag}`", path.join(" "))),
            }
        }
    }

    fn text(&mut self, path: &[String]) -> Option<String> {
        let programs = &self.programs;
        self.texts.entry(path.to_vec()).or_insert_with(|| ask(programs, path)).clone()
    }
}

fn ask(programs: &std::path::Path, path: &[String]) -> Option<String> {
    let mut command = Command::new(programs.join(&path[0]));
    let output = command.args(&path[1..]).arg("--help").stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Names in the `Commands:` part of a help text.
fn subcommands(help: &str) -> Vec<String> {
    let part =
        help.lines().skip_while(|line| line.trim() != "Commands:").skip(1).take_while(|line| !line.trim().is_empty());
    part.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn is_plain_word(word: &str) -> bool {
    !word.starts_with('-') && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

fn unknown_flag<'a>(help: &str, words: &'a [String]) -> Option<&'a str> {
    let flags = words.iter().filter(|word| word.starts_with("--")).map(|word| word.split('=').next().unwrap_or(word));
    let known =
        |flag: &str| help.split(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']' | '=')).any(|w| w == flag);
    flags.map(|flag| flag.trim_end_matches(['.', ','])).find(|flag| !known(flag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::markdown;

    #[test]
    fn calls_are_found_in_blocks_and_inline() {
        let text = "Run `rensei host stop` on `rensei-proto`.\n```sh tour\ncargo run --release --bin rensei -- demo\n\
            cargo build --bin rensei\nX=1 rensei host run --port 7 > log 2>&1 &\nuntil rensei host status; do sleep 1; done\n\
            rensei session create \\\n  --wait # --no\ncargo xtask test\n```\n```yaml\nrensei nonsense\n```\n";
        let found: Vec<String> =
            calls(&markdown::parse(text)).into_iter().map(|(_, (p, w))| format!("{p} {}", w.join(" "))).collect();
        assert_eq!(
            found,
            [
                "rensei demo",
                "rensei host run --port 7",
                "rensei host status",
                "rensei session create --wait",
                "xtask test",
                "rensei host stop",
            ]
        );
    }

    #[test]
    fn unknown_commands_and_flags_are_named() {
        let mut help = Help::new(PathBuf::new());
        let root = "Commands:\n  host  This machine\n  help  Print this\n\nOptions:\n  --color <WHEN>\n";
        let host = "Options:\n  -n, --lines <N>  Lines\n";
        help.texts.insert(vec!["rensei".into()], Some(root.into()));
        help.texts.insert(vec!["rensei".into(), "host".into()], Some(host.into()));
        let mut check =
            |words: &[&str]| help.problem(&("rensei".into(), words.iter().map(|w| (*w).to_owned()).collect()));
        assert_eq!(check(&["host", "--lines=3", "value"]), None);
        assert_eq!(check(&["--color", "never"]), None);
        assert!(check(&["ghost"]).unwrap().contains("no command `ghost`"));
        assert!(check(&["host", "--line"]).unwrap().contains("no flag `--line`"));
    }
}
