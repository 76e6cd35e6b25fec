//! Shell commands of kits, bounded in time and output.

use rensei_process::{End, ProcessGroup, Signal, SpawnSpec, spawn_group};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::time::timeout;

/// From the request to end until the group is killed.
const GRACE: Duration = Duration::from_secs(1);

/// A shell command with its bounds.
#[derive(Debug, Clone)]
pub struct BoundedCommand {
    /// Handed to `/bin/sh -c`.
    pub command: String,
    /// Where it runs.
    pub cwd: PathBuf,
    /// Its whole environment.
    pub env: BTreeMap<OsString, OsString>,
    /// How long it may take.
    pub limit: Duration,
    /// How many bytes it may write.
    pub max_output: usize,
}

/// How a command ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How.
    pub end: End,
    /// What it and its children wrote.
    pub output: Vec<u8>,
}

/// Why a command did not end by itself.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It did not start, or could not be followed.
    #[error("failed to run /bin/sh in {}", cwd.display())]
    Run {
        /// Its working directory.
        cwd: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It took too long and was ended.
    #[error("took longer than {} s", limit.as_secs())]
    TooSlow {
        /// What it was given.
        limit: Duration,
    },
    /// It wrote too much and was ended.
    #[error("wrote more than {max} bytes")]
    TooMuch {
        /// What it was given.
        max: usize,
    },
}

/// Ends the group when nobody waits for it any more.
struct Guard(ProcessGroup);

impl Drop for Guard {
    fn drop(&mut self) {
        // Nobody there any more is what is wanted.
        let _gone = self.0.signal(Signal::Kill);
    }
}

impl BoundedCommand {
    /// Runs the command in a process group of its own, which does not outlive this call, however it ends.
    ///
    /// # Errors
    /// [`CommandError`]. A command that ran and failed is no error.
    pub async fn run(&self) -> Result<Ran, CommandError> {
        let failed = |source| CommandError::Run { cwd: self.cwd.clone(), source };
        let (reader, writer) = io::pipe().map_err(failed)?;
        let mut child = spawn_group(SpawnSpec {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), self.command.clone().into()],
            env: self.env.clone(),
            cwd: self.cwd.clone(),
            output: File::from(OwnedFd::from(writer)),
        })
        .map_err(failed)?;
        let guard = Guard(child.group());
        let reader = Receiver::from_owned_fd(OwnedFd::from(reader)).map_err(failed)?;
        let mut output = Vec::new();
        let mut bounded = reader.take(self.max_output as u64 + 1);
        // The output ends with the last process of the group, the command with the first one.
        let work = async {
            bounded.read_to_end(&mut output).await?;
            if output.len() > self.max_output { Ok(None) } else { child.wait().await.map(Some) }
        };
        let ended = match timeout(self.limit, work).await {
            Ok(ended) => ended.map_err(failed)?,
            Err(_elapsed) => {
                child.group().stop(GRACE).await;
                return Err(CommandError::TooSlow { limit: self.limit });
            }
        };
        drop(guard);
        ended.map(|end| Ran { end, output }).ok_or(CommandError::TooMuch { max: self.max_output })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(text: &str) -> BoundedCommand {
        BoundedCommand {
            command: text.to_owned(),
            cwd: "/".into(),
            env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
            limit: Duration::from_secs(30),
            max_output: 1000,
        }
    }

    #[tokio::test]
    async fn ends_and_output() {
        let ran = command("echo out; echo err >&2; exit 3").run().await.unwrap();
        assert_eq!((ran.end, ran.output.as_slice()), (End::Exited(3), &b"out\nerr\n"[..]));
    }

    #[tokio::test]
    async fn bounds_hold_for_the_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let slow = BoundedCommand {
            limit: Duration::from_millis(300),
            ..command(&format!("trap '' TERM; sleep 600 & echo $! > {}; wait", pid.display()))
        };
        assert!(matches!(slow.run().await, Err(CommandError::TooSlow { .. })));
        let child: i32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
        let there = rustix::process::test_kill_process(rustix::process::Pid::from_raw(child).unwrap());
        let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        assert!(there.is_err() || state.contains(") Z "), "the grandchild is gone: {state}");
        assert!(matches!(command("exec yes").run().await, Err(CommandError::TooMuch { max: 1000 })));
    }

    #[tokio::test]
    async fn a_directory_that_is_gone_is_named() {
        let error = BoundedCommand { cwd: "/no/such/dir".into(), ..command("true") }.run().await.unwrap_err();
        assert_eq!(error.to_string(), "failed to run /bin/sh in /no/such/dir");
    }
}
