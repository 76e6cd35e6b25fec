//! Which processes are in a directory.

use super::{Stat, owner, pids};
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};

/// What is known of a process and a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It stands in it, runs from it or holds something in it open.
    There,
    /// It cannot be looked at.
    Unknown,
}

/// Processes of this user, other than the caller, that are in `dir` or may be.
///
/// # Errors
/// When there is no list of processes.
pub(crate) fn presences(dir: &Path) -> io::Result<Vec<(u32, Presence)>> {
    // An unreadable list would look like an empty one.
    drop(std::fs::read_dir("/proc")?);
    let (own_uid, own_pid) = (rustix::process::geteuid().as_raw(), std::process::id());
    let others = pids().filter(|&pid| pid != own_pid && is_of(pid, own_uid));
    Ok(others.filter_map(|pid| presence(pid, dir).map(|presence| (pid, presence))).collect())
}

/// Whether a process is this user's. One that hides from debuggers looks like one of root's, but says whose it is.
fn is_of(pid: u32, uid: u32) -> bool {
    match owner(pid) {
        Some(0) if uid != 0 => {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
            ids.split_ascii_whitespace().any(|id| id.parse() == Ok(uid))
        }
        owner => owner == Some(uid),
    }
}

fn presence(pid: u32, dir: &Path) -> Option<Presence> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    match Stat::of(pid) {
        // Its first thread has ended. Others may go on, which see what it saw.
        Ok(stat) if !stat.is_running() => {
            let threads = std::fs::read_dir(process.join("task")).into_iter().flatten().flatten();
            threads.filter_map(|thread| look(&thread.path(), dir)).next()
        }
        Ok(_) => look(&process, dir),
        Err(_gone) => None,
    }
}

fn look(process: &Path, dir: &Path) -> Option<Presence> {
    for name in ["cwd", "exe", "root"] {
        if let Some(found) = leads_into(&process.join(name), dir) {
            return Some(found);
        }
    }
    let descriptors = match std::fs::read_dir(process.join("fd")) {
        Ok(descriptors) => descriptors,
        Err(error) => return unless_gone(&error),
    };
    descriptors.flatten().find_map(|descriptor| leads_into(&descriptor.path(), dir))
}

fn leads_into(link: &Path, dir: &Path) -> Option<Presence> {
    match std::fs::read_link(link) {
        Ok(target) => target.starts_with(dir).then_some(Presence::There),
        Err(error) => unless_gone(&error),
    }
}

fn unless_gone(error: &io::Error) -> Option<Presence> {
    let is_gone = matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::SRCH));
    (!is_gone).then_some(Presence::Unknown)
}
