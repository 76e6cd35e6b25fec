//! The load generator behind `cargo xtask bench` with `dispatch`, `runtime` and `control`.
//!
//! Starts the real control plane and the real daemon as child processes, drives them over their real APIs, and prints
//! what it measured next to a limit that it took in the same run, on the same machine, in the same minute. The worker
//! is replaced by a program that does nothing but note the time, so that dispatch is measured and nothing else.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to people")]

mod bare;
mod control;
mod error;
mod latency;
mod rig;
mod runtime;
mod startup;
mod stats;
mod throughput;

use clap::Parser;
use error::BenchError;
use rig::{Host, Rig};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use xtask::{Options, Report};

#[derive(Debug, Parser)]
struct Args {
    /// Directory of the release binaries.
    #[arg(long)]
    programs: PathBuf,
    #[command(flatten)]
    options: Options,
    /// What is measured.
    #[arg(long, value_enum, default_value = "dispatch")]
    suite: Suite,
    /// Serves the content of this file and does nothing else: the limit that the control API is compared with.
    #[arg(long, hide = true)]
    bare: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Suite {
    /// From a session's creation to its process.
    Dispatch,
    /// What the daemon costs while sessions run.
    Runtime,
    /// Requests to the control API.
    Control,
}

/// How much is done.
#[derive(Debug, Clone, Copy)]
struct Load {
    /// Sessions before anything is measured.
    warm_up: usize,
    /// Sessions whose latency is measured, one after another.
    sessions: usize,
    /// Sessions pushed through the whole loop at once.
    jobs: usize,
    /// Starts of the daemon.
    starts: usize,
    /// Calls of the CLI.
    calls: usize,
    /// How long an idle daemon is watched.
    idle: Duration,
    /// How long the control API is asked, each time.
    asking: Duration,
}

const FULL: Load = Load {
    warm_up: 20,
    sessions: 200,
    jobs: 3000,
    starts: 10,
    calls: 30,
    idle: Duration::from_secs(60),
    asking: Duration::from_secs(3),
};
const QUICK: Load = Load {
    warm_up: 5,
    sessions: 20,
    jobs: 300,
    starts: 3,
    calls: 5,
    idle: Duration::from_secs(6),
    asking: Duration::from_millis(500),
};

fn main() -> ExitCode {
    let args = Args::parse();
    match &args.bare {
        // It has a runtime of its own.
        Some(body) => ended(control::bare(body)),
        None => run(&args),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(args: &Args) -> ExitCode {
    let mut report = Report::begin();
    let result = measure(args, &mut report).await;
    report.print(args.options.json);
    ended(result)
}

fn ended(result: Result<(), BenchError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.print();
            ExitCode::FAILURE
        }
    }
}

async fn measure(args: &Args, report: &mut Report) -> Result<(), BenchError> {
    let load = if args.options.quick { QUICK } else { FULL };
    let mut rig = Rig::start(&args.programs, &args.options.scratch).await?;
    eprintln!("control plane at {}, state on {}", rig.platform_url(), rig.file_system());
    match args.suite {
        Suite::Dispatch => dispatch(&mut rig, load, report).await,
        Suite::Runtime => runtime::measure(&mut rig, load, report).await,
        Suite::Control => control::measure(&mut rig, load, report).await,
    }
}

async fn dispatch(rig: &mut Rig, load: Load, report: &mut Report) -> Result<(), BenchError> {
    let host = rig.start_host("stamping", &rig.stamp()).await?;
    startup::idle_memory(&host, report).await?;
    latency::create_to_exec(rig, &host, load, report).await?;
    startup::status_command(rig, &host, load, report)?;
    rig.stop_host(host).await?;

    let local = rig.start_local_host("local", &rig.stamp()).await?;
    latency::accept_to_exec(rig, &local, load, report).await?;
    rig.stop_host(local).await?;

    let host = rig.start_host("through", std::path::Path::new("/bin/true")).await?;
    throughput::whole_loop(rig, load, report).await?;
    startup::memory_after(&host, load, report)?;
    rig.stop_host(host).await?;

    startup::start_to_healthz(rig, load, report)
}

/// Directory of a session on a host.
fn session_dir(host: &Host, session_id: &str) -> PathBuf {
    host.home().join("sessions").join(session_id)
}
