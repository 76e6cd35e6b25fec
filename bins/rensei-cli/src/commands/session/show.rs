//! `rensei session show`.

use super::{sheet, target::Target};
use crate::args::session::ShowArgs;
use crate::commands::Context;
use crate::error::CommandResult;
use std::process::ExitCode;

/// Shows one session. A failed session is a successful answer.
pub(super) async fn run(context: &Context, args: ShowArgs) -> CommandResult<ExitCode> {
    let output = &context.output;
    match Target::choose(context, &args.target)? {
        Target::Platform(platform) => {
            let found = platform.client.session(args.session.as_str()).await;
            let session = found.map_err(|error| platform.error(error))?;
            if args.json { output.json(&session)? } else { output.line(sheet::of_platform(output, &session))? }
        }
        Target::Host(host) => {
            let missing = || format!("session not found: {}", args.session);
            let view = host.ask_about(missing, async |api| api.session_record(&args.session).await).await?;
            if args.json { output.json(&view)? } else { output.line(sheet::of_host(output, &view, true))? }
        }
    }
    Ok(ExitCode::SUCCESS)
}
