//! The text of `docs/cli.md`, from what can be typed.

use crate::args::RenseiArgs;
use clap::builder::PossibleValue;
use clap::{Arg, Command, CommandFactory};
use std::fmt::Write as _;

/// What stands above the commands.
const HEAD: &str = "\
# Commands

<!-- Written by `RENSEI_UPDATE_DOCS=1 cargo nextest run -p rensei-cli cli_reference`. Do not edit. -->

`rensei <command> --help` says the same, `rensei man` makes manual pages of it, and `rensei completions` completes it.

Data goes to stdout, everything else to stderr. `--json` prints what the API answers, indented by two spaces. Exit codes: 0
done, 1 failed, 2 called wrongly or could not begin, 3 the daemon wants to be started again, 130 interrupted. Every error
names the next command.
";

/// The whole reference.
fn reference() -> String {
    let mut command = RenseiArgs::command();
    command.build();
    let mut text = HEAD.to_owned();
    let global = command.get_arguments().filter(|arg| arg.is_global_set() && !arg.is_hide_set());
    section(&mut text, "## Options of every command");
    options(&mut text, global);
    for noun in visible(&command) {
        section(&mut text, &format!("## rensei {}", noun.get_name()));
        describe(&mut text, noun);
        for verb in visible(noun) {
            command_with_children(&mut text, &format!("rensei {} {}", noun.get_name(), verb.get_name()), verb);
        }
    }
    text
}

fn command_with_children(text: &mut String, name: &str, command: &Command) {
    section(text, &format!("### {name}"));
    describe(text, command);
    for child in visible(command) {
        command_with_children(text, &format!("{name} {}", child.get_name()), child);
    }
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

fn section(text: &mut String, heading: &str) {
    line(text, "");
    line(text, heading);
}

/// What it does, how it is called, its arguments, its examples.
fn describe(text: &mut String, command: &Command) {
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string);
    line(text, "");
    line(text, &prose(&about.unwrap_or_default()));
    let aliases: Vec<String> = command.get_visible_aliases().map(|alias| format!("`{alias}`")).collect();
    if !aliases.is_empty() {
        line(text, &format!("\nAlso called {}.", aliases.join(", ")));
    }
    if command.has_subcommands() {
        return;
    }
    let usage = command.clone().render_usage().to_string();
    line(text, &format!("\n```text\n{}\n```", usage.trim_start_matches("Usage: ")));
    options(text, command.get_arguments().filter(|arg| !arg.is_global_set() && !arg.is_hide_set()));
    let after = command.get_after_long_help().or_else(|| command.get_after_help()).map(ToString::to_string);
    notes(text, &after.unwrap_or_default());
}

fn options<'a>(text: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    use clap::ArgAction::{Help, HelpLong, HelpShort, Version};
    let rows: Vec<String> = arguments
        .filter(|arg| !matches!(arg.get_action(), Help | HelpShort | HelpLong | Version))
        .map(option)
        .collect();
    if rows.is_empty() {
        return;
    }
    line(text, "\n| | |\n|---|---|");
    rows.iter().for_each(|row| line(text, row));
}

/// One argument as a row of a table.
fn option(arg: &Arg) -> String {
    let values = arg.get_value_names().filter(|_| arg.get_action().takes_values()).unwrap_or_default();
    let values: Vec<String> = values.iter().map(|value| format!("<{value}>")).collect();
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    let others = arg.get_visible_aliases().unwrap_or_default().into_iter().map(|alias| format!("--{alias}"));
    let names: Vec<String> = short.into_iter().chain(long).chain(others).collect();
    let name = [names.join(", "), values.join(" ")].join(" ");
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let default = defaults(arg).map(|default| format!(" Default: `{default}`.")).unwrap_or_default();
    let row = [format!("`{}`", name.trim()), format!("{}{}{default}", prose(&help), choices(arg))];
    format!("| {} |", row.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

fn defaults(arg: &Arg) -> Option<String> {
    let is_switch = !arg.get_action().takes_values();
    let values: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    (!values.is_empty() && !is_switch && !arg.is_hide_default_value_set()).then(|| values.join(" "))
}

fn choices(arg: &Arg) -> String {
    let choices: Vec<PossibleValue> = arg.get_possible_values().into_iter().filter(|c| !c.is_hide_set()).collect();
    if choices.is_empty() || !arg.get_action().takes_values() {
        return String::new();
    }
    let names: Vec<String> = choices.iter().map(|choice| format!("`{}`", choice.get_name())).collect();
    format!(" One of {}.", names.join(", "))
}

/// Examples, which are the indented lines, and what is said beside them.
fn notes(text: &mut String, after: &str) {
    let mut in_examples = false;
    for (n, note) in after.lines().enumerate() {
        let is_example = note.starts_with("  ");
        if is_example != in_examples {
            line(text, if is_example { "\n```sh" } else { "```" });
            in_examples = is_example;
        } else if n == 0 && note != "Examples:" {
            line(text, "");
        }
        match note {
            "Examples:" => {}
            example if is_example => line(text, example.trim_start()),
            note => line(text, &prose(note)),
        }
    }
    if in_examples {
        line(text, "```");
    }
}

/// A text of clap, which takes the full stop off a single sentence. Placeholders in angle brackets would be HTML.
fn prose(text: &str) -> String {
    let mut out = String::new();
    let text = match text.chars().next_back() {
        Some(end) if end.is_alphanumeric() || "`)]".contains(end) => format!("{text}."),
        _ => text.to_owned(),
    };
    for (n, part) in text.trim_end().split('`').enumerate() {
        let is_code = n % 2 == 1;
        if n > 0 {
            out.push('`');
        }
        out.push_str(&if is_code { part.to_owned() } else { part.replace('<', "&lt;") });
    }
    out
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a String does not fail");
}

#[test]
fn cli_reference_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    if std::env::var_os("RENSEI_UPDATE_DOCS").is_some() {
        std::fs::write(&path, reference()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let again = "RENSEI_UPDATE_DOCS=1 cargo nextest run -p rensei-cli cli_reference";
    assert!(found == reference(), "docs/cli.md is not what can be typed; write it with\n    {again}");
}
