//! `rensei demo`: the main job, for real, in one temporary directory.
//!
//! | module | task |
//! |---|---|
//! | `sandbox` | the directory and the processes; leaves neither behind |
//! | `service` | one child process: start, readiness, log, end |
//! | `repository` | the repository that the session works on |
//! | `stage` | control plane and host, brought up and connected |
//! | `story` | the session, followed as it happens |
//! | `timeline` | what happened when, printed and remembered |
//! | `report` | the result |

mod report;
mod repository;
mod sandbox;
mod service;
mod stage;
mod story;
mod timeline;

use super::{Context, block_on};
use crate::args::demo::DemoArgs;
use crate::error::{CommandError, CommandResult, Kind};
use crate::signals::Signals;
use rensei_proto::SessionStatus;
use report::Ending;
use repository::Repository;
use sandbox::Sandbox;
use stage::Stage;
use std::process::ExitCode;
use std::time::Duration;
use timeline::Timeline;

/// How much later than a child's end a signal may be noticed that ended both.
const SIGNAL_LAG: Duration = Duration::from_millis(50);

/// Runs the demo. However it ends, no process is left, and no directory unless it is to be kept.
pub(super) fn run(context: &Context, args: DemoArgs) -> CommandResult<ExitCode> {
    block_on(async {
        // Before anything exists that a signal could leave behind.
        let mut signals = Signals::listen()?;
        let mut sandbox = Sandbox::new(args.keep)?;
        let result = tokio::select! {
            result = play(context, &args, &mut sandbox) => match result {
                Err(error) if error.kind() == Kind::Failure => blame(context, &mut signals, error).await,
                result => result,
            },
            // Dropping the play ends nothing: the sandbox owns the processes and ends them below.
            name = signals.next() => Err(interrupted(context, name)),
        };
        let result = result.map_err(|error| match error.kind() {
            // Whoever left did not see the session complete.
            Kind::BrokenPipe => CommandError::reported(),
            _ => sandbox.explain(&context.output, error),
        });
        sandbox.close(&context.output);
        result
    })
}

/// A Ctrl-C reaches the git that the play waits for as well, whose end may be noticed first.
async fn blame(context: &Context, signals: &mut Signals, error: CommandError) -> CommandResult<ExitCode> {
    match tokio::time::timeout(SIGNAL_LAG, signals.next()).await {
        Ok(name) => Err(interrupted(context, name)),
        Err(_no_signal) => Err(error),
    }
}

fn interrupted(context: &Context, name: &str) -> CommandError {
    context.output.note(format_args!("{name}: cleaning up"));
    CommandError::interrupted()
}

async fn play(context: &Context, args: &DemoArgs, sandbox: &mut Sandbox) -> CommandResult<ExitCode> {
    let mut timeline = Timeline::new(context.output, args.json);
    let repository = Repository::prepare(context, args, sandbox.path()).await?;
    timeline.event("repository", repository.describe())?;
    let mut stage = Stage::set(context, &repository, sandbox, &mut timeline).await?;
    let session = story::dispatch(args, &repository, &stage, &mut timeline).await?;
    sandbox.remember(&session.session_id);
    let ended = tokio::select! {
        ended = story::follow(&stage.client, session, &mut timeline) => ended?,
        // Both only wait: a service that ends on its own is the news.
        error = stage.services.failure() => return Err(error),
    };
    let kept = args.keep.then(|| sandbox.path().to_owned());
    let ending = Ending { timeline: &timeline, kept: kept.as_deref() };
    report::print(context, args, &repository, &ended, ending).await?;
    match ended.status {
        SessionStatus::Completed => Ok(ExitCode::SUCCESS),
        _ => Err(CommandError::reported()),
    }
}
