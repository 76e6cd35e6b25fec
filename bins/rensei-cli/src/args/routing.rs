//! `rensei routing`.

use super::daemon::AddressArgs;
use clap::{Args, Subcommand};

/// Commands about who ran what, and how well that went.
#[derive(Debug, Subcommand)]
pub(crate) enum RoutingCommand {
    /// Show what outcomes have taught, and the last decisions.
    Show(ShowArgs),
    /// Show why a session runs, or ran, where and with what it does.
    Explain(ExplainArgs),
}

/// Show what outcomes have taught, and the last decisions.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) form: FormArgs,
    #[command(flatten)]
    pub(crate) address: AddressArgs,
}

/// Show why a session runs, or ran, where and with what it does.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The session; also as `routing show` shortens it.
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    #[command(flatten)]
    pub(crate) form: FormArgs,
    #[command(flatten)]
    pub(crate) address: AddressArgs,
}

/// How the answer is printed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct FormArgs {
    /// Print one JSON document.
    #[arg(long, conflicts_with = "plain")]
    pub(crate) json: bool,
    /// Print lines of `key: value` and `key=value`, for scripts without a JSON parser.
    #[arg(long)]
    pub(crate) plain: bool,
}
