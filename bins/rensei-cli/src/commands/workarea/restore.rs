//! `rensei workarea restore`.

use super::{client, id, wait};
use crate::args::workarea::RestoreArgs;
use crate::commands::Context;
use crate::error::CommandResult;
use crate::output::text;
use rensei_proto::control::{RestoreRequest, WorkareaEnvelope};
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
    context.output.line(format_args!("{} restored {}", context.output.mark(), text::clean(&workarea.id)))?;
    context.output.line(super::show::sheet(&workarea))?;
    if !workarea.excluded.is_empty() {
        context.output.warn("neither file, directory nor link, and so left out: see `Left out` above");
    }
    Ok(ExitCode::SUCCESS)
}
