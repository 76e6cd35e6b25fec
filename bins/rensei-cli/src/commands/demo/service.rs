//! One child process of a demo.

use crate::error::{CommandError, CommandResult};
use rensei_process::output_log::tail_lines;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::ChildStdout;
use tokio::time::timeout;

/// How long a service may take to get ready.
const READY: Duration = Duration::from_secs(10);
/// Pause between looks at a process that is ending.
const LOOK: Duration = Duration::from_millis(5);
/// How long the kernel may take to end a killed process.
const KILLED: Duration = Duration::from_secs(5);
/// Longest line that is shown.
const LINE_BYTES: usize = 400;

/// A child process, which belongs to the demo until it has ended.
#[derive(Debug)]
pub(super) struct Service {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// What a service says on stdout. Everything goes into its log, too.
#[derive(Debug)]
pub(super) struct Voice {
    name: &'static str,
    lines: Lines<BufReader<ChildStdout>>,
    log: File,
}

/// What to start.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// For people.
    pub(super) name: &'static str,
    /// Arguments of this program.
    pub(super) args: Vec<OsString>,
    /// Environment, complete.
    pub(super) env: &'a std::collections::BTreeMap<OsString, OsString>,
    /// Where output is kept, and the working directory.
    pub(super) dir: &'a Path,
}

impl Service {
    /// Starts this program again as something else, in a process group of its own: a Ctrl-C on the terminal then
    /// reaches the demo alone, which ends its children in order.
    pub(super) fn start(plan: Plan<'_>) -> CommandResult<(Self, Voice)> {
        let failed = |error| CommandError::context(format!("failed to start the {}", plan.name), error);
        let log = plan.dir.join(format!("{}.log", plan.name.replace(' ', "-")));
        let file = OpenOptions::new().create(true).append(true).open(&log).map_err(failed)?;
        let mut child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(&plan.args)
            .env_clear()
            .envs(plan.env)
            .current_dir(plan.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file.try_clone().map_err(failed)?)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let stdout = child.stdout.take();
        // From here on the child has an owner that ends it.
        let service = Self { name: plan.name, child, log };
        let stdout = stdout.ok_or_else(|| failed(std::io::Error::other("no stdout")))?;
        let stdout = ChildStdout::from_std(stdout).map_err(failed)?;
        Ok((service, Voice { name: plan.name, lines: BufReader::new(stdout).lines(), log: file }))
    }

    /// What it is called.
    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// The end of its log.
    pub(super) fn log_tail(&self, lines: usize) -> Vec<String> {
        tail_lines(&self.log, lines, LINE_BYTES).unwrap_or_default()
    }

    /// Ends the process: asks, asks again, does `last_resort`, and kills. Returns when it is gone.
    pub(super) fn end(&mut self, gentle: Duration, firm: Duration, last_resort: impl FnOnce() -> usize) {
        self.signal(Signal::TERM);
        if self.is_gone_within(gentle) {
            return;
        }
        self.signal(Signal::TERM);
        if self.is_gone_within(firm) {
            return;
        }
        last_resort();
        if !self.is_gone_within(gentle) {
            self.signal(Signal::KILL);
            self.is_gone_within(KILLED);
        }
    }

    /// Signals the process, unless it has ended: until it is waited for, its pid is nobody else's.
    fn signal(&mut self, signal: Signal) {
        let is_running = matches!(self.child.try_wait(), Ok(None));
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| is_running) {
            let _ended_in_between = kill_process(pid, signal);
        }
    }

    fn is_gone_within(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK),
                Ok(None) => return false,
                Ok(Some(_)) | Err(_) => return true,
            }
        }
    }
}

impl Drop for Service {
    /// For a service that nobody took over. One that has ended is left alone.
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.is_gone_within(KILLED);
    }
}

impl Voice {
    /// What follows `prefix` on the first line that starts with it.
    pub(super) async fn wait_for(&mut self, prefix: &str) -> CommandResult<String> {
        let name = self.name;
        match timeout(READY, self.find(prefix)).await {
            Ok(Some(rest)) => Ok(rest),
            Ok(None) => Err(CommandError::failure(format!("the {name} ended before it was ready"))),
            Err(_elapsed) => {
                Err(CommandError::failure(format!("the {name} was not ready within {} s", READY.as_secs())))
            }
        }
    }

    /// Keeps the log until the service ends.
    pub(super) async fn until_end(&mut self) -> CommandError {
        self.find("\0").await;
        CommandError::failure(format!("the {} ended unexpectedly", self.name))
    }

    async fn find(&mut self, prefix: &str) -> Option<String> {
        while let Ok(Some(line)) = self.lines.next_line().await {
            // A log that cannot be written is missed only when something else fails.
            let _lost = writeln!(self.log, "{line}");
            if let Some(rest) = line.strip_prefix(prefix) {
                return Some(rest.trim().to_owned());
            }
        }
        None
    }
}
