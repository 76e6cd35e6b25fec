//! `rensei session run`: on this host, without a control plane.

use super::hush::Hush;
use super::{sheet, work};
use crate::args::session::RunArgs;
use crate::commands::host::client::HostClient;
use crate::commands::{Context, absolute_repository};
use crate::error::{CommandError, CommandResult};
use crate::signals::Signals;
use rensei_control_api::OutputQuery;
use rensei_proto::control::{PostSession, PostedDetail, SessionView};
use rensei_proto::{SessionId, SessionSpec, SessionStatus};
use std::process::ExitCode;
use std::time::Duration;

/// Pause between looks at a session whose output has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Posts a session to the daemon of this machine and, unless detached, stays until it ends.
pub(super) async fn run(context: &Context, args: RunArgs) -> CommandResult<ExitCode> {
    let client = HostClient::new(context, &args.address)?;
    let post = post(&args)?;
    let handle = client.ask(async |api| api.post_session(&post).await).await?;
    let id = handle.session_id.clone();
    if args.detach {
        if args.json {
            context.output.json(&handle)?;
        } else {
            context.output.line(&id)?;
            context.output.note(format_args!("accepted; follow it: `rensei session output --local --follow {id}`"));
        }
        return Ok(ExitCode::SUCCESS);
    }
    context.output.note(format_args!("{id} accepted"));
    let view = attend(context, &client, &id, args.json).await?;
    conclude(context, &view, args.json)
}

fn post(args: &RunArgs) -> CommandResult<PostSession> {
    let work = &args.work;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Ok(PostSession {
        spec: SessionSpec {
            session_id: new_id()?,
            repository: absolute_repository(&args.repository)?,
            r#ref: text(&work.r#ref),
            resources: None,
            env: work.env.iter().cloned().collect(),
            max_duration_seconds: work.max_duration.map(|limit| limit.as_secs()),
        },
        detail: PostedDetail {
            title: text(&work.title),
            prompt_context: work::prompt(work)?.unwrap_or_default(),
            branch: text(&work.branch),
            resolved_profile: work::profile(work),
            ..PostedDetail::default()
        },
    })
}

fn new_id() -> CommandResult<SessionId> {
    SessionId::parse(&uuid::Uuid::new_v4().to_string()).map_err(CommandError::failure)
}

/// Shows the session's output until it ends. The first signal stops the session, the second leaves it alone.
async fn attend(context: &Context, client: &HostClient, id: &SessionId, json: bool) -> CommandResult<SessionView> {
    let mut signals = Signals::listen()?;
    let mut ended = std::pin::pin!(watch(context, client, id, json));
    let mut is_stopping = false;
    loop {
        tokio::select! {
            // Polled by reference and never restarted, so nothing is lost when the other arm wins.
            view = &mut ended => return view,
            // Cancel-safe, see `Signals::next`.
            _ = signals.next() => {
                if is_stopping {
                    context.output.note(format_args!("{id} goes on; stop it: `rensei session stop --local {id}`"));
                    return Err(CommandError::interrupted());
                }
                is_stopping = true;
                context.output.note("stopping the session; again to leave it running");
                client.ask(async |api| api.stop_session(id, Some("interrupted by the operator")).await).await?;
            }
        }
    }
}

async fn watch(context: &Context, client: &HostClient, id: &SessionId, json: bool) -> CommandResult<SessionView> {
    let query = OutputQuery { follow: true, ..OutputQuery::default() };
    let mut hush = Hush::new(id);
    client.output(id, query, |bytes| show(context, json, &hush.pass(bytes))).await?;
    show(context, json, &hush.rest())?;
    // The output ends a moment before the daemon has written the end into its record.
    loop {
        let view = client.ask(async |api| api.session_record(id).await).await?;
        if view.state.is_ended() {
            return Ok(view);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// With `--json` stdout is for the document.
fn show(context: &Context, json: bool, bytes: &[u8]) -> CommandResult {
    if json {
        context.output.write_err(bytes);
        return Ok(());
    }
    context.output.write(bytes)
}

fn conclude(context: &Context, view: &SessionView, json: bool) -> CommandResult<ExitCode> {
    if json {
        context.output.json(view)?;
    } else {
        // The output was shown as it came.
        context.output.note(sheet::of_host(&context.output, view, false));
    }
    match view.terminal_status() {
        Some(SessionStatus::Completed) => Ok(ExitCode::SUCCESS),
        _ => Err(CommandError::reported()),
    }
}
