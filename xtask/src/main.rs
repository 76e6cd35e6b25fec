//! Repository tasks, run as `cargo xtask <task>`.
//!
//! The rules of this repository are programs: `layers` holds the arrows between crates, `tidy` the rules of the house,
//! `docs` runs what the documentation tells people to run, and `test` is all of them with the compiler's own checks.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tasks talk to the person who runs them")]

mod api;
mod bench;
mod docs;
mod layers;
mod manifest;
mod markdown;
mod metadata;
mod shell;
mod task;
mod test;
mod tidy;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Repository tasks")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Everything that a release needs; stops at the first failure.
    Test(test::Args),
    /// Checks dependency directions between crates and the homes of third-party crates.
    Layers,
    /// Checks the rules of the house: sizes, messages, links, named tests.
    Tidy,
    /// Checks that documented commands exist and runs the README's tour.
    Docs(docs::Args),
    /// Holds the control API to its document with tools from elsewhere.
    Api,
    /// Measures the product against limits taken in the same run.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Test(args) => test::run(&args),
        Task::Layers => layers::run(),
        Task::Tidy => tidy::run(),
        Task::Docs(args) => docs::run(&args),
        Task::Api => api::run().map(|note| println!("{}", note.unwrap_or_else(|| "api: held".to_owned()))),
        Task::Bench(args) => bench::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            task::report(&error);
            ExitCode::FAILURE
        }
    }
}
