//! The directory and the processes of a demo. Leaves neither behind, however the demo ends.

use super::service::Service;
use crate::error::{CommandError, CommandResult};
use crate::output::Output;
use rensei_process::find_by_env;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a service may take to end after the first signal. Enough when nothing runs.
const GENTLE: Duration = Duration::from_millis(300);
/// How long it may take after the second, which stops what runs.
const FIRM: Duration = Duration::from_secs(4);
/// How long the kernel may take to end what was killed.
const FINAL: Duration = Duration::from_secs(3);
/// Lines of a service's log that explain a failure.
const LOG_LINES: usize = 12;

/// Owner of everything that a demo makes. Dropping it cleans up, also when the program panics.
#[derive(Debug)]
pub(super) struct Sandbox {
    dir: Option<TempDir>,
    path: PathBuf,
    keep: bool,
    /// In the order of their start.
    services: Vec<Service>,
    session: Option<String>,
}

impl Sandbox {
    /// Makes the directory.
    pub(super) fn new(keep: bool) -> CommandResult<Self> {
        let dir = tempfile::Builder::new().prefix("rensei-demo-").tempdir().map_err(|error| {
            CommandError::context(
                format!("failed to make a temporary directory in {}", std::env::temp_dir().display()),
                error,
            )
            .hint("set TMPDIR to a directory that is writable")
        })?;
        let path = std::fs::canonicalize(dir.path()).unwrap_or_else(|_| dir.path().to_owned());
        Ok(Self { dir: Some(dir), path, keep, services: Vec::new(), session: None })
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// State root of the demo's control plane and host; also the mark by which their processes are found.
    pub(super) fn home(&self) -> PathBuf {
        self.path.join("state")
    }

    /// Takes a process over.
    pub(super) fn own(&mut self, service: Service) {
        self.services.push(service);
    }

    /// Remembers the session, so that its processes can be found.
    pub(super) fn remember(&mut self, session: &str) {
        self.session = Some(session.to_owned());
    }

    /// Shows the logs' ends when the demo itself failed. Logs do not help with an interruption or a failed session.
    pub(super) fn explain(&self, output: &Output, error: CommandError) -> CommandError {
        if error.kind() != crate::error::Kind::Failure {
            return error;
        }
        for service in &self.services {
            let lines = service.log_tail(LOG_LINES);
            if !lines.is_empty() {
                output.note(format_args!("last lines of the {}:", service.name()));
                lines.iter().for_each(|line| output.note(format_args!("  {line}")));
            }
        }
        // Before anything ran there is nothing to look at.
        if self.keep || self.services.is_empty() {
            return error;
        }
        error.hint("keep everything for a closer look: `rensei demo --keep`")
    }

    /// Ends the processes and removes the directory, or names it.
    pub(super) fn close(mut self, output: &Output) {
        self.clean_up();
        if self.keep {
            output.note(format_args!("kept: {}", self.path.display()));
        } else if self.path.exists() {
            output.warn(format_args!("not everything could be removed: {}", self.path.display()));
        }
    }

    fn clean_up(&mut self) {
        // The host first: while it ends its session, the control plane still takes the report.
        for mut service in self.services.drain(..).rev() {
            service.end(GENTLE, FIRM, || kill_marked("RENSEI_SESSION_ID", self.session.as_deref()));
        }
        self.kill_stragglers();
        if let Some(dir) = self.dir.take() {
            if self.keep {
                let _path = dir.keep();
            } else {
                // A failure shows in `close`, which looks whether the directory is gone.
                let _failed = dir.close();
            }
        }
    }

    /// Kills what still carries one of our marks, such as a worker whose daemon was killed.
    fn kill_stragglers(&self) {
        let home = self.home().to_string_lossy().into_owned();
        let deadline = Instant::now() + FINAL;
        loop {
            let killed = kill_marked("RENSEI_SESSION_ID", self.session.as_deref())
                + kill_marked("RENSEI_HOME", Some(home.as_str()));
            if killed == 0 || Instant::now() > deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.clean_up();
    }
}

/// Kills every process of ours whose environment holds `name=value`; the answer is how many there were.
fn kill_marked(name: &str, value: Option<&str>) -> usize {
    let pids = value.map(|value| find_by_env(name, value)).unwrap_or_default();
    let own = std::process::id();
    let others = pids.into_iter().filter(|pid| *pid != own);
    let pids = others.filter_map(|pid| i32::try_from(pid).ok().and_then(Pid::from_raw));
    // One that ended in between does not count: it is what is wanted.
    pids.filter(|pid| kill_process(*pid, Signal::KILL).is_ok()).count()
}
