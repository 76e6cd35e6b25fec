//! `rensei host pause`, `resume` and `stop`.

use super::client::HostClient;
use crate::args::daemon::AddressArgs;
use crate::commands::Context;
use crate::error::{CommandError, CommandResult};
use crate::output::text;
use rensei_proto::control::ActionResponse;
use std::process::ExitCode;

/// What the daemon is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Pause,
    Resume,
    Stop,
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
        }
    }
}

/// Asks for it and prints the answer.
pub(super) async fn run(context: &Context, action: Action, address: AddressArgs) -> CommandResult<ExitCode> {
    let client = HostClient::new(context, &address)?;
    let answer = match action {
        Action::Pause => client.ask(async |api| api.pause().await).await?,
        Action::Resume => client.ask(async |api| api.resume().await).await?,
        Action::Stop => match client.ask_if_running(async |api| api.stop().await).await? {
            Some(answer) => answer,
            None => {
                context.output.line(format_args!("nothing to stop: no daemon listens on {}", client.url()))?;
                return Ok(ExitCode::SUCCESS);
            }
        },
    };
    print(context, action.name(), &answer)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints an answer; a refusal is an error.
pub(super) fn print(context: &Context, name: &str, answer: &ActionResponse) -> CommandResult {
    let message = text::clean(&answer.message);
    if answer.ok {
        return context.output.line(format_args!("daemon {name}: {message}"));
    }
    Err(CommandError::failure(format!("daemon {name}: not accepted: {message}"))
        .hint("see what it does: `rensei host status`"))
}
