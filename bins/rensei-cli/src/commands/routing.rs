//! `rensei routing`.

mod heat;
mod page;
mod plain;

use super::host::client::HostClient;
use super::{Context, block_on};
use crate::args::routing::{ExplainArgs, RoutingCommand, ShowArgs};
use crate::error::{CommandError, CommandResult};
use rensei_proto::SessionId;
use std::process::ExitCode;

/// Runs one of the commands.
pub(super) fn run(context: &Context, command: RoutingCommand) -> CommandResult<ExitCode> {
    match command {
        RoutingCommand::Show(args) => block_on(show(context, args)),
        RoutingCommand::Explain(args) => block_on(explain(context, args)),
    }
}

async fn show(context: &Context, args: ShowArgs) -> CommandResult<ExitCode> {
    let output = &context.output;
    let answer = HostClient::new(context, &args.address)?.ask(async |api| api.routing_config().await).await?;
    match args.form {
        form if form.json => output.json(&answer)?,
        form if form.plain => output.write(plain::config(&answer.config).as_bytes())?,
        _ => output.line(page::config(output, &answer.config))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn explain(context: &Context, args: ExplainArgs) -> CommandResult<ExitCode> {
    let output = &context.output;
    let client = HostClient::new(context, &args.address)?
        .missing("the last 50 decisions since the daemon's start are kept: `rensei routing show`");
    let session = meant(&client, &args.session).await?;
    let missing = || format!("routing decision not found for session {session}");
    let explained = client.ask_about(missing, async |api| api.explain_routing(&session).await).await?;
    match args.form {
        form if form.json => output.json(&explained)?,
        form if form.plain => output.write(plain::explanation(&explained).as_bytes())?,
        _ => output.line(page::explanation(output, &explained))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The session that was meant: what the table of decisions shows may be typed.
async fn meant(client: &HostClient, typed: &str) -> CommandResult<SessionId> {
    let mut known = None;
    if typed.ends_with('…') {
        let config = client.ask(async |api| api.routing_config().await).await?.config;
        let sessions = config.recent_decisions.into_iter().map(|decision| decision.session_id);
        let mut alike = sessions.filter(|id| page::shown(id.as_str()) == typed).collect::<Vec<_>>();
        alike.dedup();
        known = alike.pop().filter(|_| alike.is_empty());
    }
    known.map_or_else(|| SessionId::parse(typed).map_err(|error| CommandError::usage(error.to_string())), Ok)
}
