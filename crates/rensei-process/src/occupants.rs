//! Who still works in a directory, whatever it did to its group, session and environment.

#[cfg(target_os = "linux")]
use crate::ProcessIdentity;
use std::path::Path;
use std::time::Duration;

/// What became of the processes in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// There is none any more; how many were killed.
    Empty {
        /// Processes that were there.
        killed: usize,
    },
    /// Some are there, or may be: what cannot be looked at, what is older, what could not be killed.
    Occupied,
}

/// Ends the processes of this user that have their working directory, their root, their program or an open file in
/// `dir`, an absolute path without links; the caller is none of them. What is older than `age` is somebody else's, such
/// as a person's shell, and is not signalled, nor is what the caller was started by. Blocks for up to two seconds. One
/// look at all processes when there are none.
///
/// Where the system does not say who is where, nobody is.
#[must_use]
#[cfg(target_os = "linux")]
pub fn evict_occupants(dir: &Path, age: Duration) -> Eviction {
    linux::evict(dir, age)
}

/// Ends nothing: who is where is not knowable here.
#[must_use]
#[cfg(not(target_os = "linux"))]
pub const fn evict_occupants(_dir: &Path, _age: Duration) -> Eviction {
    Eviction::Empty { killed: 0 }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::{Duration, Eviction, Path, ProcessIdentity};
    use crate::os::{self, Presence};
    use rustix::process::Signal;
    use std::time::Instant;

    /// Signals, one after the other, to what is found. One may be forking just now, so the last comes more than once.
    const SIGNALS: [Signal; 4] = [Signal::TERM, Signal::KILL, Signal::KILL, Signal::KILL];
    /// Wait for the end after each.
    const GRACE: Duration = Duration::from_millis(500);
    /// Pause between two looks.
    const LOOK_INTERVAL: Duration = Duration::from_millis(5);
    /// Two clocks are compared, one of which ticks slowly.
    const SLACK: Duration = Duration::from_millis(50);

    pub(super) fn evict(dir: &Path, age: Duration) -> Eviction {
        let since = Instant::now();
        let limit = || age + since.elapsed() + SLACK;
        let mut killed = 0;
        for signal in SIGNALS {
            let Some(found) = occupants(dir, limit) else { return Eviction::Occupied };
            if found.is_empty() {
                return Eviction::Empty { killed };
            }
            killed = killed.max(found.len());
            // One may have ended meanwhile, which is what was wanted.
            found.iter().for_each(|process| os::signal(process, signal));
            wait_gone(&found);
        }
        match occupants(dir, limit) {
            Some(found) if found.is_empty() => Eviction::Empty { killed },
            _ => Eviction::Occupied,
        }
    }

    /// Processes that may be signalled; none when there are, or may be, others too.
    fn occupants(dir: &Path, limit: impl Fn() -> Duration) -> Option<Vec<ProcessIdentity>> {
        let spared = os::lineage(std::process::id());
        let mut found = Vec::new();
        for (pid, presence) in os::presences(dir).ok()? {
            // It ended meanwhile.
            let Ok(process) = ProcessIdentity::of(pid) else { continue };
            let is_older = process.age().is_none_or(|age| age > limit());
            match presence {
                Presence::There if is_older || spared.contains(&pid) => return None,
                Presence::There => found.push(process),
                // What is older cannot have been started by whoever had the directory.
                Presence::Unknown if is_older => {}
                Presence::Unknown => return None,
            }
        }
        Some(found)
    }

    fn wait_gone(processes: &[ProcessIdentity]) {
        let begun = Instant::now();
        while begun.elapsed() < GRACE && processes.iter().any(ProcessIdentity::is_alive) {
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::ProcessIdentity;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};

    const HOUR: Duration = Duration::from_secs(3600);

    fn shell(dir: &Path, script: &str) -> Child {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).current_dir(dir).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut ready = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        child
    }

    #[test]
    fn who_is_in_a_directory_is_ended_however_it_is_there() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        // Its name begins as that of the directory does.
        let (dir, beside) = (root.join("tree"), root.join("tree2"));
        std::fs::create_dir_all(dir.join("deep")).unwrap();
        std::fs::create_dir(&beside).unwrap();
        std::fs::copy("/bin/sh", dir.join("program")).unwrap();
        let mut inside = [
            shell(&dir.join("deep"), "echo; read x"),
            shell(Path::new("/"), &format!("exec 7>'{}/file'; echo; read x", dir.display())),
            shell(&dir, "trap '' TERM; echo; while :; do read x; done </dev/zero"),
        ];
        let mut neighbour = shell(&beside, "echo; read x");
        assert_eq!(evict_occupants(&dir, HOUR), Eviction::Empty { killed: 3 });
        let ends = inside.each_mut().map(|child| child.wait().unwrap().signal());
        assert_eq!(ends, [Some(15), Some(15), Some(9)]);
        assert!(ProcessIdentity::of(neighbour.id()).unwrap().is_alive());
        assert_eq!(evict_occupants(&dir, HOUR), Eviction::Empty { killed: 0 });
        neighbour.kill().unwrap();
        neighbour.wait().unwrap();
    }

    #[test]
    fn what_is_older_is_left_alone_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = shell(dir.path(), "echo; read x");
        let identity = ProcessIdentity::of(child.id()).unwrap();
        while identity.age().unwrap() < Duration::from_millis(300) {
            std::thread::yield_now();
        }
        assert_eq!(evict_occupants(&dir.path().canonicalize().unwrap(), Duration::ZERO), Eviction::Occupied);
        assert!(identity.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
