//! `rensei capacity`.

use super::host::{SetArgs, StatsArgs};
use clap::Subcommand;

/// Commands of what this host takes on.
#[derive(Debug, Subcommand)]
pub(crate) enum CapacityCommand {
    /// Show how much this host takes on, and how much it has.
    Status(StatsArgs),
    /// Change how much this host takes on.
    Set(SetArgs),
}
