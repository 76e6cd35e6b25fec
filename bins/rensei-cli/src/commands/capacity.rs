//! `rensei capacity`: the part of `rensei host` that is about how much.

use super::host::{self, Focus};
use super::{Context, block_on};
use crate::args::capacity::CapacityCommand;
use crate::error::CommandResult;
use std::process::ExitCode;

/// Runs one command of capacity.
pub(super) fn run(context: &Context, command: CapacityCommand) -> CommandResult<ExitCode> {
    match command {
        CapacityCommand::Status(args) => block_on(host::stats(context, args, Focus::Capacity)),
        CapacityCommand::Set(args) => block_on(host::set(context, args)),
    }
}
