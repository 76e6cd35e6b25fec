//! `rensei host run`: the daemon in the foreground.

use super::runtimes;
use crate::args::host::RunArgs;
use crate::commands::{Context, block_on_threads};
use crate::error::{CommandError, CommandResult};
use crate::logging::{self, LogFile};
use crate::output::text;
use crate::signals::{Signals, gone};
use crate::state_root;
use rensei_control_api::{BindError, ControlListener};
use rensei_daemon_core::{BuildError, Daemon, DaemonBuilder, DaemonHandle, EXIT_RESTART, Phase};
use rensei_proto::control::DrainRequest;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::sync::oneshot;

/// How long a signal lets sessions go on.
const SIGNAL_DRAIN_SECONDS: u64 = 60;
/// Label of the lines on stdout.
const LABEL: &str = "[daemon]";

/// Runs the daemon until it is stopped or drained.
pub(crate) fn run(context: &Context, args: RunArgs) -> CommandResult<ExitCode> {
    let root = context.state_root()?;
    require_named_config(context, &args)?;
    state_root::create(&root)?;
    mention_defaults(context, &args, &root);
    let _log = open_log(context, &root);
    // Every session takes some.
    if let Err(error) = rensei_process::raise_open_files() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    block_on_threads(async {
        let builder = builder(context, &args, root)?;
        serve(context, &args, builder).await
    })
}

/// A file that was named must be there.
fn require_named_config(context: &Context, args: &RunArgs) -> CommandResult {
    let Some(path) = args.config.clone().map(|path| context.expand(path)) else { return Ok(()) };
    if path.exists() {
        return Ok(());
    }
    Err(CommandError::failure(format!("there is no configuration file {}", path.display()))
        .hint("`rensei platform init` prints one that is ready to paste"))
}

/// Without a file there are defaults, which is worth a word.
fn mention_defaults(context: &Context, args: &RunArgs, root: &Path) {
    let path = root.join("daemon.yaml");
    // One that cannot be looked at is an error of its own.
    if args.config.is_none() && path.try_exists().is_ok_and(|exists| !exists) {
        let note = "running with defaults, for no project and without a control plane";
        context.output.note(format_args!("no configuration at {}: {note}", path.display()));
    }
}

/// A daemon without its log is better than none.
fn open_log(context: &Context, root: &Path) -> Option<LogFile> {
    let path = root.join("daemon.log");
    match logging::to_file(&context.output, context.verbose, &path) {
        Ok(file) => Some(file),
        Err(error) => {
            logging::to_stderr(&context.output, context.verbose);
            context.output.warn(format_args!("no log is written: failed to open {}: {error}", path.display()));
            None
        }
    }
}

/// What the daemon is made of.
fn builder(context: &Context, args: &RunArgs, root: PathBuf) -> CommandResult<DaemonBuilder> {
    let builder = Daemon::builder(root)
        .environment(context.env.strings())
        .worker_command(worker_command(args)?)
        .version(env!("CARGO_PKG_VERSION"))
        .machine(host_name(), std::thread::available_parallelism().map_or(1, usize::from));
    let builder = args.config.iter().fold(builder, |b, path| b.config_path(context.expand(path.clone())));
    let builder = args.jwt_path.iter().fold(builder, |b, path| b.jwt_path(context.expand(path.clone())));
    // What another worker can run is for its owner to say.
    Ok(match args.worker_command {
        Some(_) => builder,
        None => builder.provider_registry(runtimes::registry(&context.env.strings())),
    })
}

async fn serve(context: &Context, args: &RunArgs, builder: DaemonBuilder) -> CommandResult<ExitCode> {
    let signals = Signals::listen()?;
    let prepared = builder.build().map_err(not_built)?;
    let listener = ControlListener::bind(&args.host, args.port).map_err(not_bound)?;
    say(context, format_args!("http listening on {}", listener.local_addr()));
    let daemon = prepared.with_control_url(&listener.url());
    let handle = daemon.handle();
    let (end_api, api_ends) = oneshot::channel::<()>();
    let api = tokio::spawn(listener.serve(handle.clone(), async {
        // A dropped sender ends the API too.
        let _ended = api_ends.await;
    }));
    let finished = accompany(context, args, daemon, &handle, signals).await;
    let _api_gone = end_api.send(());
    let _api_panicked = api.await;
    if finished.forced > 0 {
        say(context, format_args!("{} did not end by itself", text::count(finished.forced, "session")));
    }
    if finished.restart {
        say(context, "updated: to be started again");
        return Ok(ExitCode::from(EXIT_RESTART));
    }
    say(context, "stopped");
    Ok(ExitCode::SUCCESS)
}

