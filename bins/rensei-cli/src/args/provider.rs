//! `rensei provider`.

use super::host::AddressArgs;
use clap::{Args, Subcommand};

/// Commands about what sessions can run with.
#[derive(Debug, Subcommand)]
pub(crate) enum ProviderCommand {
    /// List what sessions on this machine can run with.
    List(ListArgs),
    /// Show one of them, and why it cannot be used.
    Show(ShowArgs),
}

/// List what sessions on this machine can run with.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) address: AddressArgs,
}

/// Show one of them, and why it cannot be used.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Its name.
    #[arg(value_name = "PROVIDER")]
    pub(crate) id: String,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) address: AddressArgs,
}
