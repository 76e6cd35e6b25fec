//! What can be typed: one module per noun.

pub(crate) mod agent;
pub(crate) mod alias;
pub(crate) mod capacity;
pub(crate) mod daemon;
mod deferred;
pub(crate) mod demo;
pub(crate) mod host;
pub(crate) mod kit;
pub(crate) mod platform;
pub(crate) mod provider;
pub(crate) mod routing;
pub(crate) mod session;
mod value;
pub(crate) mod workarea;

use crate::output::ColorChoice;
use clap::{Args, Parser, Subcommand};
pub(crate) use deferred::Deferred;
use std::path::PathBuf;

/// A worker host for AI coding agents.
///
/// Sessions are dispatched to this machine, run in their own git checkout and process group, and push their result.
/// Start with `rensei demo`: it shows the whole loop in a temporary directory.
#[derive(Debug, Parser)]
#[command(name = "rensei", version, propagate_version = true, arg_required_else_help = true)]
#[command(subcommand_required = true, infer_long_args = false)]
pub(crate) struct RenseiArgs {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The host daemon: takes sessions from a control plane and runs them on this machine.
#[derive(Debug, Parser)]
#[command(name = "rensei-daemon", version)]
pub(crate) struct DaemonArgs {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(flatten)]
    pub(crate) run: host::RunArgs,
}

/// The self-hosted control plane: queues sessions and hands them to hosts.
#[derive(Debug, Parser)]
#[command(name = "rensei-platform", version, propagate_version = true, arg_required_else_help = true)]
#[command(subcommand_required = true)]
pub(crate) struct PlatformBinArgs {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: platform::PlatformCommand,
}

/// Flags of every command.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_display_order = 900)]
pub(crate) struct GlobalArgs {
    /// When to use colour. `NO_COLOR` in the environment means never.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", help_heading = "Global options")]
    pub(crate) color: ColorChoice,
    /// Say more on stderr; twice for debugging.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
}

// What is deferred is built when its command is called, so a larger tree does not cost every call. The comment on a
// deferred `Args` then is what its `--help` says; a test compares it with the comment on its variant.
/// Commands of `rensei`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// See the whole loop run in a temporary directory.
    Demo(demo::DemoArgs),
    /// Manage the daemon on this machine.
    #[command(subcommand)]
    Host(Deferred<host::HostCommand>),
    /// Show and change how much this host takes on.
    #[command(subcommand)]
    Capacity(Deferred<capacity::CapacityCommand>),
    /// Dispatch sessions and look at them.
    #[command(subcommand)]
    Session(Deferred<session::SessionCommand>),
    /// Manage kits, which teach agents a toolchain.
    #[command(subcommand)]
    Kit(Deferred<kit::KitCommand>),
    /// Look at what sessions on this machine can run with.
    #[command(subcommand)]
    Provider(Deferred<provider::ProviderCommand>),
    /// Look at who ran what on this machine, and how well that went.
    #[command(subcommand)]
    Routing(Deferred<routing::RoutingCommand>),
    /// Look at what sessions left behind, compare and restore it.
    #[command(subcommand)]
    Workarea(Deferred<workarea::WorkareaCommand>),
    /// Run your own control plane.
    #[command(subcommand)]
    Platform(Deferred<platform::PlatformCommand>),
    /// What the daemon starts for each session.
    #[command(subcommand)]
    Agent(Deferred<agent::AgentCommand>),
    /// Print a completion script for your shell.
    Completions(CompletionsArgs),
    /// Print or write manual pages.
    Man(ManArgs),
}

/// Print a completion script for your shell.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  rensei completions bash > ~/.local/share/bash-completion/completions/rensei
  rensei completions zsh > ~/.zfunc/_rensei
  rensei completions fish > ~/.config/fish/completions/rensei.fish")]
pub(crate) struct CompletionsArgs {
    /// Shell to complete in.
    pub(crate) shell: clap_complete::Shell,
}

/// Print or write manual pages.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  rensei man host status | man -l -
  rensei man --dir ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Command whose page is printed [default: rensei itself].
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    pub(crate) words: Vec<String>,
    /// Write the pages of all commands to this directory instead.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definitions_are_consistent() {
        RenseiArgs::command().debug_assert();
        DaemonArgs::command().debug_assert();
        PlatformBinArgs::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        fn check(command: &clap::Command) {
            for sub in command.get_subcommands() {
                assert!(sub.get_about().is_some(), "{} has no description", sub.get_name());
                for arg in sub.get_arguments() {
                    let described = arg.get_help().is_some() || ["help", "version"].contains(&arg.get_id().as_str());
                    assert!(described, "{} {} has no description", sub.get_name(), arg.get_id());
                }
                check(sub);
            }
        }
        let mut command = RenseiArgs::command();
        command.build();
        check(&command);
    }

    #[test]
    fn a_list_of_commands_and_their_help_say_the_same() {
        let said = |command: &clap::Command| -> Vec<_> {
            let about = |sub: &clap::Command| (sub.get_name().to_owned(), sub.get_about().map(ToString::to_string));
            command.get_subcommands().map(about).filter(|(name, _)| name != "help").collect()
        };
        let mut built = RenseiArgs::command();
        built.build();
        assert_eq!(said(&RenseiArgs::command()), said(&built));
    }
}
