//! `rensei agent`.

use clap::{Args, Subcommand};

/// Commands of the worker.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Run one session that the daemon has accepted. The daemon starts this; people rarely do.
    Run(RunArgs),
}

/// Flags of `agent run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Session to run [default: RENSEI_SESSION_ID].
    #[arg(long, value_name = "ID")]
    pub(crate) session_id: Option<String>,
    /// Control API of the daemon [default: RENSEI_DAEMON_URL].
    #[arg(long, value_name = "URL")]
    pub(crate) daemon_url: Option<String>,
    /// Print the result as one JSON document. Always on; accepted because older daemons pass it.
    #[arg(long, hide = true)]
    pub(crate) json: bool,
}
