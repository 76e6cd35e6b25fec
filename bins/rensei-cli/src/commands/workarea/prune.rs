//! `rensei workarea prune`.

use super::{client, id, size};
use crate::args::workarea::PruneArgs;
use crate::commands::Context;
use crate::error::{CommandError, CommandResult};
use crate::output::text;
use rensei_proto::control::{PruneRequest, PruneResponse};
use std::process::ExitCode;

/// Removes archives and restored workareas.
pub(super) async fn run(context: &Context, args: PruneArgs) -> CommandResult<ExitCode> {
    let host = client(context, &args.ask.address)?;
    let mut ids = Vec::with_capacity(args.ids.len());
    for typed in &args.ids {
        ids.push(id::resolve(&host, typed).await?);
    }
    let request = PruneRequest {
        ids,
        older_than_seconds: args.older_than.map(|age| age.as_secs()),
        keep: args.keep,
        max_bytes: args.max_disk,
        dry_run: args.dry_run,
    };
    let response = host.ask(async |api| api.prune_workareas(&request).await).await?;
    if args.ask.json {
        context.output.json(&response)?;
    } else {
        context.output.line(page(&response))?;
        for skipped in &response.skipped {
            let (id, reason) = (text::clean(&skipped.id), text::clean(&skipped.reason));
            context.output.warn(format_args!("`{id}` stays: {reason}"));
        }
    }
    // What was named was meant.
    if !request.ids.is_empty() && !response.skipped.is_empty() {
        return Err(CommandError::failure(format!("{} not removed", text::count(response.skipped.len(), "workarea")))
            .hint("see what there is: `rensei workarea list`"));
    }
    Ok(ExitCode::SUCCESS)
}

fn page(response: &PruneResponse) -> String {
    let verb = if response.dry_run { "would remove" } else { "removed" };
    let mut lines: Vec<String> = response
        .removed
        .iter()
        .map(|one| format!("{verb} {}  {}", text::clean(&one.id), size::shown(one.size_bytes)))
        .collect();
    let (count, freed) = (text::count(response.removed.len(), "workarea"), size::shown(response.freed_bytes));
    lines.push(format!("{verb} {count}, {freed}"));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rensei_proto::control::PrunedWorkarea;

    #[test]
    fn a_dry_run_says_so() {
        let removed = vec![PrunedWorkarea { id: "a".to_owned(), size_bytes: 2048 }];
        let response = PruneResponse { removed, freed_bytes: 2048, dry_run: true, ..PruneResponse::default() };
        assert_eq!(page(&response), "would remove a  2.0 KiB\nwould remove 1 workarea, 2.0 KiB");
        assert_eq!(page(&PruneResponse::default()), "removed 0 workareas, 0 B");
    }
}
