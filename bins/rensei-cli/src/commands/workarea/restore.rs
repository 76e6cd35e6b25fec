//! `rensei workarea restore`.

use super::{client, id, wait};
use crate::args::workarea::RestoreArgs;
use crate::commands::Context;
use crate::error::CommandResult;
use crate::output::rows::Rows;
use crate::output::text;
use rensei_proto::control::{RestoreRequest, WorkareaDetail, WorkareaEnvelope};
use std::process::ExitCode;

/// Restores an archive.
pub(super) async fn run(context: &Context, args: RestoreArgs) -> CommandResult<ExitCode> {
    let host = client(context, &args.ask.address)?;
    let id = id::resolve(&host, &args.id).await?;
    let request = RestoreRequest { reason: args.reason, into_session_id: args.into_session_id };
    let call = wait::copying(context, &host, &id, async |api| api.restore_workarea(&id, &request).await);
    let workarea = call.await?;
    if args.ask.json {
        context.output.json(&WorkareaEnvelope { workarea })?;
        return Ok(ExitCode::SUCCESS);
    }
    let mark = if context.output.out_is_coloured() { context.output.mark() } else { "[ok]".to_owned() };
    context.output.line(format_args!("{mark} workarea restored"))?;
    context.output.line(restored(&id, &workarea))?;
    if !workarea.excluded.is_empty() {
        context.output.warn(format_args!(
            "what is neither file, directory nor link was left out: `rensei workarea show {}`",
            text::clean(&workarea.id)
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn restored(archive: &str, workarea: &WorkareaDetail) -> Rows {
    let mut rows = Rows::new();
    rows.add("ID", text::clean(&workarea.id));
    rows.add("Kind", super::show::kind(workarea.kind));
    rows.add("Status", workarea.status.as_str());
    rows.add_some("Session", Some(text::clean(&workarea.session_id)));
    rows.add_some("Path", Some(text::clean(&workarea.path)));
    rows.add("FromArchive", text::clean(archive));
    rows
}
