//! `rensei host`.

mod action;
pub(crate) mod client;
mod doctor;
mod drain;
mod evict;
mod logs;
pub(crate) mod run;
mod runtimes;
mod sessions;
mod set;
mod stats;
mod status;
mod update;

use super::{Context, block_on};
use crate::args::host::HostCommand;
use crate::error::CommandResult;
use action::Action;
use std::process::ExitCode;

pub(super) use set::run as set;
pub(super) use stats::{Focus, run as stats};

/// Runs one command of this machine's daemon.
pub(super) fn run(context: &Context, command: HostCommand) -> CommandResult<ExitCode> {
    match command {
        HostCommand::Run(args) => run::run(context, args),
        HostCommand::Status(args) => block_on(status::run(context, args)),
        HostCommand::Stats(args) => block_on(stats(context, args, Focus::Host)),
        HostCommand::Sessions(args) => block_on(sessions::run(context, args)),
        HostCommand::Pause(address) => block_on(action::run(context, Action::Pause, address)),
        HostCommand::Resume(address) => block_on(action::run(context, Action::Resume, address)),
        HostCommand::Drain(args) => block_on(drain::run(context, args)),
        HostCommand::Stop(address) => block_on(action::run(context, Action::Stop, address)),
        HostCommand::Update(args) => block_on(update::run(context, args)),
        HostCommand::Evict(args) => block_on(evict::run(context, args)),
        HostCommand::Set(args) => block_on(set(context, args)),
        HostCommand::Doctor(args) => doctor::run(context, &args),
        HostCommand::Logs(args) => block_on(logs::run(context, args)),
    }
}
