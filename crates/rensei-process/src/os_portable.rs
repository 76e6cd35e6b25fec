//! What POSIX alone tells about processes: who exists, and nothing about when it started.

use rustix::process::{Pid, test_kill_process, test_kill_process_group};
use std::io;
use std::time::Duration;

/// Pause between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Start time and boot, both unknown here, of the process that has `pid`.
pub(crate) fn birth(pid: u32) -> io::Result<(u64, String)> {
    if is_running(pid) { Ok((0, String::new())) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Whether a process with that pid exists. A zombie cannot be told apart here.
pub(crate) fn is_running(pid: u32) -> bool {
    to_pid(pid).is_some_and(|pid| test_kill_process(pid).is_ok())
}

/// The group's id when anyone is in it: who exactly is not knowable here.
pub(crate) fn group_members(group: u32) -> Vec<u32> {
    let present = to_pid(group).is_some_and(|pid| test_kill_process_group(pid).is_ok());
    if present { vec![group] } else { Vec::new() }
}

/// Whether the group has anyone in it.
pub(crate) fn is_member(_pid: u32, group: u32) -> bool {
    !group_members(group).is_empty()
}

/// Who is ended when memory runs out cannot be chosen here.
pub(crate) const fn end_first(_pid: u32) {}

/// Processes of this user that were started with `name=value` in their environment: not knowable here, so none.
#[must_use]
pub fn find_by_env(_name: &str, _value: &str) -> Vec<u32> {
    Vec::new()
}

/// Who holds a socket: not knowable here, so nobody.
#[must_use]
pub const fn socket_holders(_inode: u64) -> Vec<u32> {
    Vec::new()
}

/// Whose child a process is: not knowable here, so nobody's.
#[must_use]
pub const fn lineage(_pid: u32) -> Vec<u32> {
    Vec::new()
}

/// Waits until `is_same` turns false.
pub(crate) async fn wait_while(_pid: u32, is_same: impl Fn() -> bool) {
    while is_same() {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Values of one variable: not knowable here, so none.
#[must_use]
pub fn env_values(_name: &str) -> std::collections::BTreeMap<String, Vec<u32>> {
    std::collections::BTreeMap::new()
}

/// Not known here.
pub(crate) const TICKS_PER_SECOND: u64 = 1;

/// Not known here.
pub(crate) fn now_in_ticks() -> Option<u64> {
    None
}

/// Kills nothing: see [`find_by_env`].
pub fn kill_marked(_pids: &[u32], _name: &str, _value: &str) {}

/// Kills nothing: see [`find_by_env`].
#[must_use]
pub fn kill_by_env(_name: &str, _value: &str) -> usize {
    0
}

/// Whether `pid` runs and leads its own process group.
#[must_use]
pub fn leads_its_group(pid: u32) -> bool {
    is_member(pid, pid)
}
