//! `rensei workarea diff`.

use super::{client, id};
use crate::args::workarea::DiffArgs;
use crate::commands::Context;
use crate::commands::host::client::HostClient;
use crate::error::{CommandError, CommandResult};
use crate::output::table::{Value, table};
use crate::output::{Output, Tone, text};
use rensei_proto::control::{DiffEntry, DiffEnvelope, DiffStatus, DiffSummary, WorkareaDiff};
use rensei_workarea::{Patch, patch};
use std::path::PathBuf;
use std::process::ExitCode;

/// Compares two archives.
pub(super) async fn run(context: &Context, args: DiffArgs) -> CommandResult<ExitCode> {
    let host = client(context, &args.ask.address)?;
    let (a, b) = (id::resolve(&host, &args.a).await?, id::resolve(&host, &args.b).await?);
    let diff = compared(context, &host, &a, &b).await?;
    if args.ask.json {
        context.output.json(&DiffEnvelope { diff })?;
    } else if args.patch {
        let trees = (tree(&host, &a).await?, tree(&host, &b).await?);
        patches(&context.output, &diff, &trees)?;
    } else {
        context.output.line(page(&context.output, diff))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn compared(context: &Context, host: &HostClient, a: &str, b: &str) -> CommandResult<WorkareaDiff> {
    let mut bar = context.output.bar();
    let mut entries: Vec<DiffEntry> = Vec::new();
    let summary = host
        .ask(async |api| {
            let heard = |entry| {
                entries.push(entry);
                if entries.len().is_multiple_of(1000) {
                    bar.show(&format!("{} paths differ so far", entries.len()), 0, None);
                }
            };
            api.diff_workareas(a, b, heard).await
        })
        .await?;
    Ok(WorkareaDiff { summary, entries })
}

fn page(output: &Output, diff: WorkareaDiff) -> String {
    let WorkareaDiff { summary, mut entries } = diff;
    if entries.is_empty() {
        return "No differences.".to_owned();
    }
    entries.sort_by_key(|entry| match entry.status {
        DiffStatus::Added => 0,
        DiffStatus::Removed => 2,
        DiffStatus::Modified => 1,
    });
    let rows = entries.iter().map(|entry| -> [Value; 2] {
        let (tone, word) = match entry.status {
            DiffStatus::Added => (Tone::Good, "added"),
            DiffStatus::Modified => (Tone::Notice, "modified"),
            DiffStatus::Removed => (Tone::Bad, "removed"),
        };
        [Value::toned(tone, word), text::clean(path(entry)).into()]
    });
    let table = table(output, ["STATUS", "PATH"], &[], rows);
    let (a, b) = (text::clean(&summary.workarea_a), text::clean(&summary.workarea_b));
    format!("A: {a}\nB: {b}\n\n{table}\n---\n{}", counts(&summary))
}

fn counts(summary: &DiffSummary) -> String {
    let DiffSummary { added, removed, modified, total, .. } = summary;
    format!("added: {added}, removed: {removed}, modified: {modified}, total: {total}")
}

/// The exact path where the plain one loses something.
fn path(entry: &DiffEntry) -> &str {
    entry.path_escaped.as_deref().unwrap_or(&entry.path)
}

/// Where the files of an archive are: on this machine, as the daemon is.
async fn tree(host: &HostClient, id: &str) -> CommandResult<PathBuf> {
    let archive = host.ask(async |api| api.workarea_detail(id).await).await?;
    Ok(PathBuf::from(archive.path).join("tree"))
}

fn patches(output: &Output, diff: &WorkareaDiff, trees: &(PathBuf, PathBuf)) -> CommandResult {
    let is_git = |entry: &&DiffEntry| entry.path == ".git" || entry.path.starts_with(".git/");
    for entry in diff.entries.iter().filter(|entry| !is_git(entry)) {
        let found = patch(&trees.0, &trees.1, entry).map_err(|error| {
            CommandError::context(format!("failed to read `{}`", text::clean(path(entry))), error)
                .hint("is the daemon on this machine, and yours? without --patch nothing is read here")
        })?;
        match found {
            Patch::Text(text) => print(output, &text)?,
            Patch::Binary => output.line(format_args!("Binary files differ: {}", text::clean(path(entry))))?,
            Patch::TooLarge => output.line(format_args!("Files too large to show: {}", text::clean(path(entry))))?,
            Patch::Nothing => output.note(format_args!(
                "{}: {} -> {}",
                text::clean(path(entry)),
                mode(&entry.mode_a),
                mode(&entry.mode_b)
            )),
        }
    }
    let hidden = diff.entries.iter().filter(is_git).count();
    if hidden > 0 {
        output.note(format_args!("{} below .git not shown", text::count(hidden, "path")));
    }
    output.note(counts(&diff.summary));
    Ok(())
}

const fn mode(text: &str) -> &str {
    if text.is_empty() { "nothing" } else { text }
}

/// On a terminal without control characters, elsewhere as it is.
fn print(output: &Output, patch: &str) -> CommandResult {
    if !output.out_is_tty() {
        return output.write(patch.as_bytes());
    }
    for line in patch.lines() {
        let shown = text::clean(line);
        let tone = match line.as_bytes().first() {
            Some(b'+') => Some(Tone::Good),
            Some(b'-') => Some(Tone::Bad),
            Some(b'@') => Some(Tone::Busy),
            _ => None,
        };
        output.line(tone.map_or_else(|| shown.to_string(), |tone| output.paint(tone, &shown)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Environment;
    use crate::output::ColorChoice;

    #[test]
    fn what_was_added_comes_first_and_the_counts_last() {
        let output = Output::new(ColorChoice::Never, &Environment::default());
        let entry = |path: &str, status: DiffStatus| DiffEntry {
            path: path.to_owned(),
            path_escaped: None,
            status,
            size_a: 0,
            size_b: 0,
            mode_a: String::new(),
            mode_b: String::new(),
            hash_a: String::new(),
            hash_b: String::new(),
        };
        let entries = vec![
            entry("a", DiffStatus::Removed),
            entry("b", DiffStatus::Modified),
            entry("c", DiffStatus::Added),
            entry("d", DiffStatus::Added),
        ];
        let mut summary =
            DiffSummary { workarea_a: "one".to_owned(), workarea_b: "two".to_owned(), ..DiffSummary::default() };
        entries.iter().for_each(|entry| summary.count(entry.status));
        let expected = "A: one\nB: two\n\nSTATUS    PATH\nadded     c\nadded     d\nmodified  b\nremoved   a\n---\n\
            added: 2, removed: 1, modified: 1, total: 4";
        assert_eq!(page(&output, WorkareaDiff { summary, entries }), expected);
        assert_eq!(page(&output, WorkareaDiff::default()), "No differences.");
    }
}
