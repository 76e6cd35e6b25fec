//! `rensei workarea archive`.

use super::{client, wait};
use crate::args::workarea::ArchiveArgs;
use crate::commands::Context;
use crate::error::CommandResult;
use crate::output::text;
use rensei_proto::control::{ArchiveRequest, WorkareaEnvelope};
use std::process::ExitCode;

/// Archives the workarea of a live session.
pub(super) async fn run(context: &Context, args: ArchiveArgs) -> CommandResult<ExitCode> {
    let host = client(context, &args.ask.address)?;
    let request = ArchiveRequest { reason: args.reason };
    let session = &args.session;
    let call =
        wait::copying(context, &host, session.as_str(), async |api| api.archive_workarea(session, &request).await);
    let workarea = call.await?;
    if args.ask.json {
        context.output.json(&WorkareaEnvelope { workarea })?;
        return Ok(ExitCode::SUCCESS);
    }
    context.output.line(format_args!("{} archived {}", context.output.mark(), text::clean(&workarea.id)))?;
    context.output.line(super::show::sheet(&workarea))?;
    Ok(ExitCode::SUCCESS)
}
