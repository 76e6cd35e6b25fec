//! `rensei session`.

use super::daemon::AddressArgs;
use super::value;
use clap::{Args, Subcommand};
use rensei_proto::{SessionId, SessionStatus};
use std::path::PathBuf;
use std::time::Duration;

/// Commands of sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// Queue a session on a control plane.
    Create(CreateArgs),
    /// Run a session on this host, without a control plane.
    Run(RunArgs),
    /// List sessions, newest first.
    List(ListArgs),
    /// Show one session.
    Show(ShowArgs),
    /// Print what a session's agent said.
    Output(OutputArgs),
    /// End a session.
    Stop(StopArgs),
}

/// Which control plane, and as whom.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlatformArgs {
    /// Control plane [default: RENSEI_API_URL].
    #[arg(long, value_name = "URL", help_heading = "Control plane")]
    pub(crate) url: Option<String>,
    /// API key for it [default: RENSEI_API_TOKEN].
    #[arg(long, value_name = "KEY", help_heading = "Control plane")]
    pub(crate) api_key: Option<String>,
}

/// Whom a command asks: the control plane if one is configured, else the daemon of this machine.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TargetArgs {
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
    #[command(flatten)]
    pub(crate) address: AddressArgs,
    /// Ask the daemon of this machine, even if a control plane is configured.
    #[arg(long, conflicts_with_all = ["url", "api_key"], help_heading = "Daemon")]
    pub(crate) local: bool,
}

/// What a session is to do.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WorkArgs {
    /// Branch, tag or commit to start from [default: the repository's default branch].
    #[arg(long, value_name = "REF")]
    pub(crate) r#ref: Option<String>,
    /// Branch to create and push [default: agent/ID].
    #[arg(long, value_name = "NAME")]
    pub(crate) branch: Option<String>,
    /// Title; becomes the subject of the commit.
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// What the agent is asked to do.
    #[arg(long, value_name = "TEXT", conflicts_with = "prompt_file")]
    pub(crate) prompt: Option<String>,
    /// File with the prompt; `-` reads stdin.
    #[arg(long, value_name = "FILE")]
    pub(crate) prompt_file: Option<PathBuf>,
    /// Agent runtime, such as `shell` [default: `shell` with --command, else the control plane's choice].
    #[arg(long, value_name = "NAME")]
    pub(crate) runtime: Option<String>,
    /// Command of the `shell` runtime; gets the prompt on stdin.
    #[arg(long, value_name = "SHELL")]
    pub(crate) command: Option<String>,
    /// Longest run, in seconds or with a unit such as `15m`.
    #[arg(long, value_name = "SECONDS", value_parser = value::duration)]
    pub(crate) max_duration: Option<Duration>,
    /// Extra environment of the agent; repeatable.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = value::assignment)]
    pub(crate) env: Vec<(String, String)>,
}

/// Flags of `session create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Project [default: the only one that the API key sees].
    #[arg(long, value_name = "SLUG")]
    pub(crate) project: Option<String>,
    /// Repository, a path or a URL [default: the project's].
    #[arg(long, value_name = "PATH|URL")]
    pub(crate) repository: Option<String>,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    /// 1 (most urgent) to 5 [default: 3].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=5))]
    pub(crate) priority: Option<i64>,
    /// Follow the session until it ends; exit code 1 unless it completes.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// Flags of `session run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Repository: a path, a URL or the id of a project in daemon.yaml.
    #[arg(long, value_name = "PATH|URL|ID", default_value = ".")]
    pub(crate) repository: String,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    /// Return as soon as the session is accepted.
    #[arg(long)]
    pub(crate) detach: bool,
    /// Print one JSON document; the agent's output goes to stderr then.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) address: AddressArgs,
}

/// Flags of `session list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only sessions of this project.
    #[arg(long, value_name = "SLUG")]
    pub(crate) project: Option<String>,
    /// Only sessions of this status.
    #[arg(long, value_name = "STATUS", value_parser = parse_status)]
    pub(crate) status: Option<SessionStatus>,
    /// Most sessions to list.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// Flags of `session show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The session.
    #[arg(value_name = "ID", value_parser = value::session_id)]
    pub(crate) session: SessionId,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// Flags of `session output`.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// The session.
    #[arg(value_name = "ID", value_parser = value::session_id)]
    pub(crate) session: SessionId,
    /// Go on until the session ends.
    #[arg(short = 'F', long)]
    pub(crate) follow: bool,
    /// Only the last N lines.
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<usize>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// Flags of `session stop`.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// The session.
    #[arg(value_name = "ID", value_parser = value::session_id)]
    pub(crate) session: SessionId,
    /// Why, for people.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

fn parse_status(word: &str) -> Result<SessionStatus, String> {
    SessionStatus::parse(word)
        .ok_or_else(|| "use pending, claimed, running, finalizing, completed, failed or stopped".to_owned())
}
