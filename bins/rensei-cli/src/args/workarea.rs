//! `rensei workarea`.

use super::daemon::AskArgs;
use super::value;
use clap::{Args, Subcommand};
use rensei_proto::SessionId;
use std::time::Duration;

/// Commands of workareas.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkareaCommand {
    /// List workareas: of live sessions, restored ones, archives, and what is still to be archived.
    List(AskArgs),
    /// Show one workarea.
    Show(ShowArgs),
    /// Compare two archives.
    Diff(DiffArgs),
    /// Make a workarea from an archive.
    Restore(RestoreArgs),
    /// Archive the workarea of a live session as it is now, or one that could not be archived before.
    Archive(ArchiveArgs),
    /// Remove archives, restored workareas, and what could not be archived.
    Prune(PruneArgs),
}

/// Show one workarea.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Session, restored workarea, archive, or what is to be one; also as `workarea list` shortens it.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

/// Compare two archives.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  rensei workarea diff s1-20260602T140000Z s1-20260602T150000Z
  rensei workarea diff --patch <ARCHIVE> <ARCHIVE> | git apply --stat")]
pub(crate) struct DiffArgs {
    /// Archive to compare.
    #[arg(value_name = "ARCHIVE")]
    pub(crate) a: String,
    /// Archive that it is compared with.
    #[arg(value_name = "OTHER")]
    pub(crate) b: String,
    /// Print text files as a patch; what is below `.git` is left out.
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) patch: bool,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

/// Make a workarea from an archive.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// Archive to restore; it stays as it is.
    #[arg(value_name = "ARCHIVE")]
    pub(crate) id: String,
    /// Why; kept beside the workarea.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Session that the workarea is for; one that is live or has one already is refused.
    #[arg(long, value_name = "SESSION")]
    pub(crate) into_session_id: Option<String>,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

/// Archive the workarea of a live session as it is now, or one that could not be archived before.
#[derive(Debug, Args)]
pub(crate) struct ArchiveArgs {
    /// The session, which goes on; of an ended one the session, or the workarea's own id.
    #[arg(value_name = "SESSION")]
    pub(crate) session: SessionId,
    /// Why; kept in the archive of a live session.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

/// Remove archives, restored workareas, and what could not be archived.
///
/// By rule, oldest first: only archives that this program made, and by age what could not be archived. By name: whatever
/// it is.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  rensei workarea prune --older-than 7d --dry-run
  rensei workarea prune --keep 10 --max-disk 5G
  rensei workarea prune s1-20260602T140000Z")]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true)))]
pub(crate) struct PruneArgs {
    /// These and no others.
    #[arg(value_name = "ID", group = "what", conflicts_with_all = ["older_than", "keep", "max_disk"])]
    pub(crate) ids: Vec<String>,
    /// Archives older than this, such as `12h` or `7d`.
    #[arg(long, value_name = "AGE", value_parser = value::age, group = "what")]
    pub(crate) older_than: Option<Duration>,
    /// All but this many of the newest.
    #[arg(long, value_name = "COUNT", group = "what")]
    pub(crate) keep: Option<usize>,
    /// The oldest, until the others take no more than this, such as `500M` or `5G`.
    #[arg(long, value_name = "SIZE", value_parser = value::bytes, group = "what")]
    pub(crate) max_disk: Option<u64>,
    /// Only say what would go.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}
