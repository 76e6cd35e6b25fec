//! Behind `cargo xtask bench workarea`: what it takes to get a workarea, next to what git takes on the same data in
//! the same run.
#![allow(clippy::expect_used, reason = "a benchmark that cannot go on ends with its reason")]

mod data;
mod measure;

use clap::Parser;
use data::Data;
use measure::Fixture;
use std::process::ExitCode;
use xtask::{Goal, Options, Report, Row, Samples};

#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Args { options } = Args::parse();
    let mut report = Report::begin();
    let (files, rounds) = if options.quick { (2000, 3) } else { (20_000, 7) };
    let scratch = tempfile::tempdir_in(&options.scratch).expect("the scratch directory is writable");
    let data = Data::make(scratch.path(), files);
    let fixture = Fixture::new(scratch.path(), &data);
    let mut samples = Samples::default();
    // One of each per round, so that the neighbours disturb all alike.
    for round in 0..rounds {
        fixture.round(round, &mut samples).await;
    }
    fixture.crowd(&mut samples).await;
    tell(&samples, &mut report);
    report.print(options.json);
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
