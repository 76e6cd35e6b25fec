//! `rensei man`.

use super::Context;
use crate::args::{ManArgs, RenseiArgs};
use crate::error::{CommandError, CommandResult};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::path::Path;
use std::process::ExitCode;

/// Prints one page, or writes all of them.
pub(super) fn run(context: &Context, args: &ManArgs) -> CommandResult<ExitCode> {
    let mut command = RenseiArgs::command();
    // Names such as `rensei-host-status` come from the tree as a whole.
    command.build();
    match &args.dir {
        Some(dir) => write_all(context, command, &context.expand(dir.clone()))?,
        None => print(context, find(&command, &args.words)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn find<'a>(command: &'a Command, words: &[String]) -> CommandResult<&'a Command> {
    let below = words.iter().try_fold(command, |command, word| command.find_subcommand(word));
    below.ok_or_else(|| {
        CommandError::usage(format!("there is no command `rensei {}`", words.join(" ")))
            .hint("see all: `rensei --help`")
    })
}

fn print(context: &Context, command: &Command) -> CommandResult {
    let mut page = Vec::new();
    let rendered = Man::new(command.clone()).render(&mut page);
    rendered.map_err(|error| CommandError::context("failed to make the page", error))?;
    context.output.write(&page)
}

fn write_all(context: &Context, command: Command, dir: &Path) -> CommandResult {
    let written = std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir));
    written.map_err(|error| {
        CommandError::context(format!("failed to write manual pages to {}", dir.display()), error)
            .hint("name a directory of your own: `rensei man --dir <dir>`")
    })?;
    context.output.note(format_args!("manual pages are in {}; read one: `man -M … rensei-host-status`", dir.display()));
    Ok(())
}
