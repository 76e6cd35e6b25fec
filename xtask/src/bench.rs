//! `cargo xtask bench`: builds what is measured, in release mode, and starts the load generator.

use crate::task::TaskError;
use crate::{metadata, shell};
use std::path::Path;
use std::process::Command;

/// Arguments of the task.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// From a session's creation to its process: latency, throughput, memory, start-up.
    Dispatch {
        /// A tenth of the work, for a first look.
        #[arg(long)]
        quick: bool,
        /// Prints one JSON document instead of the table.
        #[arg(long)]
        json: bool,
    },
}

/// Runs a benchmark. Missed goals are reported, not an error.
pub(crate) fn run(args: &Args) -> Result<(), TaskError> {
    let What::Dispatch { quick, json } = args.what;
    let build =
        ["cargo", "build", "--release", "-p", "rensei-cli", "-p", "xtask", "--features", "xtask/bench", "--bins"];
    shell::run(shell::command(&build))?;
    let target = metadata::load()?.target_directory;
    let programs = target.join("release");
    // Making a file on a disk file system can take longer than starting a process, and how long depends on what was
    // deleted before: in memory the figures are those of the product.
    let memory = Path::new("/dev/shm");
    let scratch = if memory.is_dir() { memory } else { target.as_path() };
    let mut command = Command::new(programs.join("bench-dispatch"));
    command.arg("--programs").arg(&programs).arg("--scratch").arg(scratch);
    command.args(quick.then_some("--quick")).args(json.then_some("--json"));
    shell::run(command)
}
