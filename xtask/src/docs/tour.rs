//! The README's tour, run for real.

use crate::markdown::Block;
use crate::shell;
use crate::task::TaskError;
use rustix::process::{Pid, Signal};
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Port of the control plane as printed. The run uses a free one in its place.
const PLATFORM_PORT: &str = "7780";
/// Port of the daemon as printed.
const DAEMON_PORT: &str = "7734";
/// The tour takes seconds; this is when something hangs.
const BOUND: Duration = Duration::from_secs(180);

/// The shell script of all blocks marked `tour`, in order.
pub(super) fn script(blocks: &[Block]) -> String {
    let marked = blocks.iter().filter(|block| block.info.split_whitespace().any(|word| word == "tour"));
    let parts = marked.map(|block| format!("# README.md, line {}\n{}", block.line, block.text));
    std::iter::once("set -euxo pipefail\n".to_owned()).chain(parts).collect()
}

/// Runs the script in a temporary home directory with `programs` first in the search path.
pub(super) fn run(script: &str, programs: &Path) -> Result<(), TaskError> {
    let home =
        tempfile::Builder::new().prefix("rensei-tour-").tempdir().map_err(TaskError::io(&std::env::temp_dir()))?;
    let started = Instant::now();
    let log_path = home.path().join(".tour.log");
    let outcome = run_in(home.path(), &log_path, &with_free_ports(script), programs);
    if outcome.is_err() {
        // What was run and what it said is all that helps now.
        print!("{}", shell::read(&log_path).unwrap_or_default());
    } else {
        println!("docs: the tour of README.md ran in {:.1} s", started.elapsed().as_secs_f64());
    }
    outcome
}

fn run_in(home: &Path, log_path: &Path, script: &str, programs: &Path) -> Result<(), TaskError> {
    let log = File::create(log_path).map_err(TaskError::io(log_path))?;
    let errors = log.try_clone().map_err(TaskError::io(log_path))?;
    let inherited = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command.args(["-c", script]).current_dir(home).stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
    command.env_clear().env("HOME", home).env("PATH", format!("{}:{inherited}", programs.display()));
    let line = "bash (the blocks of README.md marked `tour`)";
    let mut child = command.spawn().map_err(|source| TaskError::Start { line: line.into(), source })?;
    let end = wait(&mut child, BOUND);
    end_group(&mut child);
    match end {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(TaskError::Failed { line: line.into(), status }),
        None => Err(TaskError::TimedOut { line: line.into(), seconds: BOUND.as_secs() }),
    }
}

fn wait(child: &mut Child, bound: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + bound;
    while Instant::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

/// Ends whatever the tour left behind in its process group.
fn end_group(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        // An empty group is the good case.
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

/// The script with other ports, so that it runs beside a daemon that is in use. Commands that rely on the daemon's
/// default port find it through the variable that people would use.
fn with_free_ports(script: &str) -> String {
    // All are held until all are known, so that no two are the same.
    let listeners = [PLATFORM_PORT, DAEMON_PORT].map(|printed| (printed, TcpListener::bind(("127.0.0.1", 0))));
    let address = format!("export RENSEI_DAEMON_URL=http://127.0.0.1:{DAEMON_PORT}\n");
    let mut text = address + script;
    for (printed, listener) in &listeners {
        if let Ok(free) = listener.as_ref().map_err(drop).and_then(|l| l.local_addr().map_err(drop)) {
            text = text.replace(printed, &free.port().to_string());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(info: &str, text: &str) -> Block {
        Block { line: 1, info: info.into(), text: text.into() }
    }

    #[test]
    fn only_marked_blocks_are_run() {
        let script = script(&[block("sh tour", "echo a\n"), block("sh", "echo b\n"), block("yaml", "c: 1\n")]);
        assert!(script.contains("echo a\n") && !script.contains("echo b"), "{script}");
    }

    #[test]
    fn a_failing_line_fails_the_tour_and_leaves_no_process() {
        let marker = format!("rensei-tour-test-{}", std::process::id());
        let script = script(&[block("sh tour", &format!("(exec -a {marker} sleep 100) &\nfalse\ntouch reached\n"))]);
        let home = tempfile::tempdir().unwrap();
        let result = run_in(home.path(), &home.path().join("log"), &script, Path::new("/"));
        assert!(matches!(result, Err(TaskError::Failed { .. })), "{result:?}");
        assert!(!home.path().join("reached").exists());
        let listing = Command::new("ps").args(["-eo", "stat,args"]).output().unwrap();
        let alive =
            String::from_utf8_lossy(&listing.stdout).lines().any(|l| l.contains(&marker) && !l.starts_with('Z'));
        assert!(!alive, "the tour left a process behind");
    }

    #[test]
    fn printed_ports_are_replaced_everywhere() {
        let script = with_free_ports("serve 7780; run 7734; ask 7780");
        assert!(!script.contains("7780") && !script.contains("7734"));
        let steps: Vec<&str> = script.lines().last().unwrap().split("; ").collect();
        assert_eq!(steps[0].strip_prefix("serve "), steps[2].strip_prefix("ask "));
    }
}
