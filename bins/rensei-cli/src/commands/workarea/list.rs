//! `rensei workarea list`.

use super::{client, id};
use crate::args::daemon::AskArgs;
use crate::commands::Context;
use crate::error::CommandResult;
use crate::output::table::{Value, table};
use crate::output::time::{self, now_ms, parse_ms};
use crate::output::{Output, Tone, text};
use rensei_proto::control::{WorkareaList, WorkareaStatus, WorkareaSummary};
use std::process::ExitCode;

/// Longest ref that is not a branch.
const MAX_REF: usize = 12;

/// Lists workareas.
pub(super) async fn run(context: &Context, args: AskArgs) -> CommandResult<ExitCode> {
    let list = client(context, &args.address)?.ask(async |api| api.workareas().await).await?;
    if args.json {
        context.output.json(&list)?;
    } else {
        context.output.line(page(&context.output, &list, now_ms()))?;
        for row in list.active.iter().filter(|row| row.status == WorkareaStatus::Invalid) {
            let (id, why) = (id::shown(&row.id), text::clean(&row.disposition));
            context
                .output
                .warn(format_args!("{id}: {why}; try again: `rensei workarea archive {}`", text::clean(&row.id)));
        }
        for row in list.archived.iter().filter(|row| is_broken(row)) {
            let (id, why) = (id::shown(&row.id), text::clean(&row.disposition));
            context.output.warn(format_args!("{id}: {why}; more: `rensei workarea show {}`", text::clean(&row.id)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn page(output: &Output, list: &WorkareaList, now: i64) -> String {
    let sections = [("ACTIVE", &list.active), ("ARCHIVED", &list.archived)];
    let filled = sections.iter().filter(|(_, rows)| !rows.is_empty());
    let sections: Vec<String> =
        filled.map(|(name, rows)| format!("{}\n{}", output.heading(name), section(output, rows, now))).collect();
    if sections.is_empty() { "No workareas found.".to_owned() } else { sections.join("\n\n") }
}

fn section(output: &Output, rows: &[WorkareaSummary], now: i64) -> String {
    let row = |row: &WorkareaSummary| -> [Value; 6] {
        [
            id::shown(&row.id).into(),
            Value::toned(tone(row), row.status.as_str()),
            reference(&row.r#ref).into(),
            age(row, now).into(),
            text::clean(&row.project_id).into(),
            text::clean(&row.provider_id).into(),
        ]
    };
    let headings = ["ID", "STATUS", "REF", "AGE", "PROJECT", "PROVIDER"];
    let table = table(output, headings, &["PROVIDER", "PROJECT", "REF"], rows.iter().map(row));
    text::indented(&table)
}

/// A broken archive is archived, too.
fn is_broken(row: &WorkareaSummary) -> bool {
    ["corrupted", "unreadable"].iter().any(|bad| row.disposition.starts_with(bad))
}

fn tone(row: &WorkareaSummary) -> Tone {
    match row.status {
        _ if is_broken(row) => Tone::Bad,
        WorkareaStatus::Ready | WorkareaStatus::Acquired => Tone::Good,
        WorkareaStatus::Warming | WorkareaStatus::Releasing => Tone::Busy,
        WorkareaStatus::Invalid => Tone::Bad,
        WorkareaStatus::Retired | WorkareaStatus::Archived => Tone::Faint,
    }
}

fn reference(text: &str) -> String {
    let text = text::clean(text);
    match text.strip_prefix("refs/heads/") {
        Some(branch) => branch.to_owned(),
        None => text.chars().take(MAX_REF).collect(),
    }
}

fn age(row: &WorkareaSummary, now: i64) -> String {
    let times = [&row.created_at, &row.acquired_at, &row.released_at];
    let since = times.into_iter().find_map(Option::as_deref).and_then(parse_ms);
    since.and_then(|since| time::age(since, now)).unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Environment;
    use crate::output::ColorChoice;

    #[test]
    fn two_sections_with_short_ids_and_refs() {
        let output = Output::new(ColorChoice::Never, &Environment::default());
        let row = |id: &str, r#ref: &str| WorkareaSummary {
            id: id.to_owned(),
            r#ref: r#ref.to_owned(),
            project_id: "app".to_owned(),
            ..WorkareaSummary::default()
        };
        let archived = WorkareaSummary {
            status: WorkareaStatus::Archived,
            created_at: Some("1970-01-01T00:00:00Z".to_owned()),
            provider_id: "local".to_owned(),
            ..row("0123456789-abcdefg-20260102T030405Z", "0123456789abcdef0123")
        };
        let list = WorkareaList {
            active: vec![row("s1", "refs/heads/a/long-branch-name")],
            archived: vec![archived],
            ..WorkareaList::default()
        };
        let expected = "ACTIVE\n  ID  STATUS  REF                 AGE  PROJECT  PROVIDER\n  \
            s1  ready   a/long-branch-name  -    app\n\n\
            ARCHIVED\n  ID                    STATUS    REF           AGE  PROJECT  PROVIDER\n  \
            0123456789..T030405Z  archived  0123456789ab  1m   app      local";
        let page = super::page(&output, &list, 90_000);
        assert_eq!(page, expected);
        assert_eq!(super::page(&output, &WorkareaList::default(), 0), "No workareas found.");
    }
}
