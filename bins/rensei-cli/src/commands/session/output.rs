//! `rensei session output`.

use super::follow;
use super::target::{Platform, Target};
use crate::args::session::OutputArgs;
use crate::commands::Context;
use crate::error::CommandResult;
use rensei_control_api::OutputQuery;
use rensei_proto::operator::RecordedActivity;
use std::collections::VecDeque;
use std::process::ExitCode;

/// Prints what the agent said: its activities from a control plane, its raw output from a host.
pub(super) async fn run(context: &Context, args: OutputArgs) -> CommandResult<ExitCode> {
    match Target::choose(context, &args.target)? {
        Target::Platform(platform) => from_platform(context, &args, &platform).await?,
        Target::Host(host) => {
            let query = OutputQuery { tail_lines: args.lines, follow: args.follow, ..OutputQuery::default() };
            host.output(&args.session, query, |bytes| context.output.write(bytes)).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn from_platform(context: &Context, args: &OutputArgs, platform: &Platform) -> CommandResult {
    let (id, output) = (args.session.as_str(), &context.output);
    let print = |activity: &RecordedActivity| follow::lines(activity).try_for_each(|line| output.line(line));
    let cursor = match args.lines {
        None if args.follow => 0,
        None => follow::so_far(platform, id, print).await?,
        Some(most) => {
            let mut last = VecDeque::new();
            let cursor = follow::so_far(platform, id, |activity| {
                last.extend(follow::lines(activity));
                last.drain(..last.len().saturating_sub(most));
                Ok(())
            })
            .await?;
            last.iter().try_for_each(|line| output.line(line))?;
            cursor
        }
    };
    if args.follow {
        follow::to_the_end(platform, id, cursor, print).await?;
    }
    Ok(())
}
