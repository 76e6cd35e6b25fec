//! `rensei kit`.

use super::daemon::{AddressArgs, AskArgs};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Commands about kits, which teach agents a toolchain.
#[derive(Debug, Subcommand)]
pub(crate) enum KitCommand {
    /// List the kits of this host.
    List(ListArgs),
    /// Show one kit in full.
    Show(KitArgs),
    /// Show which kits apply to a directory, where in it, and why.
    Detect(DetectArgs),
    /// Check who signed a kit.
    #[command(visible_alias = "verify-signature")]
    Verify(KitArgs),
    /// Install a kit from a git repository.
    // Its `--version` is that of the kit.
    #[command(disable_version_flag = true)]
    Install(InstallArgs),
    /// Use a kit again.
    Enable(KitArgs),
    /// Stop using a kit.
    Disable(KitArgs),
    /// Look at where kits come from.
    #[command(subcommand)]
    Sources(SourcesCommand),
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Form {
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print without colour and marks, as in a pipe.
    #[arg(long, conflicts_with = "json")]
    pub(crate) plain: bool,
}

// What it lists is said by its commands.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) form: Form,
    #[command(flatten)]
    pub(crate) address: AddressArgs,
}

// What is done to the kit is said by its commands.
#[derive(Debug, Args)]
pub(crate) struct KitArgs {
    /// Its id, such as `rensei/rust`.
    #[arg(value_name = "KIT")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) form: Form,
    #[command(flatten)]
    pub(crate) address: AddressArgs,
}

/// Show which kits apply to a directory, where in it, and why.
#[derive(Debug, Args)]
pub(crate) struct DetectArgs {
    /// The directory.
    #[arg(default_value = ".", value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// Kits that are looked at instead of those of this host: manifests, or directories with manifests.
    #[arg(long = "kit", value_name = "PATH")]
    pub(crate) kits: Vec<PathBuf>,
    /// Type of work that texts are chosen for.
    #[arg(long, value_name = "TYPE")]
    pub(crate) work_type: Option<String>,
    /// Also show kits that do not apply, and why not.
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

/// Install a kit from a git repository.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Its id, such as `rensei/rust`.
    #[arg(value_name = "KIT")]
    pub(crate) id: String,
    /// Repository that has it: `https://…` or `file://…`.
    #[arg(long, value_name = "URL")]
    pub(crate) git: String,
    /// Branch, tag or commit id.
    #[arg(long = "ref", value_name = "REF")]
    pub(crate) reference: Option<String>,
    /// Manifest in the repository, when several have the id.
    #[arg(long, value_name = "PATH")]
    pub(crate) manifest_path: Option<String>,
    /// Version that it must have.
    #[arg(long = "version", value_name = "VERSION")]
    pub(crate) kit_version: Option<String>,
    /// Install it although the trust mode of this host asks for a signature. Written to the log.
    #[arg(long, value_enum, value_name = "WORD")]
    pub(crate) trust_override: Option<TrustOverride>,
    #[command(flatten)]
    pub(crate) form: Form,
    #[command(flatten)]
    pub(crate) address: AddressArgs,
}

/// Words of `--trust-override`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum TrustOverride {
    /// For this one installation.
    AllowedThisOnce,
}

/// Look at where kits come from.
#[derive(Debug, Subcommand)]
pub(crate) enum SourcesCommand {
    /// List the sources in the order in which they are asked.
    List(ListArgs),
    /// Use a source again.
    Enable(SourceArgs),
    /// Stop using a source.
    Disable(SourceArgs),
}

// What is done to the source is said by its commands.
#[derive(Debug, Args)]
pub(crate) struct SourceArgs {
    /// Its name, such as `local`.
    #[arg(value_name = "SOURCE")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) form: Form,
    #[command(flatten)]
    pub(crate) address: AddressArgs,
}
