//! `cargo xtask test`: everything that a release needs, cheapest first, the tests last.

use crate::task::TaskError;
use crate::{api, docs, layers, shell, tidy};
use std::process::Command;
use std::time::{Duration, Instant};

/// Arguments of the task.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Runs only these steps (comma separated, or repeated).
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Names the steps and ends.
    #[arg(long)]
    list: bool,
}

/// One step.
struct Step {
    name: &'static str,
    what: &'static str,
    run: fn(&mut Summary) -> Result<(), TaskError>,
}

/// What is said at the very end.
#[derive(Debug, Default)]
struct Summary {
    tests: Counts,
    skipped: Vec<String>,
}

const STEPS: &[Step] = &[
    Step { name: "fmt", what: "formatting", run: |_| cargo(&["fmt", "--all", "--check"]) },
    Step { name: "layers", what: "dependency directions", run: |_| layers::run() },
    Step { name: "tidy", what: "rules of the house", run: |_| tidy::run() },
    Step { name: "deny", what: "licences, bans, sources", run: deny },
    Step {
        name: "clippy",
        what: "lints",
        run: |_| cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]),
    },
    Step { name: "doc", what: "API documentation", run: |_| rustdoc() },
    Step {
        name: "doctest",
        what: "examples in the documentation",
        run: |summary| tests(&["test", "--workspace", "--all-features", "--doc", "--no-fail-fast"], summary),
    },
    Step { name: "docs", what: "documented commands, tour of the README", run: |_| docs::run(&docs::Args::default()) },
    Step {
        name: "api",
        what: "the control API under a public validator, a fuzzer and a parser of metrics",
        run: |summary| api::run().map(|skipped| summary.skipped.extend(skipped)),
    },
    Step { name: "tests", what: "unit, integration and end-to-end tests", run: workspace_tests },
];

/// Runs the steps.
pub(crate) fn run(args: &Args) -> Result<(), TaskError> {
    if args.list {
        for step in STEPS {
            println!("{:<8} {}", step.name, step.what);
        }
        return Ok(());
    }
    let mut summary = Summary::default();
    let mut durations = Vec::new();
    for step in selected(&args.only)? {
        println!("== {}: {}", step.name, step.what);
        let started = Instant::now();
        (step.run)(&mut summary).inspect_err(|_| close(&summary, &durations, Some(step.name)))?;
        durations.push((step.name, started.elapsed()));
        println!("== {}: ok in {}", step.name, seconds(started.elapsed()));
    }
    close(&summary, &durations, None);
    Ok(())
}

fn selected(only: &[String]) -> Result<Vec<&'static Step>, TaskError> {
    for name in only {
        if !STEPS.iter().any(|step| step.name == name) {
            let known = STEPS.iter().map(|step| step.name).collect::<Vec<_>>().join(", ");
            return Err(TaskError::UnknownStep { name: name.clone(), known });
        }
    }
    Ok(STEPS.iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name)).collect())
}

/// The closing lines: steps with durations, what was left out, and the count of tests as the very last line.
fn close(summary: &Summary, durations: &[(&str, Duration)], failed: Option<&str>) {
    println!();
    for (name, duration) in durations {
        println!("{name:<8} ok      {}", seconds(*duration));
    }
    for reason in &summary.skipped {
        println!("{reason}");
    }
    if let Some(name) = failed {
        println!("{name:<8} FAILED  again with: cargo xtask test --only {name}");
    }
    if summary.tests.any() {
        println!("{} passed, {} failed", summary.tests.passed, summary.tests.failed);
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn cargo(args: &[&str]) -> Result<(), TaskError> {
    shell::run(cargo_command(args))
}

fn cargo_command(args: &[&str]) -> Command {
    let mut command = shell::command(&["cargo"]);
    command.args(args);
    command
}

fn rustdoc() -> Result<(), TaskError> {
    // Libraries only: a program and a library of the same name would overwrite each other's pages.
    let mut command = cargo_command(&["doc", "--workspace", "--all-features", "--no-deps", "--lib"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    shell::run(command)
}

fn deny(summary: &mut Summary) -> Result<(), TaskError> {
    if !shell::has_cargo_subcommand("deny") {
        summary
            .skipped
            .push("deny     skipped: cargo-deny is not installed (cargo install cargo-deny --locked)".into());
        return Ok(());
    }
    cargo(&["deny", "--all-features", "check", "bans", "licenses", "sources"])
}

fn workspace_tests(summary: &mut Summary) -> Result<(), TaskError> {
    if shell::has_cargo_subcommand("nextest") {
        tests(&["nextest", "run", "--workspace", "--all-features"], summary)
    } else {
        tests(&["test", "--workspace", "--all-features", "--lib", "--bins", "--tests", "--no-fail-fast"], summary)
    }
}

fn tests(args: &[&str], summary: &mut Summary) -> Result<(), TaskError> {
    let counts = &mut summary.tests;
    shell::run_watched(cargo_command(args), |line| counts.read(line))
}

/// Tests that passed and failed, as their runner says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl Counts {
    const fn any(&self) -> bool {
        self.passed + self.failed > 0
    }

    /// Reads a closing line of nextest (`Summary [ 1.0s] 3 tests run: 2 passed, 1 failed`) or of the built-in runner
    /// (`test result: ok. 3 passed; 0 failed; …`).
    fn read(&mut self, line: &str) {
        // nextest shows the output of a failed test, with that test's own closing line, indented.
        if line.trim_start().starts_with("Summary [") || line.starts_with("test result: ") {
            self.passed += number_before(line, " passed");
            self.failed += number_before(line, " failed") + number_before(line, " timed out");
        }
    }
}

/// The number right before `word`; 0 when there is none.
fn number_before(line: &str, word: &str) -> u64 {
    let Some((head, _)) = line.split_once(word) else { return 0 };
    let digits = head.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_both_runners_are_counted() {
        let mut counts = Counts::default();
        for line in [
            "     Summary [   1.234s] 12 tests run: 9 passed (1 slow), 2 failed, 1 timed out, 3 skipped",
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s",
            "a test that says 100 passed",
        ] {
            counts.read(line);
        }
        assert_eq!(counts, Counts { passed: 14, failed: 3 });
    }

    #[test]
    fn steps_are_picked_by_name_in_their_own_order() {
        let names: Vec<_> = selected(&["tidy".into(), "fmt".into()]).unwrap().iter().map(|step| step.name).collect();
        assert_eq!(names, ["fmt", "tidy"]);
        assert!(selected(&["nonsense".into()]).is_err_and(|error| error.to_string().contains("clippy")));
    }
}
