//! From the command line to an exit code.

use crate::args::{DaemonArgs, GlobalArgs, PlatformBinArgs, RenseiArgs, alias};
use crate::commands::{self, Context};
use crate::env::Environment;
use crate::error::CommandResult;
use crate::output::{ColorChoice, Output};
use clap::{ColorChoice as ClapColor, CommandFactory, FromArgMatches, ValueEnum};
use std::ffi::OsString;
use std::process::ExitCode;

/// The `rensei` command.
#[must_use]
pub fn main_rensei() -> ExitCode {
    let (argv, notice) = alias::resolve(std::env::args_os().collect());
    launch::<RenseiArgs>(argv, notice, |args| args.global, |context, args| commands::run(context, args.command))
}

/// The `rensei-daemon` command: `rensei host run`. It starts itself for each session, as `rensei-daemon agent run`.
#[must_use]
pub fn main_daemon() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    if argv.get(1).is_some_and(|word| word == "agent") {
        return main_rensei();
    }
    launch::<DaemonArgs>(argv, None, |args| args.global, |context, args| commands::host::run::run(context, args.run))
}

/// The `rensei-platform` command: `rensei platform`.
#[must_use]
pub fn main_platform() -> ExitCode {
    let argv = std::env::args_os().collect();
    launch::<PlatformBinArgs>(
        argv,
        None,
        |args| args.global,
        |context, args| commands::platform::run(context, args.command),
    )
}

fn launch<A: CommandFactory + FromArgMatches>(
    argv: Vec<OsString>,
    notice: Option<String>,
    global: fn(&A) -> GlobalArgs,
    run: fn(&Context, A) -> CommandResult<ExitCode>,
) -> ExitCode {
    let (args, called) = match parse::<A>(&argv) {
        Ok(parsed) => parsed,
        Err(error) => return explain(&error, notice, &argv),
    };
    let global = global(&args);
    let env = Environment::of_process();
    let output = Output::new(global.color, &env);
    notice.iter().for_each(|notice| output.warn(notice));
    let context = Context { env, output, verbose: global.verbose };
    run(&context, args).unwrap_or_else(|error| {
        output.error(&error, &called);
        error.exit_code()
    })
}

/// What was typed, and the name of the command that was called.
fn parse<A: CommandFactory + FromArgMatches>(argv: &[OsString]) -> Result<(A, String), clap::Error> {
    let color = match early_color(argv) {
        ColorChoice::Always => ClapColor::Always,
        ColorChoice::Never => ClapColor::Never,
        ColorChoice::Auto => ClapColor::Auto,
    };
    let mut command = A::command().color(color);
    let matches = command.try_get_matches_from_mut(argv)?;
    let mut called = command.get_name().to_owned();
    let mut at = &matches;
    while let Some((name, below)) = at.subcommand() {
        called = format!("{called} {name}");
        at = below;
    }
    let args = A::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok((args, called))
}

/// `--color` as clap's own messages need it, before the command line is parsed.
fn early_color(argv: &[OsString]) -> ColorChoice {
    let words: Vec<&str> = argv.iter().filter_map(|word| word.to_str()).collect();
    let spaced = words.iter().position(|word| *word == "--color").and_then(|at| words.get(at + 1).copied());
    let chosen = words.iter().find_map(|word| word.strip_prefix("--color=")).or(spaced);
    chosen.and_then(|word| ColorChoice::from_str(word, true).ok()).unwrap_or_default()
}

/// Prints help to stdout and usage errors to stderr. A missing subcommand shows the help, but is an error.
fn explain(error: &clap::Error, notice: Option<String>, argv: &[OsString]) -> ExitCode {
    let output = Output::new(early_color(argv), &Environment::of_process());
    notice.iter().for_each(|notice| output.warn(notice));
    let _nobody_listens = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_known_before_parsing() {
        let color = |words: &[&str]| early_color(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(color(&["rensei", "--color=never", "x"]), ColorChoice::Never);
        assert_eq!(color(&["rensei", "x", "--color", "always"]), ColorChoice::Always);
        assert_eq!(color(&["rensei", "--color", "odd"]), ColorChoice::Auto);
        assert_eq!(color(&["rensei", "--color"]), ColorChoice::Auto);
    }
}
