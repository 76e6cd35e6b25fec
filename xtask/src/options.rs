//! What every benchmark is told.

use std::path::PathBuf;

/// Arguments of all benchmarks.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Directory under which a temporary one is made. Its file system is part of what is measured.
    #[arg(long)]
    pub scratch: PathBuf,
    /// Less work and fewer rounds.
    #[arg(long)]
    pub quick: bool,
    /// One JSON document instead of the table.
    #[arg(long)]
    pub json: bool,
}
