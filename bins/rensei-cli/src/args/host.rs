//! `rensei host`.

use super::daemon::{AddressArgs, AskArgs, LookArgs};
use super::value;
use clap::{Args, Subcommand};
use rensei_proto::SessionId;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Commands of this machine's daemon.
#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    /// Run the daemon in the foreground.
    Run(RunArgs),
    /// Show whether the daemon runs and what it does.
    Status(LookArgs),
    /// Show who this host is, whom it serves, and how busy it is.
    Stats(StatsArgs),
    /// Show what runs on this host.
    Sessions(SessionsArgs),
    /// Stop accepting new sessions; what runs goes on.
    Pause(AddressArgs),
    /// Accept sessions again. Also cancels a drain.
    Resume(AddressArgs),
    /// Finish what runs, then end the daemon.
    Drain(DrainArgs),
    /// End the daemon now; what runs is interrupted.
    Stop(AddressArgs),
    /// Have the daemon look for a newer version of itself and install it.
    Update(UpdateArgs),
    /// Delete idle workareas of a repository.
    Evict(EvictArgs),
    /// Change a key of the configuration, in its file and in the running daemon.
    Set(SetArgs),
    /// Show the daemon's log.
    Logs(LogsArgs),
    /// Look for what keeps this host from working, and say what to do about it.
    Doctor(DoctorArgs),
}

/// Flags of `host evict`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  rensei host evict --repo https://github.com/example/app
  rensei host evict --repo example-app --older-than 24h

A workarea that a session holds is never evicted. What there is: `rensei host stats --pool`.")]
pub(crate) struct EvictArgs {
    /// Repository whose idle workareas go: its URL, or the id of its project.
    #[arg(long, value_name = "URL")]
    pub(crate) repo: String,
    /// Only those that no session had for so long: seconds, or with a unit such as `15m` or `24h` [default: all].
    #[arg(long, value_name = "DURATION", default_value = "0", hide_default_value = true, value_parser = value::duration)]
    pub(crate) older_than: Duration,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

/// Flags of `host run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Configuration file [default: ~/.rensei/daemon.yaml].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Cached credentials [default: ~/.rensei/daemon.jwt].
    #[arg(long, value_name = "FILE")]
    pub(crate) jwt_path: Option<PathBuf>,
    /// Loopback address of the control API.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// Port of the control API; 0 picks a free one and prints it.
    #[arg(long, value_name = "PORT", default_value_t = rensei_proto::control::DEFAULT_PORT)]
    pub(crate) port: u16,
    /// Accepted for the sake of existing scripts: this host asks no questions, a missing configuration means defaults.
    #[arg(long)]
    pub(crate) skip_wizard: bool,
    /// Program to start for each session instead of `rensei agent run`.
    #[arg(long, value_name = "PROGRAM", help_heading = "Advanced")]
    pub(crate) worker_command: Option<PathBuf>,
    /// Argument of that program; repeatable.
    #[arg(
        long,
        value_name = "ARG",
        requires = "worker_command",
        allow_hyphen_values = true,
        help_heading = "Advanced"
    )]
    pub(crate) worker_arg: Vec<OsString>,
    /// End when this process is gone.
    #[arg(long, value_name = "PID", hide = true)]
    pub(crate) stop_with: Option<u32>,
}

/// Flags of `host stats`.
#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Add the pool of workareas.
    #[arg(long)]
    pub(crate) pool: bool,
    /// Add every machine behind the daemon's API.
    #[arg(long)]
    pub(crate) by_machine: bool,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// Flags of `host sessions`.
