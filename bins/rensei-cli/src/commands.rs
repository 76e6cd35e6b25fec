//! What the commands do: one module per command.

mod agent;
mod capacity;
mod completions;
mod demo;
pub(crate) mod host;
mod kit;
mod man;
pub(crate) mod platform;
mod provider;
mod routing;
mod session;
mod watch;
mod workarea;

use crate::args::agent::AgentCommand;
use crate::args::{Command, Deferred};
use crate::env::Environment;
use crate::error::{CommandError, CommandResult};
use crate::output::Output;
use crate::state_root;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What every command gets.
#[derive(Debug)]
pub(crate) struct Context {
    /// The process environment.
    pub(crate) env: Environment,
    /// stdout and stderr.
    pub(crate) output: Output,
    /// How often `-v` was given.
    pub(crate) verbose: u8,
}

impl Context {
    /// Path of the state root, whether it exists or not. Warns once when it is the predecessor's.
    pub(crate) fn state_root(&self) -> CommandResult<PathBuf> {
        let root = state_root::resolve(&self.env)?;
        if let Some(warning) = root.warning {
            self.output.warn(warning);
        }
        Ok(root.path)
    }

    /// `path` with a leading `~/` expanded.
    pub(crate) fn expand(&self, path: PathBuf) -> PathBuf {
        match (path.strip_prefix("~"), self.env.get_os("HOME")) {
            (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
            _ => path,
        }
    }
}

/// Runs one command of `rensei`.
pub(crate) fn run(context: &Context, command: Command) -> CommandResult<ExitCode> {
    match command {
        Command::Demo(args) => demo::run(context, args),
        Command::Host(Deferred(command)) => host::run(context, command),
        Command::Capacity(Deferred(command)) => capacity::run(context, command),
        Command::Session(Deferred(command)) => session::run(context, command),
        Command::Kit(Deferred(command)) => kit::run(context, command),
        Command::Provider(Deferred(command)) => provider::run(context, command),
        Command::Routing(Deferred(command)) => routing::run(context, command),
        Command::Workarea(Deferred(command)) => workarea::run(context, command),
        Command::Platform(Deferred(command)) => platform::run(context, command),
        Command::Agent(Deferred(AgentCommand::Run(args))) => agent::run(context, args),
        Command::Completions(args) => completions::run(context, &args),
        Command::Man(args) => man::run(context, &args),
    }
}

/// Runs a client command: one thread is enough, and starts fastest.
pub(crate) fn block_on<T>(job: impl Future<Output = CommandResult<T>>) -> CommandResult<T> {
    finish(tokio::runtime::Builder::new_current_thread().enable_all().build(), job)
}

/// Runs a server.
pub(crate) fn block_on_threads<T>(job: impl Future<Output = CommandResult<T>>) -> CommandResult<T> {
    finish(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build(), job)
}

fn finish<T>(
    runtime: std::io::Result<tokio::runtime::Runtime>,
    job: impl Future<Output = CommandResult<T>>,
) -> CommandResult<T> {
    let runtime = runtime.map_err(|error| CommandError::context("failed to start the runtime", error))?;
    let result = runtime.block_on(job);
    // Threads that still read a pipe or a file must not hold up the end of the program.
    runtime.shutdown_background();
    result
}

/// A directory becomes its absolute path, because those who clone it have another working directory. Anything else is a
/// URL or the id of a project.
pub(crate) fn absolute_repository(given: &str) -> CommandResult<String> {
    let path = Path::new(given);
    if !path.is_dir() {
        return Ok(given.to_owned());
    }
    let absolute = std::fs::canonicalize(path)
        .map_err(|error| CommandError::context(format!("failed to resolve the path `{given}`"), error))?;
    absolute.into_os_string().into_string().map_err(|path| {
        CommandError::usage(format!("the path of the repository is not UTF-8: `{}`", Path::new(&path).display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_become_absolute_and_the_rest_stays() {
        assert!(absolute_repository(".").unwrap().starts_with('/'));
        assert_eq!(absolute_repository("https://example.com/a.git").unwrap(), "https://example.com/a.git");
        assert_eq!(absolute_repository("my-project").unwrap(), "my-project");
    }
}
