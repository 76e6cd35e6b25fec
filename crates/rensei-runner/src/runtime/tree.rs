//! Everything that an agent has started.

use rensei_process::{ProcessGroup, find_by_env};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};

/// Variables that every process of a session carries, the most telling first: a directory belongs to one daemon, an id
/// may be known to several.
const MARKERS: [&str; 2] = ["RENSEI_SESSION_DIR", "RENSEI_SESSION_ID"];

/// What the processes of one session are found by.
#[derive(Debug, Clone)]
pub(super) struct Marker {
    name: &'static str,
    value: String,
}

impl Marker {
    /// The best that the agent's environment has.
    pub(super) fn of(env: &BTreeMap<String, String>) -> Option<Self> {
        MARKERS.into_iter().find_map(|name| Some(Self { name, value: env.get(name)?.clone() }))
    }
}

/// Signals the agent and what it has started, never the worker itself. Returns whether anyone was there.
///
/// An agent shares its worker's process group, so the group cannot be signalled as a whole. When the worker leads the
/// group everyone else in it belongs to the session. When it does not (it was started by hand, from a script), others
/// may share the group too, and only what carries the session's marker counts. What left the group is found by the
/// marker in both cases.
pub(super) fn signal(agent: Option<u32>, marker: Option<&Marker>, signal: Signal) -> bool {
    let mut targets: BTreeSet<u32> =
        marker.map(|marker| find_by_env(marker.name, &marker.value)).into_iter().flatten().collect();
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
