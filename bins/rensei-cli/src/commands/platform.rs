//! `rensei platform`.

mod init;
mod serve;

pub(super) use init::daemon_yaml;

use super::Context;
use crate::args::platform::PlatformCommand;
use crate::error::CommandResult;
use crate::state_root;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs one command of the control plane.
pub(crate) fn run(context: &Context, command: PlatformCommand) -> CommandResult<ExitCode> {
    match command {
        PlatformCommand::Init(args) => init::run(context, args),
        PlatformCommand::Serve(args) => serve::run(context, args),
    }
}

/// The data directory: as given, else `platform` in the state root, which is made.
fn data_dir(context: &Context, given: Option<PathBuf>) -> CommandResult<PathBuf> {
    if let Some(dir) = given {
        return Ok(context.expand(dir));
    }
    let root = context.state_root()?;
    state_root::create(&root)?;
    Ok(root.join("platform"))
}
