//! `rensei host sessions`.

use super::client::HostClient;
use crate::args::host::SessionsArgs;
use crate::commands::Context;
use crate::commands::session::{host_table, state_tone};
use crate::commands::watch::{self, Page};
use crate::error::CommandResult;
use crate::output::Output;
use crate::output::table::{Value, table};
use crate::output::time::{ago, now_ms, parse_ms};
use rensei_proto::control::SessionHandle;
use std::process::ExitCode;

/// Shows what runs on this host or, with `--all`, also what has ended.
pub(super) async fn run(context: &Context, args: SessionsArgs) -> CommandResult<ExitCode> {
    let client = HostClient::new(context, &args.look.address)?;
    let output = &context.output;
    let none = format!("no sessions on {}", client.url());
    if args.all {
        return watch::show(context, &args.look, async || {
            let views = client.ask(async |api| api.all_sessions().await).await?;
            let newest_first: Vec<_> = views.iter().rev().cloned().collect();
            let text = if views.is_empty() { none.clone() } else { host_table(output, &newest_first, now_ms()) };
            Ok(Page { document: views, text, hints: Vec::new() })
        })
        .await;
    }
    watch::show(context, &args.look, async || {
        let live = client.ask(async |api| api.sessions().await).await?;
        let text = if live.is_empty() { none.clone() } else { live_table(output, &live, now_ms()) };
        Ok(Page { document: live, text, hints: Vec::new() })
    })
    .await
}

fn live_table(output: &Output, live: &[SessionHandle], now: i64) -> String {
    let row = |handle: &SessionHandle| {
        [
            handle.session_id.to_string().into(),
            Value::toned(state_tone(handle.state), handle.state),
            handle.pid.to_string().into(),
            parse_ms(&handle.accepted_at).map(|at| ago(at, now)).unwrap_or_default().into(),
        ]
    };
    table(output, ["SESSION", "STATE", "PID", "ACCEPTED"], &["PID", "ACCEPTED"], live.iter().map(row))
}
