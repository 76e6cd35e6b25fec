//! `rensei completions`.

use super::Context;
use crate::args::{CompletionsArgs, RenseiArgs};
use crate::error::CommandResult;
use clap::CommandFactory;
use std::process::ExitCode;

/// Prints the completion script.
pub(super) fn run(context: &Context, args: &CompletionsArgs) -> CommandResult<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut RenseiArgs::command(), "rensei", &mut script);
    context.output.write(&script)?;
    Ok(ExitCode::SUCCESS)
}
