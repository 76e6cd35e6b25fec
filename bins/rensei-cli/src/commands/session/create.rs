//! `rensei session create`.

use super::{follow, sheet, target::Platform, work};
use crate::args::session::CreateArgs;
use crate::commands::{Context, absolute_repository};
use crate::error::{CommandError, CommandResult};
use rensei_proto::SessionStatus;
use rensei_proto::operator::{CreateSession, Session};
use std::process::ExitCode;

/// Queues a session, and follows it with `--wait`.
pub(super) async fn run(context: &Context, args: CreateArgs) -> CommandResult<ExitCode> {
    let platform = Platform::required(context, &args.platform)?;
    let request = request(&args)?;
    let session = platform.client.create_session(&request).await.map_err(|error| platform.error(error))?;
    if args.wait {
        return wait(context, &platform, session, args.json).await;
    }
    if args.json {
        context.output.json(&session)?;
    } else {
        context.output.line(&session.session_id)?;
        context.output.note(format_args!("queued; follow it: `rensei session output --follow {}`", session.session_id));
    }
    Ok(ExitCode::SUCCESS)
}

fn request(args: &CreateArgs) -> CommandResult<CreateSession> {
    let work = &args.work;
    Ok(CreateSession {
        project: args.project.clone(),
        repository: args.repository.as_deref().map(absolute_repository).transpose()?,
        r#ref: work.r#ref.clone(),
        branch: work.branch.clone(),
        title: work.title.clone(),
        prompt: work::prompt(work)?,
        work_type: None,
        priority: args.priority,
        max_duration_seconds: work.max_duration.map(|limit| limit.as_secs()),
        env: work.env.iter().cloned().collect(),
        resolved_profile: work::profile(work),
    })
}

async fn wait(context: &Context, platform: &Platform, session: Session, json: bool) -> CommandResult<ExitCode> {
    let output = &context.output;
    output.note(format_args!("{} {}", session.session_id, session.status));
    let ended = follow::to_the_end(platform, &session.session_id, 0, |activity| {
        follow::lines(activity).for_each(|line| output.note(line));
        Ok(())
    })
    .await?;
    if json {
        output.json(&ended)?;
    } else {
        output.line(sheet::of_platform(output, &ended))?;
    }
    match ended.status {
        SessionStatus::Completed => Ok(ExitCode::SUCCESS),
        _ => Err(CommandError::reported()),
    }
}