#[derive(Debug, Args)]
pub(crate) struct SessionsArgs {
    /// Also what has ended.
    #[arg(short, long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// Flags of `host set`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  rensei host set capacity.maxConcurrentSessions 4
  rensei host set machine.region home
  rensei host set 'projects[0].cloneStrategy' full

Comments, order and unknown keys of the file stay, and a value that is not valid changes nothing. A running daemon takes
a capacity at once; other keys as the list says.")]
pub(crate) struct SetArgs {
    /// The key, such as `capacity.maxConcurrentSessions`.
    #[arg(value_name = "KEY", required_unless_present = "list")]
    pub(crate) key: Option<String>,
    /// Its new value.
    #[arg(value_name = "VALUE", requires = "key", required_unless_present = "list", allow_hyphen_values = true)]
    pub(crate) value: Option<String>,
    /// List the keys and when a change takes effect.
    #[arg(long, conflicts_with_all = ["key", "value", "json"])]
    pub(crate) list: bool,
    /// Configuration file [default: ~/.rensei/daemon.yaml].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

/// Flags of `host drain`.
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// Longest wait before what is left is forced; 0: as configured.
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = value::duration)]
    pub(crate) timeout: Duration,
    /// Keep the daemon up, paused, when it is drained.
    #[arg(long)]
    pub(crate) keep_alive: bool,
    #[command(flatten)]
    pub(crate) address: AddressArgs,
}

/// Flags of `host update`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  rensei host update
  rensei host update --json | jq -r .outcome

Sessions go on while the daemon looks and fetches. Only with a newer version in hand it takes no more of them, finishes those
that run, within `autoUpdate.drainTimeoutSeconds`, installs it, and ends for its service manager to start it again. An
interrupted command leaves the update going; `rensei host resume` gives one up that waits for sessions.

Exit code 0 when there is nothing newer or the new version runs, 1 when it was refused or failed, 3 when it is in place and
nothing has started the daemon again.")]
pub(crate) struct UpdateArgs {
    /// Ask the daemon also when Homebrew has installed this program.
    #[arg(long)]
    pub(crate) force: bool,
    /// How long to wait for the daemon to be started again.
    #[arg(long, value_name = "DURATION", default_value = "30", value_parser = value::duration)]
    pub(crate) wait: Duration,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

/// Flags of `host doctor`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  rensei host doctor
  rensei host doctor --json | jq '.checks[] | select(.status != \"ok\")'

Exit code 0 when nothing is broken, 1 otherwise, also when the service is not installed.")]
pub(crate) struct DoctorArgs {
    /// Look at the service of this user. That is the default.
    #[arg(long)]
    pub(crate) user: bool,
    /// Look at the service of the machine.
    #[arg(long, conflicts_with = "user")]
    pub(crate) system: bool,
    /// Configuration file [default: ~/.rensei/daemon.yaml].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

/// Flags of `host logs`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  rensei host logs --follow
  rensei host logs --level warn --since 1h
  rensei host logs --session ses_1 --lines 0
  rensei host logs --json | jq 'select(.event == \"claimed\")'

The file that was in use before the last rotation is read as well. A session's own output: `rensei session output`.")]
pub(crate) struct LogsArgs {
    /// Log file [default: ~/.rensei/daemon.log].
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Go on with new lines as they arrive.
    #[arg(short = 'F', long)]
    pub(crate) follow: bool,
    /// Number of lines; 0 means all.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub(crate) lines: usize,
    /// Print the records as they are in the file: one JSON document per line.
    #[arg(long, visible_alias = "json")]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) filter: LogFilterArgs,
}

/// Which records of the log are wanted; all that is given must hold.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct LogFilterArgs {
    /// Only records of this session.
    #[arg(long, value_name = "ID", value_parser = value::session_id)]
    pub(crate) session: Option<SessionId>,
    /// Only records of this level and worse.
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub(crate) level: Option<LogLevel>,
    /// Only records since then: a time such as `2026-06-02T14:00:00Z`, or how long ago, such as `90s`, `15m`, `2h`, `1d`.
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    pub(crate) since: Option<value::Moment>,
    /// Only records before then, given in the same way.
    #[arg(long, value_name = "TIME", value_parser = value::moment, conflicts_with = "follow")]
    pub(crate) until: Option<value::Moment>,
    /// Only lines that this regular expression matches.
    #[arg(short, long, value_name = "REGEX", value_parser = regex)]
    pub(crate) grep: Option<regex_lite::Regex>,
}

/// How bad a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum LogLevel {
    /// Everything that is logged.
    Debug,
    /// What happens.
    Info,
    /// What somebody should look at.
    Warn,
    /// What went wrong.
    Error,
}

fn regex(text: &str) -> Result<regex_lite::Regex, String> {
    regex_lite::Regex::new(text).map_err(|error| error.to_string())
}
