//! Everything that an agent has started.

use rensei_process::{ProcessGroup, find_by_env};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;

/// Variable that every process of a session carries.
const MARKER: &str = "RENSEI_SESSION_ID";

/// Signals the agent and what it has started, never the worker itself. Returns whether anyone was there.
///
/// An agent shares its worker's process group, so the group cannot be signalled as a whole. When the worker leads the
/// group everyone else in it belongs to the session. When it does not (it was started by hand, from a script), others
/// may share the group too, and only what carries the session's marker counts. What left the group is found by the
/// marker in both cases.
pub(super) fn signal(agent: Option<u32>, session_id: &str, signal: Signal) -> bool {
    let mut targets: BTreeSet<u32> = find_by_env(MARKER, session_id).into_iter().collect();
    let own = std::process::id();
    let group = ProcessGroup::of_leader(own).members();
    if group.contains(&own) {
        targets.extend(group);
    }
    targets.extend(agent);
    targets.remove(&own);
    targets.into_iter().filter(|pid| send(*pid, signal)).count() > 0
}

fn send(pid: u32, signal: Signal) -> bool {
    let pid = i32::try_from(pid).ok().filter(|raw| *raw > 1).and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
}
