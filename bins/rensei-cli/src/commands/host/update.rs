//! `rensei host update`.

use super::client::HostClient;
use crate::args::host::UpdateArgs;
use crate::commands::Context;
use crate::error::{CommandError, CommandResult};
use crate::output::text;
use crate::signals::Signals;
use rensei_control_api::EventStream;
use rensei_daemon_core::EXIT_RESTART;
use rensei_proto::control::{HostChange, Status, UpdateOutcome, UpdateResult};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

/// Pause between looks for the daemon that comes after.
const LOOK: Duration = Duration::from_millis(100);

/// Has the daemon update itself, and waits for what comes of it.
pub(super) async fn run(context: &Context, args: UpdateArgs) -> CommandResult<ExitCode> {
    if !args.force && std::env::current_exe().is_ok_and(|program| is_homebrews(&program)) {
        context.output.line("this program was installed by Homebrew, which updates it: `brew upgrade rensei`")?;
        context.output.note("then end the daemon, and start it again: `rensei host drain`");
        return Ok(ExitCode::SUCCESS);
    }
    let client = HostClient::new(context, &args.ask.address)?;
    let mut signals = Signals::listen()?;
    let before = client.ask(async |api| api.status().await).await?;
    // Listening comes first: the daemon may be done in no time.
    let events = client.ask(async |api| api.events(None).await).await?;
    client.ask(async |api| api.update().await).await?;
    let mut progress = context.output.progress();
    progress.say("the daemon looks for a newer version; sessions that run are finished before it is installed");
    let ended = tokio::select! {
        ended = end(events) => ended,
        // Cancel-safe, see `Signals::next`.
        _ = signals.next() => {
            progress.end();
            context.output.note("the update goes on; see what comes of it: `rensei host status`");
            return Err(CommandError::interrupted());
        }
    };
    let result = ended.ok_or_else(|| {
        CommandError::failure("the daemon ended before the update did").hint("see why: `rensei host logs`")
    })?;
    if args.ask.json {
        context.output.json(&result)?;
    }
    match result.outcome {
        UpdateOutcome::Replaced => {
            progress.say("the newer version is in place; waiting for the daemon to be started again");
            let again = successor(&client, &before, args.wait).await;
            progress.end();
            replaced(context, &args, &result, again)
        }
        _ => {
            progress.end();
            kept(context, &args, &result)
        }
    }
}

/// Whether a program belongs to Homebrew, once links are followed.
fn is_homebrews(program: &Path) -> bool {
    let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    real.components().any(|part| part.as_os_str() == "Cellar")
}

/// What the update comes to; `None` when the daemon has ended without a word.
async fn end(mut events: EventStream) -> Option<UpdateResult> {
    while let Some(Ok(event)) = events.next_event().await {
        match event.change {
            HostChange::HostUpdate { update } if UpdateOutcome::ENDS.contains(&update.outcome) => return Some(update),
            _ => {}
        }
    }
    None
}

/// The daemon that comes after, as soon as it answers.
async fn successor(client: &HostClient, before: &Status, wait: Duration) -> Option<Status> {
    let deadline = Instant::now() + wait;
    loop {
        let status = client.ask_if_running(async |api| api.status().await).await.ok().flatten();
        if let Some(status) = status.filter(|status| status.pid != before.pid) {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn replaced(
    context: &Context,
    args: &UpdateArgs,
    result: &UpdateResult,
    again: Option<Status>,
) -> CommandResult<ExitCode> {
    let version = text::clean(&result.version);
    if let Some(status) = again {
        if !args.ask.json {
            let runs = text::clean(&status.version);
            context.output.line(format_args!("update: version {version} is in place; the daemon runs {runs}"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !args.ask.json {
        context.output.line(format_args!("update: version {version} is in place; the daemon has ended"))?;
    }
    context.output.note("nothing has started it again; a service manager may yet, else: `rensei host run`");
    Ok(ExitCode::from(EXIT_RESTART))
}

/// The version stays.
fn kept(context: &Context, args: &UpdateArgs, result: &UpdateResult) -> CommandResult<ExitCode> {
    let (version, reason) = (text::clean(&result.version), text::clean(&result.reason));
    if result.outcome == UpdateOutcome::NoOp {
        if !args.ask.json {
            context.output.line(format_args!("update: version {version} stays: {reason}"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let how = if result.outcome == UpdateOutcome::Refused { "was refused" } else { "failed" };
    Err(CommandError::failure(format!("version {version} stays, the update {how}: {reason}"))
        .hint("see what happened: `rensei host logs --grep update`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homebrew_is_known_by_its_cellar() {
        let dir = tempfile::tempdir().unwrap();
        let (cellar, link) = (dir.path().join("Cellar/rensei/1.0/bin"), dir.path().join("rensei"));
        std::fs::create_dir_all(&cellar).unwrap();
        std::fs::write(cellar.join("rensei"), "").unwrap();
        std::os::unix::fs::symlink(cellar.join("rensei"), &link).unwrap();
        assert!(is_homebrews(&link) && is_homebrews(Path::new("/opt/homebrew/Cellar/rensei/1/bin/rensei")));
        assert!(!is_homebrews(dir.path()) && !is_homebrews(Path::new("/usr/local/bin/rensei")));
    }
}
