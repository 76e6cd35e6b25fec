//! `rensei session list`.

use super::sheet::{state_tone, status_tone};
use super::target::{Platform, Target};
use crate::args::session::ListArgs;
use crate::commands::Context;
use crate::commands::host::client::HostClient;
use crate::error::CommandResult;
use crate::output::table::{Value, table};
use crate::output::time::{ago, between, now_ms, parse_ms, span};
use crate::output::{Output, text};
use rensei_platform_client::ListQuery;
use rensei_proto::control::SessionView;
use rensei_proto::operator::{Session, SessionList};
use std::process::ExitCode;

/// Longest title in a table.
const MAX_TITLE: usize = 40;

/// Lists sessions, newest first.
pub(super) async fn run(context: &Context, args: ListArgs) -> CommandResult<ExitCode> {
    match Target::choose(context, &args.target)? {
        Target::Platform(platform) => from_platform(context, &args, &platform).await?,
        Target::Host(host) => from_host(context, &args, &host).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn from_platform(context: &Context, args: &ListArgs, platform: &Platform) -> CommandResult {
    let limit = u32::try_from(args.limit).unwrap_or(u32::MAX);
    let query = ListQuery { project: args.project.clone(), status: args.status, limit: Some(limit) };
    let list = platform.client.list_sessions(&query).await.map_err(|error| platform.error(error))?;
    if args.json {
        return context.output.json(&list);
    }
    if list.sessions.is_empty() {
        context.output.note(format_args!("no sessions on {}", platform.url));
        return Ok(());
    }
    context.output.line(platform_table(&context.output, &list, now_ms()))
}

fn platform_table(output: &Output, list: &SessionList, now: i64) -> String {
    let row = |session: &Session| {
        [
            text::clean(&session.session_id).into(),
            Value::toned(status_tone(session.status), session.status),
            text::clean(&session.project).into(),
            text::shorten(&session.title, MAX_TITLE).into(),
            session.hostname.as_deref().map(text::clean).unwrap_or_default().into(),
            ago(session.created_at, now).into(),
            ran(session.started_at, session.ended_at, now).into(),
        ]
    };
    let headings = ["SESSION", "STATUS", "PROJECT", "TITLE", "HOST", "CREATED", "RAN"];
    let expendable = ["HOST", "PROJECT", "CREATED", "TITLE", "RAN"];
    table(output, headings, &expendable, list.sessions.iter().map(row))
}

async fn from_host(context: &Context, args: &ListArgs, host: &HostClient) -> CommandResult {
    let mut views = host.ask(async |api| api.all_sessions().await).await?;
    views.retain(|view| is_wanted(args, view));
    views.drain(..views.len().saturating_sub(args.limit));
    if args.json {
        // As the daemon answers: oldest first.
        return context.output.json(&views);
    }
    views.reverse();
    if views.is_empty() {
        let where_else = "; for a control plane's sessions pass --url or set RENSEI_API_URL";
        context.output.note(format_args!("no sessions on this host ({}){where_else}", host.url()));
        return Ok(());
    }
    context.output.line(host_table(&context.output, &views, now_ms()))
}

fn is_wanted(args: &ListArgs, view: &SessionView) -> bool {
    let of_project = args.project.as_ref().is_none_or(|project| *project == view.project_id);
    let live = rensei_proto::SessionStatus::Running;
    of_project && args.status.is_none_or(|status| status == view.terminal_status().unwrap_or(live))
}

pub(in crate::commands) fn host_table(output: &Output, views: &[SessionView], now: i64) -> String {
    let row = |view: &SessionView| {
        let accepted = parse_ms(&view.accepted_at);
        [
            view.session_id.to_string().into(),
            Value::toned(state_tone(view.state), view.state),
            text::clean(&view.project_id).into(),
            text::shorten(&view.title, MAX_TITLE).into(),
            accepted.map(|at| ago(at, now)).unwrap_or_default().into(),
            ran(accepted, view.ended_at.as_deref().and_then(parse_ms), now).into(),
        ]
    };
    let headings = ["SESSION", "STATUS", "PROJECT", "TITLE", "ACCEPTED", "RAN"];
    table(output, headings, &["PROJECT", "ACCEPTED", "TITLE", "RAN"], views.iter().map(row))
}

/// How long a session ran, or has been running.
fn ran(from: Option<i64>, to: Option<i64>, now: i64) -> String {
    from.map(|from| span(between(from, to.unwrap_or(now)))).unwrap_or_default()
}
