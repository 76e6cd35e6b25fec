//! `rensei platform`.

use super::value;
use clap::{Args, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where `platform serve` listens unless told otherwise.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:7780";

/// Commands of the control plane.
#[derive(Debug, Subcommand)]
pub(crate) enum PlatformCommand {
    /// Create an organisation, a project and their tokens. The tokens are shown once.
    Init(InitArgs),
    /// Serve the control plane until it is told to end.
    Serve(ServeArgs),
}

/// Flags of `platform init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Directory of the control plane's data [default: ~/.rensei/platform].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Slug of the organisation.
    #[arg(long, value_name = "SLUG", default_value = "local")]
    pub(crate) org: String,
    /// Slug of the project.
    #[arg(long, value_name = "SLUG")]
    pub(crate) project: String,
    /// Repository of the project, as its hosts reach it: a path or a URL [default: as it is].
    #[arg(long, value_name = "PATH|URL")]
    pub(crate) repository: Option<String>,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `platform serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Directory of the control plane's data [default: ~/.rensei/platform].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address to listen on; port 0 picks a free one and prints it.
    #[arg(long, value_name = "ADDR:PORT", default_value = DEFAULT_LISTEN)]
    pub(crate) listen: SocketAddr,
    /// How long a session may go unheard of before it is queued again.
    #[arg(long, value_name = "SECONDS", default_value = "90", value_parser = value::duration, help_heading = "Tuning")]
    pub(crate) lease_seconds: Duration,
    /// How long a claimed session may take to start before it is queued again.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = value::duration, help_heading = "Tuning")]
    pub(crate) accept_seconds: Duration,
    /// Milliseconds between heartbeats that hosts are asked for.
    #[arg(long, value_name = "MS", default_value_t = 30_000, help_heading = "Tuning",
          value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub(crate) heartbeat_interval_ms: u64,
    /// Who may report on sessions.
    #[arg(long, value_enum, default_value = "both", value_name = "WHO", help_heading = "Tuning")]
    pub(crate) legacy_session_auth: LegacySessionAuth,
    /// End when this process is gone.
    #[arg(long, value_name = "PID", hide = true)]
    pub(crate) stop_with: Option<u32>,
}

/// Who may report on sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LegacySessionAuth {
    /// The worker API key, and the runtime token of the worker that owns the session.
    Both,
    /// The worker API key alone.
    KeyOnly,
}
