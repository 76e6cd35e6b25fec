//! `rensei host drain`.

use super::action;
use super::client::HostClient;
use crate::args::host::DrainArgs;
use crate::commands::Context;
use crate::error::{CommandError, CommandResult};
use crate::output::progress::Progress;
use crate::output::text;
use crate::signals::Signals;
use rensei_proto::SessionId;
use rensei_proto::control::{DrainRequest, HostState, SessionState, SessionView};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

/// Pause between looks at the daemon.
const LOOK: Duration = Duration::from_millis(100);

/// How long the daemon may take to end once nothing runs any more.
const END_LIMIT: Duration = Duration::from_secs(15);

/// Starts a drain and waits for its end.
///
/// The daemon is asked to stay up until this command has seen how every session ended, and is stopped then. A command
/// that is interrupted leaves an ordinary drain behind.
pub(super) async fn run(context: &Context, args: DrainArgs) -> CommandResult<ExitCode> {
    let client = HostClient::new(context, &args.address)?;
    let mut signals = Signals::listen()?;
    let started = Instant::now();
    let answer = client.ask(async |api| api.drain(&request(args.timeout, true)).await).await?;
    action::print(context, "drain", &answer)?;
    let mut watch = Watch::default();
    let mut progress = context.output.progress();
    let how = loop {
        if let Some(how) = watch.look(&client).await? {
            break how;
        }
        watch.show(&mut progress);
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            // Cancel-safe, see `Signals::next`.
            _ = signals.next() => {
                progress.end();
                return leave(context, &client, &args, started).await;
            }
        }
    };
    progress.end();
    if how == Ending::Kept && !args.keep_alive {
        end(&client).await?;
    }
    conclude(context, how, &args, &watch.forced(how))
}

fn request(timeout: Duration, keep_alive: bool) -> DrainRequest {
    DrainRequest { timeout_seconds: Some(timeout.as_secs()).filter(|seconds| *seconds > 0), keep_alive }
}

/// Ends the drained daemon and waits until it is gone.
async fn end(client: &HostClient) -> CommandResult {
    client.ask_if_running(async |api| api.stop().await).await?;
    let deadline = Instant::now() + END_LIMIT;
    while client.ask_if_running(async |api| api.status().await).await?.is_some() {
        if Instant::now() > deadline {
            return Err(CommandError::failure("the drained daemon does not end").hint("see why: `rensei host logs`"));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// The drain goes on without this command, for what is left of its time.
async fn leave(context: &Context, client: &HostClient, args: &DrainArgs, started: Instant) -> CommandResult<ExitCode> {
    if !args.keep_alive {
        let left = match args.timeout.is_zero() {
            true => Duration::ZERO,
            false => args.timeout.saturating_sub(started.elapsed()).max(Duration::from_secs(1)),
        };
        client.ask(async |api| api.drain(&request(left, false)).await).await?;
    }
    context.output.note("the drain goes on; cancel it: `rensei host resume`");
    Err(CommandError::interrupted())
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The daemon is gone: somebody stopped it.
    Gone,
    /// The daemon is drained, and paused.
    Kept,
    /// Somebody resumed the daemon.
    Cancelled,
}

fn conclude(context: &Context, how: Ending, args: &DrainArgs, forced: &[String]) -> CommandResult<ExitCode> {
    if how == Ending::Cancelled {
        return Err(CommandError::failure("the drain was cancelled: the daemon accepts sessions again")
            .hint("see what it does: `rensei host status`"));
    }
    let stays = how == Ending::Kept && args.keep_alive;
    let state = if stays { "the daemon is paused" } else { "the daemon has ended" };
    if forced.is_empty() {
        context.output.line(format_args!("drained: every session ended by itself; {state}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let sessions = text::count(forced.len(), "session");
    Err(CommandError::failure(format!("drained, but {sessions} had to be ended: {}; {state}", forced.join(", ")))
        .hint("next time give them longer: `rensei host drain --timeout <seconds>`"))
}

/// What is known of the sessions that were running when the drain began.
#[derive(Debug, Default)]
struct Watch {
    sessions: BTreeMap<SessionId, SessionState>,
}

impl Watch {
    /// Looks once; the answer is how the drain ended, once it has.
    async fn look(&mut self, client: &HostClient) -> CommandResult<Option<Ending>> {
        let status = client.ask_if_running(async |api| api.status().await).await?;
        let Some(status) = status else { return Ok(Some(Ending::Gone)) };
        // The daemon may end between two calls; then the next look finds it gone.
        if let Ok(views) = client.ask(async |api| api.all_sessions().await).await {
            self.learn(&views);
        }
        Ok(match status.status {
            HostState::Ready => Some(Ending::Cancelled),
            HostState::Paused if status.active_sessions == 0 => Some(Ending::Kept),
            HostState::Paused | HostState::Draining | HostState::Stopped | HostState::Updating => None,
        })
    }

    fn learn(&mut self, views: &[SessionView]) {
        for view in views {
            let is_watched = self.sessions.contains_key(&view.session_id);
            if is_watched || !view.state.is_ended() {
                self.sessions.insert(view.session_id.clone(), view.state);
            }
        }
    }

    /// Sessions that the daemon ended, and those that still ran when it went away.
    fn forced(&self, how: Ending) -> Vec<String> {
        let is_forced =
            |state: SessionState| state == SessionState::Terminated || (how == Ending::Gone && !state.is_ended());
        let forced = self.sessions.iter().filter(|(_, state)| is_forced(**state));
        forced.map(|(id, _)| id.to_string()).collect()
    }

    /// What is left.
    fn show(&self, progress: &mut Progress) {
        let left: Vec<&str> =
            self.sessions.iter().filter(|(_, state)| !state.is_ended()).map(|(id, _)| id.as_str()).collect();
        if !left.is_empty() {
            progress.say(&format!("waiting for {}: {}", text::count(left.len(), "session"), left.join(", ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(id: &str, state: &str) -> SessionView {
        let json = format!(r#"{{"sessionId":"{id}","state":"{state}","pid":1,"acceptedAt":"2026-06-02T14:00:00Z"}}"#);
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn only_sessions_of_this_drain_count_as_forced() {
        let mut watch = Watch::default();
        watch.learn(&[view("old", "terminated"), view("a", "running"), view("b", "running")]);
        watch.learn(&[view("old", "terminated"), view("a", "terminated"), view("b", "completed")]);
        assert_eq!(watch.forced(Ending::Kept), ["a"]);
        watch.learn(&[view("c", "running")]);
        assert_eq!(watch.forced(Ending::Kept), ["a"]);
        assert_eq!(watch.forced(Ending::Gone), ["a", "c"]);
    }
}
