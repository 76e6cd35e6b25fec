//! Behind `cargo xtask bench workarea`: what it takes to get a workarea, next to what git takes on the same data in
//! the same run.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to people")]
#![allow(clippy::expect_used, reason = "a benchmark that cannot go on ends with its reason")]

mod data;
mod measure;
#[path = "../bench-dispatch/report.rs"]
#[allow(dead_code, reason = "shared with the other benchmark")]
mod report;

use clap::Parser;
use data::Data;
use measure::{Fixture, Samples};
use report::{Goal, Report, Row};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Parser)]
struct Args {
    /// Directory under which a temporary one is made. Its file system is part of what is measured.
    #[arg(long)]
    scratch: PathBuf,
    /// Fewer files and rounds.
    #[arg(long)]
    quick: bool,
    /// One JSON document instead of the table.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let mut report = Report::begin();
    let (files, rounds) = if args.quick { (2000, 3) } else { (20_000, 7) };
    let scratch = tempfile::tempdir_in(&args.scratch).expect("the scratch directory is writable");
    let data = Data::make(scratch.path(), files);
    let fixture = Fixture::new(scratch.path(), &data);
    let mut samples = Samples::default();
    // One of each per round, so that the neighbours disturb all alike.
    for round in 0..rounds {
        fixture.round(round, &mut samples).await;
    }
    fixture.crowd(&mut samples).await;
    tell(&samples, &mut report);
    if args.json {
        report.print_json()
    } else {
        report.print_table()
    }
    ExitCode::SUCCESS
}

fn tell(samples: &Samples, report: &mut Report) {
    let best = |name: &str| samples.best(name);
    let row = |what: &str, measured: &str, limit: &str| Row::latency(what, best(measured)).limit(limit, best(limit));
    report.add(row("warm acquire, same commit", "warm", "reset --hard && clean -fdx").goal(Goal::Times(2.0)));
    report
        .add(row("warm acquire, changed tree", "warm, dirty", "fetch && reset && clean, dirty").goal(Goal::Times(2.0)));
    for limit in ["worktree add, 2 workers", "clone --reference", "clone --depth 1"] {
        let compared = row("cold acquire from the mirror", "fresh", limit);
        let goal = (limit == "worktree add, 2 workers").then_some(Goal::Times(1.2));
        report.add(match goal {
            Some(goal) => compared.goal(goal),
            None => compared,
        });
    }
    let [fresh, worktree] = ["fresh", "worktree add, 2 workers"].map(measure::processor);
    report.add(row("the same in processor time", &fresh, &worktree));
    report.add(row("return to the pool", "release", "reset --hard && clean -fdx"));
    report.add(row("32 acquires of 4 repositories, cold", "crowd, cold", "32 clones").goal(Goal::Times(1.0)));
    report.add(row("32 acquires of 4 repositories, warm", "crowd, warm", "32 clones").goal(Goal::Times(1.0)));
}
