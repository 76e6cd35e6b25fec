//! Which process a pid meant.

use crate::os;
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;

/// A process, told apart from a later one with the same pid.
///
/// Where the system does not tell when a process started (anything but Linux), `start_time` is 0, `boot_id` is empty,
/// and the pid alone decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessIdentity {
    /// Process id.
    pub pid: u32,
    /// When the process started, in clock ticks since boot.
    pub start_time: u64,
    /// Which boot that was.
    pub boot_id: String,
}

impl ProcessIdentity {
    /// Identity of the process that has `pid` now.
    ///
    /// # Errors
    /// When there is no such process, or it cannot be looked at.
    pub fn of(pid: u32) -> io::Result<Self> {
        let (start_time, boot_id) = os::birth(pid)?;
        Ok(Self { pid, start_time, boot_id })
    }

    /// Whether this very process still runs. A zombie does not, nor does a stranger that got the pid, nor anything
    /// from before the last boot. When in doubt the answer is no, so that nothing foreign is ever signalled.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        os::is_running(self.pid) && Self::of(self.pid).is_ok_and(|now| now == *self)
    }

    /// How long ago the process was started, which a change of the wall clock does not touch. `None` where the system
    /// does not say.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let ticks = os::now_in_ticks()?.saturating_sub(self.start_time);
        Some(Duration::from_millis(ticks.saturating_mul(1000) / os::TICKS_PER_SECOND))
    }

    /// Waits until [`is_alive`](Self::is_alive) is false. Works for processes that are not our children.
    pub async fn wait_gone(&self) {
        os::wait_while(self.pid, || self.is_alive()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn sleeper() -> std::process::Child {
        Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn a_recycled_pid_or_another_boot_is_not_alive() {
        let mut child = sleeper();
        let identity = ProcessIdentity::of(child.id()).unwrap();
        assert!(identity.is_alive());
        assert!(!ProcessIdentity { start_time: identity.start_time + 1, ..identity.clone() }.is_alive());
        assert!(!ProcessIdentity { boot_id: "other".into(), ..identity.clone() }.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!identity.is_alive());
        assert!(ProcessIdentity::of(identity.pid).is_err());
    }

    #[tokio::test]
    async fn a_zombie_is_gone() {
        let mut child = sleeper();
        let identity = ProcessIdentity::of(child.id()).unwrap();
        child.kill().unwrap();
        identity.wait_gone().await;
        assert!(!identity.is_alive());
        assert!(ProcessIdentity::of(identity.pid).is_ok(), "not reaped yet, so it still has its pid");
        child.wait().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_as_old_as_it_is() {
        let mut child = sleeper();
        let age = ProcessIdentity::of(child.id()).unwrap().age().unwrap();
        assert!(age < Duration::from_secs(60), "{age:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn impossible_pids_are_errors() {
        for pid in [0, u32::MAX, i32::MAX as u32] {
            assert!(ProcessIdentity::of(pid).is_err(), "{pid}");
            assert!(!ProcessIdentity { pid, start_time: 0, boot_id: String::new() }.is_alive(), "{pid}");
        }
    }

    #[test]
    fn survives_a_round_trip() {
        let identity = ProcessIdentity::of(std::process::id()).unwrap();
        let json = serde_json::to_string(&identity).unwrap();
        assert!(json.contains("\"startTime\":") && json.contains("\"bootId\":"), "{json}");
        assert!(serde_json::from_str::<ProcessIdentity>(&json).unwrap().is_alive());
    }
}
