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
    Dispatch(Options),
    /// What the daemon costs while sessions run: accept to exec, also beside a large heap, output, idleness, memory.
    Runtime(Options),
    /// Kits: listing 1000 of them, and detection in a tree of 20 000 files.
    Kits(Options),
    /// From asking for a workarea to having it, against git on the same data.
    Workarea(Options),
    /// Archiving, restoring and comparing a tree of 20 000 files, against `cp`, `git diff` and plain hashing.
    Archive(Options),
    /// The control API: requests per second next to a bare server, and a thousand readers of events.
    Control(Options),
}

#[derive(Debug, Clone, Copy, clap::Args)]
struct Options {
    /// A tenth of the work, for a first look.
    #[arg(long)]
    quick: bool,
    /// Prints one JSON document instead of the table.
    #[arg(long)]
    json: bool,
}

/// Runs a benchmark. Missed goals are reported, not an error.
pub(crate) fn run(args: &Args) -> Result<(), TaskError> {
    match args.what {
        What::Dispatch(options) => daemon("dispatch", options),
        What::Runtime(options) => daemon("runtime", options),
        What::Control(options) => daemon("control", options),
        What::Kits(options) => alone("bench-kits", "bench", options),
        What::Workarea(options) => alone("bench-workarea", "bench-workarea", options),
        What::Archive(options) => alone("bench-archive", "bench-workarea", options),
    }
}

/// A suite of the load generator that drives real daemons.
fn daemon(suite: &str, Options { quick, json }: Options) -> Result<(), TaskError> {
    let build =
        ["cargo", "build", "--release", "-p", "rensei-cli", "-p", "xtask", "--features", "xtask/bench", "--bins"];
    shell::run(shell::command(&build))?;
    let target = metadata::load()?.target_directory;
    let programs = target.join("release");
    let scratch = scratch(&target);
    let mut command = Command::new(programs.join("bench-dispatch"));
    command.arg("--programs").arg(&programs).arg("--scratch").arg(scratch).args(["--suite", suite]);
    command.args(quick.then_some("--quick")).args(json.then_some("--json"));
    shell::run(command)
}

/// A program that measures in its own process.
fn alone(name: &str, features: &str, Options { quick, json }: Options) -> Result<(), TaskError> {
    let build = ["cargo", "build", "--release", "-p", "xtask", "--features", features, "--bin", name];
    shell::run(shell::command(&build))?;
    let target = metadata::load()?.target_directory;
    let mut command = Command::new(target.join("release").join(name));
    command.arg("--scratch").arg(scratch(&target));
    command.args(quick.then_some("--quick")).args(json.then_some("--json"));
    shell::run(command)
}

/// Making a file on a disk file system can take longer than starting a process, and how long depends on what was deleted
/// before: in memory the figures are those of the product.
fn scratch(target: &Path) -> &Path {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory } else { target }
}
