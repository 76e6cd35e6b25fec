//! `rensei platform serve`.

use super::data_dir;
use crate::args::platform::{LegacySessionAuth, ServeArgs};
use crate::commands::{Context, block_on_threads};
use crate::error::{CommandError, CommandResult};
use crate::logging;
use crate::signals::{Signals, gone};
use rensei_platform::{LegacyAuth, Platform, ServeError, ServeOptions};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::oneshot;

/// Serves until a signal ends it.
pub(super) fn run(context: &Context, args: ServeArgs) -> CommandResult<ExitCode> {
    let dir = data_dir(context, args.data_dir.clone())?;
    logging::to_stderr(&context.output, context.verbose);
    block_on_threads(async {
        let mut signals = Signals::listen()?;
        let platform = Platform::bind(options(&args, dir)).await.map_err(failed)?;
        if !platform.local_addr().ip().is_loopback() {
            context.output.warn("tokens travel without TLS: put a reverse proxy in front, or listen on 127.0.0.1");
        }
        context.output.line(format_args!("[platform] listening on http://{}", platform.local_addr()))?;
        let (stop, stopped) = oneshot::channel::<()>();
        let mut serving = std::pin::pin!(platform.run(async {
            // A dropped sender ends the server too.
            let _stopped = stopped.await;
        }));
        tokio::select! {
            // Polled by reference and awaited again below.
            result = &mut serving => return result.map_err(failed).map(|()| ExitCode::SUCCESS),
            // Cancel-safe, see `Signals::next`.
            name = signals.next() => say(context, &format!("{name}: stopping")),
            // Waiting for a process changes nothing.
            () = gone(args.stop_with) => say(context, "owner gone: stopping"),
        }
        drop(stop);
        serving.await.map_err(failed)?;
        say(context, "stopped");
        Ok(ExitCode::SUCCESS)
    })
}

/// A server does not end because nobody reads its stdout any more.
fn say(context: &Context, line: &str) {
    let _nobody_reads = context.output.line(format_args!("[platform] {line}"));
}

fn options(args: &ServeArgs, data_dir: PathBuf) -> ServeOptions {
    ServeOptions {
        legacy_session_auth: match args.legacy_session_auth {
            LegacySessionAuth::Both => LegacyAuth::Both,
            LegacySessionAuth::KeyOnly => LegacyAuth::KeyOnly,
        },
        heartbeat_interval: Duration::from_millis(args.heartbeat_interval_ms),
        lease: args.lease_seconds,
        accept_deadline: args.accept_seconds,
        ..ServeOptions::new(data_dir, args.listen)
    }
}

fn failed(error: ServeError) -> CommandError {
    let hint = error.hint();
    CommandError::failure(error).maybe_hint(hint)
}
