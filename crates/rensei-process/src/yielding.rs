//! Children give way to their host.

use crate::os;
use rustix::process::{Pid, setpriority_process};
use std::io;

/// Nice value of a child: on a busy machine its host gets the processor about three times as often.
const NICE: i32 = 5;

/// Makes a process, and what it starts from now on, give way to others: it gets the processor later when all are busy,
/// and it is ended before them when memory runs out. Meant for a child that has only just been started.
///
/// # Errors
/// When the system refuses the first; the second is done where there is such a thing.
pub fn give_way(pid: u32) -> io::Result<()> {
    os::end_first(pid);
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no such pid"))?;
    Ok(setpriority_process(Some(pid), NICE)?)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_child_and_what_it_starts_give_way() {
        let mut child = Command::new("sh")
            .args(["-c", "read go; sleep 60 & wait"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        give_way(child.id()).unwrap();
        drop(child.stdin.take());
        let nice = |pid: u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().to_owned()
        };
        let badness =
            |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim().to_owned();
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let grandchild = loop {
            if let Ok(pid) = std::fs::read_to_string(&children).unwrap().trim().parse::<u32>() {
                break pid;
            }
        };
        for pid in [child.id(), grandchild] {
            assert_eq!((nice(pid).as_str(), badness(pid).as_str()), ("5", "500"));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        Command::new("kill").arg(grandchild.to_string()).status().unwrap();
        assert!(give_way(0).is_err() && give_way(u32::MAX).is_err());
    }
}