/// Runs the daemon, says what happens to it, and passes signals on.
async fn accompany(
    context: &Context,
    args: &RunArgs,
    daemon: Daemon,
    handle: &DaemonHandle,
    mut signals: Signals,
) -> rensei_daemon_core::Finished {
    let mut running = std::pin::pin!(daemon.run());
    let mut story = std::pin::pin!(tell(context, handle));
    let mut owner_gone = std::pin::pin!(gone(args.stop_with));
    let (mut signalled, mut owned) = (false, true);
    loop {
        tokio::select! {
            // These three are polled by reference and never restarted, so no arm loses progress to another.
            finished = &mut running => return finished,
            () = &mut story => {}
            () = &mut owner_gone, if owned => {
                owned = false;
                say(context, "owner gone: stopping");
                handle.stop();
            }
            // Cancel-safe, see `Signals::next`.
            name = signals.next() => {
                on_signal(context, handle, name, signalled);
                signalled = true;
            }
        }
    }
}

/// The first signal drains, the second stops.
fn on_signal(context: &Context, handle: &DaemonHandle, name: &str, again: bool) {
    let request = DrainRequest { timeout_seconds: Some(SIGNAL_DRAIN_SECONDS), keep_alive: false };
    if again || handle.drain(request).is_err() {
        say(context, format_args!("{name}: stopping"));
        handle.stop();
        return;
    }
    let left = text::count(handle.live_sessions().len(), "session");
    say(context, format_args!("{name}: draining {left}, at most {SIGNAL_DRAIN_SECONDS} s; again to stop now"));
}

/// Says which states the daemon goes through and who it is. Never ends.
async fn tell(context: &Context, handle: &DaemonHandle) {
    let states = async {
        let mut known = Phase::Starting;
        loop {
            known = handle.wait_for_phase(|phase| phase.name() != known.name()).await;
            say(context, format_args!("state -> {}", known.name()));
        }
    };
    let identity = async {
        say(context, format_args!("worker-id {}", text::clean(&handle.registered().await)));
    };
    tokio::join!(states, identity);
}

/// A daemon does not end because nobody reads its stdout any more.
fn say(context: &Context, line: impl std::fmt::Display) {
    let _nobody_reads = context.output.line(format_args!("{LABEL} {line}"));
}

/// What is started for each session.
fn worker_command(args: &RunArgs) -> CommandResult<Vec<OsString>> {
    if let Some(program) = &args.worker_command {
        let program = std::iter::once(program.clone().into_os_string());
        return Ok(program.chain(args.worker_arg.iter().cloned()).collect());
    }
    let this = std::env::current_exe()
        .map_err(|error| CommandError::context("failed to find this program's own file", error))?;
    Ok(vec![this.into_os_string(), "agent".into(), "run".into()])
}

/// Name of this machine.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn not_built(error: BuildError) -> CommandError {
    let hint = error.hint();
    CommandError::context("the daemon cannot start", error).maybe_hint(hint)
}

fn not_bound(error: BindError) -> CommandError {
    let hint = error.hint();
    CommandError::context("the daemon cannot start", error).maybe_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::DaemonArgs;
    use crate::env::Environment;
    use crate::output::{ColorChoice, Output};
    use clap::Parser;
    use rensei_control_api::{ControlClient, Whereabouts};
    use rensei_daemon_core::{Fetched, FetchedUpdate, UpdateFuture, UpdateHook};
    use std::time::Duration;

    /// Has a newer version.
    #[derive(Debug)]
    struct Newer;

    impl UpdateHook for Newer {
        fn fetch<'a>(&'a self, _running: &'a str) -> UpdateFuture<'a, Fetched> {
            Box::pin(async { Ok(Fetched::Ready(Box::new(Self))) })
        }
    }

    impl FetchedUpdate for Newer {
        fn version(&self) -> &'static str {
            "9.0.0"
        }

        fn install(self: Box<Self>) -> UpdateFuture<'static, ()> {
            Box::pin(async { Ok(()) })
        }
    }

    /// Exit code of `host run` after what `wish` asks of it.
    async fn exit_code(wish: impl AsyncFnOnce(ControlClient)) -> String {
        let home = tempfile::tempdir().unwrap();
        let env = Environment::from([("RENSEI_HOME", home.path().to_str().unwrap())]);
        let output = Output::new(ColorChoice::Never, &env);
        let context = Context { env, output, verbose: 0 };
        let args = DaemonArgs::try_parse_from(["rensei-daemon", "--port", "0"]).unwrap().run;
        let builder = builder(&context, &args, home.path().to_owned()).unwrap();
        let builder = builder.update_hook(Duration::from_secs(60), Newer);
        let asked = async {
            let places = Whereabouts { url: None, environment: None, state_root: Some(home.path()) };
            let client = loop {
                let client = ControlClient::locate(&places).unwrap();
                if client.status().await.is_ok() {
                    break client;
                }
                tokio::task::yield_now().await;
            };
            wish(client).await;
        };
        let (code, ()) = tokio::join!(serve(&context, &args, builder), asked);
        format!("{:?}", code.unwrap())
    }

    #[tokio::test]
    async fn a_host_that_was_updated_exits_with_3() {
        let plain = |code| format!("{:?}", ExitCode::from(code));
        assert_eq!(exit_code(async |api| drop(api.stop().await.unwrap())).await, plain(0));
        assert_eq!(exit_code(async |api| drop(api.update().await.unwrap())).await, plain(3));
    }
}
