//! `rensei workarea show`.

use super::{client, id, size};
use crate::args::workarea::ShowArgs;
use crate::commands::Context;
use crate::error::CommandResult;
use crate::output::rows::Rows;
use crate::output::text;
use rensei_proto::control::{ExcludedEntry, WorkareaDetail, WorkareaEnvelope, WorkareaKind};
use serde::Deserialize;
use serde_json::Value;
use std::process::ExitCode;

/// Most paths that are named as left out.
const MAX_NAMED: usize = 10;

/// Shows one workarea.
pub(super) async fn run(context: &Context, args: ShowArgs) -> CommandResult<ExitCode> {
    let host = client(context, &args.ask.address)?;
    let id = id::resolve(&host, &args.id).await?;
    let workarea = host.ask(async |api| api.workarea_detail(&id).await).await?;
    if args.ask.json {
        context.output.json(&WorkareaEnvelope { workarea })?;
    } else {
        context.output.line(sheet(&workarea))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that is known of a workarea.
pub(super) fn sheet(workarea: &WorkareaDetail) -> Rows {
    let said = |text: &str| Some(text::clean(text).into_owned());
    let owner = Some(&workarea.owner_session).filter(|owner| **owner != workarea.session_id);
    let mut rows = Rows::new();
    rows.add("ID", text::clean(&workarea.id));
    rows.add("Kind", kind(workarea.kind));
    rows.add_some("Session", said(&workarea.session_id));
    rows.add_some("Owner", owner.and_then(|owner| said(owner)));
    rows.add("Status", workarea.status.as_str());
    rows.add_some("Provider", said(&workarea.provider_id));
    rows.add_some("Project", said(&workarea.project_id));
    rows.add_some("Repository", Some(text::place(&workarea.repository)));
    rows.add_some("Ref", said(&workarea.r#ref));
    rows.add_some("Mode", said(&workarea.mode));
    rows.add_some("AcquirePath", said(&workarea.acquire_path));
    rows.add_some("Path", said(&workarea.path));
    rows.add_some("Checksum", said(&workarea.clean_state_checksum));
    rows.add_some("Archive", said(&workarea.archive_location));
    rows.add_some("Acquired", workarea.acquired_at.as_deref().map(text::clean));
    rows.add_some("Released", workarea.released_at.as_deref().map(text::clean));
    if !workarea.toolchain.is_empty() {
        rows.add("Toolchain", "");
    }
    for (name, version) in &workarea.toolchain {
        rows.more(format_args!("{} {}", text::clean(name), text::clean(version)));
    }
    for note in &workarea.notes {
        rows.add("Note", text::clean(note));
    }
    add_manifest(&mut rows, workarea);
    let named: Vec<ExcludedEntry> =
        if workarea.kind == WorkareaKind::Archived { excluded(workarea) } else { workarea.excluded.clone() };
    for excluded in named.iter().take(MAX_NAMED) {
        rows.add("Left out", format_args!("{} ({})", text::clean(&excluded.path), text::clean(&excluded.kind)));
    }
    rows
}

/// The word on the wire.
pub(super) const fn kind(kind: WorkareaKind) -> &'static str {
    match kind {
        WorkareaKind::Active => "active",
        WorkareaKind::Archived => "archived",
    }
}

/// What the manifest of an archive names as left out.
fn excluded(archive: &WorkareaDetail) -> Vec<ExcludedEntry> {
    let named = archive.manifest.as_ref().and_then(|manifest| manifest.get("excluded"));
    named.and_then(|named| Vec::deserialize(named).ok()).unwrap_or_default()
}

fn add_manifest(rows: &mut Rows, workarea: &WorkareaDetail) {
    let Some(manifest) = &workarea.manifest else { return };
    let words = |key: &str| manifest.get(key).and_then(Value::as_str).map(text::clean);
    let number = |key: &str| manifest.get(key).and_then(Value::as_u64);
    rows.add_some("Archived", words("createdAt"));
    rows.add_some("Because", words("disposition"));
    rows.add_some("Reason", words("reason"));
    rows.add_some("Branch", words("branch"));
    rows.add_some("Size", number("sizeBytes").map(size::shown));
    rows.add_some("Entries", number("entryCount"));
    rows.add_some("Left out", number("excludedCount").map(|count| format!("{count} in the archive")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sheet_has_what_the_manifest_says_and_no_control_characters() {
        let Value::Object(manifest) =
            json!({"disposition": "failed", "reason": "it\u{1b}[2J broke", "sizeBytes": 2048})
        else {
            unreachable!()
        };
        let workarea = WorkareaDetail {
            id: "a".to_owned(),
            kind: WorkareaKind::Archived,
            repository: "https://me:secret@host/r".to_owned(),
            manifest: Some(manifest),
            ..WorkareaDetail::default()
        };
        let text = sheet(&workarea).to_string();
        assert!(text.contains("it broke") && text.contains("2.0 KiB") && text.contains("failed"), "{text}");
        assert!(!text.contains("secret") && !text.contains('\u{1b}'), "{text}");
    }
}
