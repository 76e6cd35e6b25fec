//! Runtime `shell`: a command of the user's own, with the prompt on its standard input.

use super::shell_io::{Output, feed};
use super::{Agent, AgentEnd, AgentEvent, AgentRuntime, AgentSpec, Driver, Failure, RuntimeError, Stream, tree};
use rensei_process::End;
use rensei_proto::SessionDetail;
use rustix::process::Signal;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout};

pub(super) const NAME: &str = "shell";
pub(super) const SHELL: &str = "/bin/sh";

/// From the request to end until it is made to.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long output may still come after the agent's end, from what it has left running with its pipes.
const DRAIN: Duration = Duration::from_secs(2);

/// A shell command.
#[derive(Debug)]
pub(super) struct Shell {
    command: String,
}

impl Shell {
    /// Reads `providerConfig.command`.
    pub(super) fn configured(detail: &SessionDetail) -> Result<Self, RuntimeError> {
        let config = detail.resolved_profile.as_ref().map(|profile| &profile.provider_config);
        let command = config.and_then(|config| config.get("command")?.as_str()).unwrap_or_default();
        if command.trim().is_empty() {
            return Err(RuntimeError::NoCommand);
        }
        Ok(Self { command: command.to_owned() })
    }
}

impl AgentRuntime for Shell {
    fn spawn(&self, spec: AgentSpec) -> Result<Agent, RuntimeError> {
        let refused = |source| RuntimeError::Spawn { program: SHELL, workarea: spec.workarea.clone(), source };
        // No process group of its own: the daemon stops and cleans up the worker's group as a whole.
        let mut child = Command::new(SHELL)
            .arg("-c")
            .arg(&self.command)
            .current_dir(&spec.workarea)
            .env_clear()
            .envs(&spec.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(refused)?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        let raw = spec.raw_output;
        let marker = tree::Marker::of(&spec.env);
        Ok(Agent::drive(|driver| async move {
            let feeder = tokio::spawn(feed(stdin, spec.prompt));
            let out = Output::new(stdout, Stream::Out, raw.as_ref(), driver.clone());
            let err = Output::new(stderr, Stream::Err, raw.as_ref(), driver.clone());
            let end = Session { child, driver: driver.clone(), marker }.run(out, err).await;
            feeder.abort();
            driver.emit(AgentEvent::Ended(end)).await;
        }))
    }
}

/// A command that runs.
struct Session {
    child: Child,
    driver: Driver,
    marker: Option<tree::Marker>,
}

impl Session {
    /// Reads and waits until the agent has ended and its output has been read, for at most [`DRAIN`] after the end.
    async fn run<R: tokio::io::AsyncRead + Unpin, S: tokio::io::AsyncRead + Unpin>(
        mut self,
        mut out: Output<R>,
        mut err: Output<S>,
    ) -> AgentEnd {
        let process = {
            let reading = async { tokio::join!(out.run(), err.run()) };
            tokio::pin!(reading);
            let mut read_all = false;
            let waiting = self.wait();
            tokio::pin!(waiting);
            let process = loop {
                // Both are pinned outside and go on where they were.
                tokio::select! {
                    process = &mut waiting => break process,
                    _ = &mut reading, if !read_all => read_all = true,
                }
            };
            if !read_all && timeout(DRAIN, &mut reading).await.is_err() {
                tracing::warn!("agent has ended, but something that it started keeps its output open");
            }
            process
        };
        out.finish().await;
        err.finish().await;
        classify(process)
    }

    /// Waits for the agent's end, and brings it about when asked to.
    async fn wait(&mut self) -> Option<End> {
        let pid = self.child.id();
        tokio::select! {
            // Cancel-safe by contract of `Child::wait`.
            status = self.child.wait() => return status.ok().map(End::from),
            () = self.driver.stopped() => {}
        }
        tree::signal(pid, self.marker.as_ref(), Signal::TERM);
        tree::signal(pid, self.marker.as_ref(), Signal::CONT);
        let kill_at = Instant::now() + STOP_GRACE;
        let ended = tokio::select! {
            status = self.child.wait() => Some(status),
            () = sleep_until(kill_at) => None,
        };
        // The agent's own end does not end what it has started.
        tree::signal(self.child.id(), self.marker.as_ref(), Signal::KILL);
        match ended {
            Some(status) => status.ok().map(End::from),
            None => timeout(STOP_GRACE, self.child.wait()).await.ok()?.ok().map(End::from),
        }
    }
}

fn classify(process: Option<End>) -> AgentEnd {
    let message = match process {
        Some(end) if end.success() => None,
        Some(end @ End::Exited(_)) => Some(format!("agent exited with {end}")),
        Some(end @ End::Signaled(_)) => Some(format!("agent was ended by {end}")),
        None => Some("agent's end could not be observed".to_owned()),
    };
    let failure = message.map(|message| Failure { mode: "provider-error", message });
    AgentEnd { failure, process, ..AgentEnd::default() }
}
