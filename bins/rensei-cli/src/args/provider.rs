//! `rensei provider`.

use super::daemon::AskArgs;
use clap::{Args, Subcommand};

/// Commands about what sessions can run with.
#[derive(Debug, Subcommand)]
pub(crate) enum ProviderCommand {
    /// List what sessions on this machine can run with.
    List(AskArgs),
    /// Show one of them, and why it cannot be used.
    Show(ShowArgs),
}

/// Show one of them, and why it cannot be used.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Its name.
    #[arg(value_name = "PROVIDER")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}
