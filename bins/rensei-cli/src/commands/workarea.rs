//! `rensei workarea`.

mod archive;
mod diff;
mod id;
mod list;
mod prune;
mod restore;
mod show;
mod size;
mod wait;

use super::host::client::HostClient;
use super::{Context, block_on};
use crate::args::daemon::AddressArgs;
use crate::args::workarea::WorkareaCommand;
use crate::error::CommandResult;
use std::process::ExitCode;

/// Runs one command of workareas.
pub(super) fn run(context: &Context, command: WorkareaCommand) -> CommandResult<ExitCode> {
    block_on(async {
        match command {
            WorkareaCommand::List(args) => list::run(context, args).await,
            WorkareaCommand::Show(args) => show::run(context, args).await,
            WorkareaCommand::Diff(args) => diff::run(context, args).await,
            WorkareaCommand::Restore(args) => restore::run(context, args).await,
            WorkareaCommand::Archive(args) => archive::run(context, args).await,
            WorkareaCommand::Prune(args) => prune::run(context, args).await,
        }
    })
}

fn client(context: &Context, address: &AddressArgs) -> CommandResult<HostClient> {
    Ok(HostClient::new(context, address)?.missing("see what there is: `rensei workarea list`"))
}
