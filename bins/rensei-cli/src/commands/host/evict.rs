//! `rensei host evict`.

use super::client::HostClient;
use crate::args::host::EvictArgs;
use crate::commands::Context;
use crate::error::CommandResult;
use crate::output::text;
use rensei_proto::control::EvictPoolRequest;
use std::process::ExitCode;

/// Has the daemon delete idle workareas, and prints how many went.
pub(super) async fn run(context: &Context, args: EvictArgs) -> CommandResult<ExitCode> {
    let client = HostClient::new(context, &args.ask.address)?;
    let request = EvictPoolRequest {
        repo_url: args.repo,
        older_than_seconds: i64::try_from(args.older_than.as_secs()).unwrap_or(i64::MAX),
    };
    let answer = client.ask(async |api| api.evict_pool(&request).await).await?;
    if args.ask.json {
        context.output.json(&answer)?;
    } else {
        let message = text::clean(&answer.message);
        context.output.line(format_args!("evicted {} pool member(s): {message}", answer.evicted))?;
        if !answer.correlation_id.is_empty() {
            context.output.line(format_args!("correlation-id: {}", text::clean(&answer.correlation_id)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
