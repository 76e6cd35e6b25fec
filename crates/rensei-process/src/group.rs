//! Process groups: signalled and ended as a whole.

use crate::os;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal as RawSignal, getpgrp, kill_process_group, setpriority_pgrp, test_kill_process_group,
};
use std::io;
use std::time::Duration;

/// How long killed processes may take to disappear. Only a process stuck in the kernel takes longer.
const KILL_WAIT: Duration = Duration::from_secs(5);
/// Pause until the members of a group are listed anew although none has ended.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Nice value of those who give way: their host gets the processor about three times as often.
const NICE: i32 = 5;

/// A signal that a host sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `SIGTERM`: please end.
    Terminate,
    /// `SIGKILL`: ends at once.
    Kill,
    /// `SIGINT`: what Ctrl-C sends.
    Interrupt,
}

impl Signal {
    const fn raw(self) -> RawSignal {
        match self {
            Self::Terminate => RawSignal::TERM,
            Self::Kill => RawSignal::KILL,
            Self::Interrupt => RawSignal::INT,
        }
    }
}

/// How a group was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopOutcome {
    /// Nobody was there.
    AlreadyGone,
    /// Everyone ended within the grace period.
    Terminated,
    /// Someone had to be killed.
    Killed,
}

/// A process group, named by the pid of the process that leads or led it.
///
/// While anyone is in the group the kernel gives its number to nobody else. An empty group's number may be used again,
/// so check the leader's [`ProcessIdentity`](crate::ProcessIdentity) before you signal a group that you remember from
/// an earlier life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessGroup(u32);

impl ProcessGroup {
    /// Makes all that are in the group now, and what they start from now on, give way to others when all processors are
    /// busy.
    ///
    /// # Errors
    /// When nobody is there, or the system refuses.
    pub fn give_way(self) -> io::Result<()> {
        let group = i32::try_from(self.0).ok().and_then(Pid::from_raw);
        let group = group.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no such group"))?;
        Ok(setpriority_pgrp(Some(group), NICE)?)
    }

    /// The group that the process `pid` leads.
    #[must_use]
    pub const fn of_leader(pid: u32) -> Self {
        Self(pid)
    }

    /// Signals everyone in the group; false when nobody is there.
    ///
    /// # Errors
    /// When the group is the caller's own or one that no child can have (0, 1: everyone), or when the system refuses.
    pub fn signal(self, signal: Signal) -> io::Result<bool> {
        self.send(signal.raw())
    }

    /// Whether nobody runs in the group any more. Zombies do not count.
    #[must_use]
    pub fn is_empty(self) -> bool {
        // The common case costs one system call instead of a walk over all processes.
        let nobody = self.pid().is_none_or(|pid| test_kill_process_group(pid) == Err(Errno::SRCH));
        nobody || os::group_members(self.0).is_empty()
    }

    /// Pids of everyone who runs in the group, in no order.
    #[must_use]
    pub fn members(self) -> Vec<u32> {
        os::group_members(self.0)
    }

    /// Ends the group: asks it to terminate, waits for `grace`, kills what is left and waits for that to be gone.
    pub async fn stop(self, grace: Duration) -> StopOutcome {
        if self.is_empty() {
            return StopOutcome::AlreadyGone;
        }
        self.send_logged(RawSignal::TERM);
        // A stopped process would sit on the request until it is continued.
        self.send_logged(RawSignal::CONT);
        if tokio::time::timeout(grace, self.wait_empty()).await.is_ok() {
            return StopOutcome::Terminated;
        }
        self.send_logged(RawSignal::KILL);
        if tokio::time::timeout(KILL_WAIT, self.wait_empty()).await.is_err() {
            tracing::warn!(group = self.0, members = ?self.members(), "killed processes do not disappear");
        }
        StopOutcome::Killed
    }

    /// Waits until nobody runs in the group.
    pub async fn wait_empty(self) {
        loop {
            let members = self.members();
            if members.is_empty() {
                return;
            }
            for pid in members {
                // A member may also leave for a group of its own, which wakes nobody.
                let gone = os::wait_while(pid, || os::is_member(pid, self.0));
                if tokio::time::timeout(LOOK_AGAIN, gone).await.is_err() {
                    break;
                }
            }
        }
    }

    fn pid(self) -> Option<Pid> {
        let raw = i32::try_from(self.0).ok().filter(|&raw| raw > 1)?;
        Pid::from_raw(raw)
    }

    fn send(self, signal: RawSignal) -> io::Result<bool> {
        let target = self.pid().filter(|&pid| pid != getpgrp());
        let pid = target.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a group of a child"))?;
        let there = !self.is_empty();
        match kill_process_group(pid, signal) {
            Ok(()) => Ok(there),
            Err(Errno::SRCH) => Ok(false),
            // Some systems refuse to signal a group of zombies instead of doing nothing.
            Err(Errno::PERM) if !there => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn send_logged(self, signal: RawSignal) {
        if let Err(error) = self.send(signal) {
            tracing::warn!(group = self.0, signal = signal.as_raw(), %error, "could not signal a process group");
        }
    }
}
