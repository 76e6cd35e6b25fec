//! `rensei agent run`: one session, started by the daemon. Its start-up time is paid for every session.

use super::{Context, block_on};
use crate::args::agent::RunArgs;
use crate::error::{CommandError, CommandResult};
use crate::logging;
use crate::signals::Signals;
use rensei_runner::RunOptions;
use std::fs::File;
use std::os::fd::AsFd;
use std::process::ExitCode;

/// Runs the session and prints its outcome as one JSON document.
pub(super) fn run(context: &Context, args: RunArgs) -> CommandResult<ExitCode> {
    let options = options(context, args)?;
    logging::to_stderr(&context.output, context.verbose);
    block_on(async {
        let mut signals = Signals::listen()?;
        let stop = async move {
            signals.next().await;
        };
        let finished = rensei_runner::run(options, stop).await;
        if let Some(error) = &finished.error {
            context.output.note(format_args!("error: {error}"));
        }
        if let Some(outcome) = &finished.outcome {
            let document = serde_json::to_string(outcome)
                .map_err(|error| CommandError::context("failed to write the outcome as JSON", error))?;
            context.output.line(document)?;
        }
        Ok(ExitCode::from(finished.exit_code))
    })
}

fn options(context: &Context, args: RunArgs) -> CommandResult<RunOptions> {
    let missing = |what: &str, variable: &str| {
        CommandError::usage(format!("{what} is missing: pass it or set {variable}"))
            .hint("people start sessions with `rensei session run`; the daemon runs this command itself")
    };
    let id = args.session_id.or_else(|| context.env.ours("SESSION_ID").map(str::to_owned));
    let id = id.ok_or_else(|| missing("--session-id", "RENSEI_SESSION_ID"))?;
    let url = args.daemon_url.or_else(|| context.env.ours("DAEMON_URL").map(str::to_owned));
    Ok(RunOptions {
        session_id: id,
        daemon_url: url.ok_or_else(|| missing("--daemon-url", "RENSEI_DAEMON_URL"))?,
        session_dir: context.env.ours("SESSION_DIR").map(Into::into),
        env: context.env.strings(),
        raw_output: own_stderr(),
    })
}

/// The agent's raw output goes where our own stderr goes: the daemon has pointed it at the session's log.
fn own_stderr() -> Option<File> {
    std::io::stderr().as_fd().try_clone_to_owned().ok().map(File::from)
}
