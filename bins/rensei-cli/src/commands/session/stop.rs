//! `rensei session stop`.

use super::target::Target;
use crate::args::session::StopArgs;
use crate::commands::Context;
use crate::error::CommandResult;
use crate::output::text;
use rensei_control_api::ControlClient;
use std::process::ExitCode;

/// Asks for the end of a session.
pub(super) async fn run(context: &Context, args: StopArgs) -> CommandResult<ExitCode> {
    let (output, id) = (&context.output, &args.session);
    match Target::choose(context, &args.target)? {
        Target::Platform(platform) => {
            let answer = platform.client.cancel(id.as_str(), args.reason.as_deref()).await;
            let session = answer.map_err(|error| platform.error(error))?;
            match (args.json, session.status.is_terminal()) {
                (true, _) => output.json(&session)?,
                (false, true) => output.line(format_args!("{id} {}", session.status))?,
                (false, false) => output.line(format_args!("{id} is being stopped"))?,
            }
        }
        Target::Host(host) => {
            let missing = || format!("session not found: {id}");
            let stop = async |api: &ControlClient| api.stop_session(id, args.reason.as_deref()).await;
            let answer = host.ask_about(missing, stop).await?;
            match (args.json, answer.stopped) {
                (true, _) => output.json(&answer)?,
                (false, true) => output.line(format_args!("{id} is being stopped"))?,
                (false, false) => {
                    let reason = answer.reason.as_deref().unwrap_or("it has ended already");
                    output.line(format_args!("{id} was not stopped: {}", text::clean(reason)))?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
