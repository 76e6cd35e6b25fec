//! Flags of the commands that ask a daemon: which one, and how its answer is printed.

use super::value;
use clap::Args;
use std::time::Duration;

/// Where the daemon's control API is.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct AddressArgs {
    /// Address of the daemon's control API [default: RENSEI_DAEMON_URL, else 127.0.0.1].
    #[arg(long, value_name = "ADDR", help_heading = "Daemon")]
    pub(crate) host: Option<String>,
    /// Its port [default: RENSEI_DAEMON_URL, else 7734].
    #[arg(long, value_name = "PORT", help_heading = "Daemon")]
    pub(crate) port: Option<u16>,
}

// What is asked is said by the commands.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct AskArgs {
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) address: AddressArgs,
}

// What is looked at is said by the commands.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct LookArgs {
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    /// Look again and again, until interrupted. With --json: one document per line.
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Pause between two looks, in seconds or with a unit such as `1m`.
    #[arg(long, value_name = "SECONDS", default_value = "2", requires = "watch", value_parser = value::interval)]
    pub(crate) interval: Duration,
    #[command(flatten)]
    pub(crate) address: AddressArgs,
}
