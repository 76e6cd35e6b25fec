//! `rensei session`.

mod create;
mod follow;
mod hush;
mod list;
mod output;
mod run;
pub(super) mod sheet;
mod show;
mod stop;
mod target;
mod work;

use super::{Context, block_on};
use crate::args::session::SessionCommand;
use crate::error::CommandResult;
use std::process::ExitCode;

pub(super) use follow::lines;
pub(super) use list::host_table;
pub(super) use sheet::state_tone;

/// Runs one command of sessions.
pub(super) fn run(context: &Context, command: SessionCommand) -> CommandResult<ExitCode> {
    block_on(async {
        match command {
            SessionCommand::Create(args) => create::run(context, args).await,
            SessionCommand::Run(args) => run::run(context, args).await,
            SessionCommand::List(args) => list::run(context, args).await,
            SessionCommand::Show(args) => show::run(context, args).await,
            SessionCommand::Output(args) => output::run(context, args).await,
            SessionCommand::Stop(args) => stop::run(context, args).await,
        }
    })
}
