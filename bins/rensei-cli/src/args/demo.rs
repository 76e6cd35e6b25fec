//! `rensei demo`.

use clap::Args;

/// See the whole loop run in a temporary directory.
#[derive(Debug, Args)]
#[command(after_help = "Everything happens in one temporary directory, which is removed at the end. A repository \
    that you name is only ever cloned; nothing in it changes but the one new branch that is pushed to it.")]
pub(crate) struct DemoArgs {
    /// Repository to work on, a path or a URL. Without it a small one is made.
    #[arg(long, value_name = "PATH|URL")]
    pub(crate) repo: Option<String>,
    /// Branch, tag or commit to start from.
    #[arg(long, value_name = "REF")]
    pub(crate) r#ref: Option<String>,
    /// Your own agent: a shell command that gets the prompt on stdin.
    #[arg(long, value_name = "SHELL")]
    pub(crate) command: Option<String>,
    /// What the agent is asked to do.
    #[arg(long, value_name = "TEXT", default_value = "Leave a note that this machine can do the work.")]
    pub(crate) prompt: String,
    /// Keep the temporary directory.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Print one JSON document at the end instead of the summary; the timeline stays on stderr.
    #[arg(long)]
    pub(crate) json: bool,
}
