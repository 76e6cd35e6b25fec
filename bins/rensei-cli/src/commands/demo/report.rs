//! The result of a demo.

use super::repository::Repository;
use super::timeline::{Event, Timeline};
use crate::args::demo::DemoArgs;
use crate::commands::Context;
use crate::commands::session::sheet;
use crate::error::CommandResult;
use crate::output::text;
use rensei_proto::SessionStatus;
use rensei_proto::operator::Session;
use rensei_proto::outcome::SessionResult;
use serde::Serialize;
use std::path::Path;

/// Most lines of a patch that are shown.
const PATCH_LINES: usize = 60;

/// The result as one document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    status: rensei_proto::SessionStatus,
    session_id: &'a str,
    repository: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    result: SessionResult,
    duration_ms: u128,
    timeline: &'a [Event],
    /// Directory that was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<&'a Path>,
}

/// Prints the result: a page for people, or one JSON document.
pub(super) async fn print(
    context: &Context,
    args: &DemoArgs,
    repository: &Repository,
    session: &Session,
    ending: Ending<'_>,
) -> CommandResult {
    let result = session.result.clone().unwrap_or_default();
    if args.json {
        return context.output.json(&Document {
            status: session.status,
            session_id: &session.session_id,
            repository: repository.url(),
            error: session.error.as_deref(),
            result,
            duration_ms: ending.timeline.elapsed().as_millis(),
            timeline: ending.timeline.events(),
            directory: ending.kept,
        });
    }
    let page = sheet::of_result(&context.output, session);
    context.output.line(format_args!("\n{page}\n"))?;
    look(context, repository, &result, ending.kept.is_some()).await?;
    if session.status != SessionStatus::Completed {
        context.output.hint(next_step(repository, &result, ending.kept));
    }
    Ok(())
}

/// How to find out more about a session that did not complete.
fn next_step(repository: &Repository, result: &SessionResult, kept: Option<&Path>) -> String {
    // Without a base there was no checkout.
    if let (Repository::Remote { url, .. }, true) = (repository, result.base_sha.is_none()) {
        return format!("see what git gets to see: `git ls-remote {}`", text::quoted(url));
    }
    match kept {
        Some(directory) => format!("its logs: `ls {}/state/sessions/*`", text::quoted(&directory.to_string_lossy())),
        None => {
            "run it again with --keep for its logs, or try another agent: `rensei demo --command '<shell>'`".to_owned()
        }
    }
}

/// How the demo ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending<'a> {
    /// What happened.
    pub(super) timeline: &'a Timeline,
    /// Directory that is kept.
    pub(super) kept: Option<&'a Path>,
}

/// Shows the change, or how to see it.
async fn look(context: &Context, repository: &Repository, result: &SessionResult, kept: bool) -> CommandResult {
    let output = &context.output;
    let (Some(branch), true) = (&result.branch, result.pushed) else {
        return output.line("Nothing was pushed.");
    };
    let outlives = kept || !matches!(repository, Repository::Made(_));
    if outlives {
        output.line("Look at it:")?;
        return repository.how_to_look(branch).iter().try_for_each(|line| output.line(format_args!("  {line}")));
    }
    let commit = result.commit_sha.as_deref().unwrap_or(branch);
    if let Some(patch) = repository.patch(context, commit).await {
        patch.lines().take(PATCH_LINES).try_for_each(|line| output.line(line))?;
        output.line("")?;
    }
    output.line("The repository was temporary and is removed now; `rensei demo --keep` keeps it.")?;
    output.line("On a repository of yours: `rensei demo --repo <path or url>`")
}
