//! What `/proc` and pidfds tell about processes.

#[path = "os_linux/presence.rs"]
mod presence;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open, pidfd_send_signal};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub(crate) use presence::{Presence, presences};

/// Longest environment that is searched. The kernel allows little more.
const MAX_ENVIRON: u64 = 8 << 20;
/// Ticks of `/proc/<pid>/stat`: the kernel fixes them for all its users.
pub(crate) const TICKS_PER_SECOND: u64 = 100;
/// Pause between two looks where the kernel cannot wake us.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The part of `/proc/<pid>/stat` that matters here.
struct Stat {
    state: u8,
    parent: u32,
    group: u32,
    session: u32,
    start_time: u64,
}

impl Stat {
    fn of(pid: u32) -> io::Result<Self> {
        let bytes = std::fs::read(format!("/proc/{pid}/stat"))?;
        Self::parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unexpected /proc/<pid>/stat"))
    }

    /// The name in parentheses may hold anything, parentheses and newlines too: only what follows the last one counts.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let after_name = bytes.iter().rposition(|&byte| byte == b')')? + 1;
        let text = std::str::from_utf8(bytes.get(after_name..)?).ok()?;
        let mut fields = text.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let session = fields.next()?.parse().ok()?;
        let start_time = fields.nth(15)?.parse().ok()?;
        Some(Self { state, parent, group, session, start_time })
    }

    fn is_running(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

fn boot_id() -> io::Result<String> {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    if let Some(known) = BOOT_ID.get() {
        return Ok(known.clone());
    }
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
    Ok(BOOT_ID.get_or_init(|| read).clone())
}

/// Start time and boot of the process that has `pid`.
pub(crate) fn birth(pid: u32) -> io::Result<(u64, String)> {
    Ok((Stat::of(pid)?.start_time, boot_id()?))
}

/// Whether a process with that pid runs; a zombie does not.
pub(crate) fn is_running(pid: u32) -> bool {
    Stat::of(pid).is_ok_and(|stat| stat.is_running())
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Running processes of a group, in no order.
pub(crate) fn group_members(group: u32) -> Vec<u32> {
    pids().filter(|&pid| is_member(pid, group)).collect()
}

/// Whether `pid` runs and belongs to the group.
pub(crate) fn is_member(pid: u32, group: u32) -> bool {
    Stat::of(pid).is_ok_and(|stat| stat.group == group && stat.is_running())
}

/// Processes of this user, other than the caller, that were started with `name=value` in their environment. Finds
/// what left its process group and session, too. Empty on systems without `/proc`.
#[must_use]
pub fn find_by_env(name: &str, value: &str) -> Vec<u32> {
    let wanted = format!("{name}={value}");
    let (own_uid, own_pid) = (rustix::process::geteuid().as_raw(), std::process::id());
    let matches = |&pid: &u32| pid != own_pid && owner(pid) == Some(own_uid) && has_entry(pid, wanted.as_bytes());
    let mut found: Vec<u32> = pids().filter(matches).collect();
    found.sort_unstable();
    found
}

/// Values that processes of this user, other than the caller, were started with for one variable, and by which. Empty
/// on systems without `/proc`.
#[must_use]
pub fn env_values(name: &str) -> BTreeMap<String, Vec<u32>> {
    let prefix = format!("{name}=");
    let (own_uid, own_pid) = (rustix::process::geteuid().as_raw(), std::process::id());
    let value = |pid: u32| {
        let environ = environ(pid)?;
        let entry = environ.split(|&byte| byte == 0).find_map(|entry| entry.strip_prefix(prefix.as_bytes()))?;
        String::from_utf8(entry.to_vec()).ok()
    };
    let mut values: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for pid in pids().filter(|&pid| pid != own_pid && owner(pid) == Some(own_uid)) {
        if let Some(value) = value(pid) {
            values.entry(value).or_default().push(pid);
        }
    }
    values
}

/// Kills every process that [`find_by_env`] finds, each at the moment when it is found: what forks all the time is gone
/// a moment later. The answer is how many there were.
#[must_use]
pub fn kill_by_env(name: &str, value: &str) -> usize {
    let (own_uid, own_pid) = (rustix::process::geteuid().as_raw(), std::process::id());
    let wanted = format!("{name}={value}");
    let others = pids().filter(|&pid| pid != own_pid && owner(pid) == Some(own_uid));
    others.filter(|&pid| kill_with(pid, wanted.as_bytes())).count()
}

/// Kills those of `pids` that carry the variable.
pub fn kill_marked(pids: &[u32], name: &str, value: &str) {
    let wanted = format!("{name}={value}");
    for pid in pids {
        kill_with(*pid, wanted.as_bytes());
    }
}

/// Kills a process that carries the entry. It is pinned before it is looked at, so that a pid that changed hands is not
/// signalled. Where the kernel cannot pin it, or no descriptor is left, the look alone has to do.
fn kill_with(pid: u32, entry: &[u8]) -> bool {
    let Ok(pinned) = open(pid) else { return false };
    if !has_entry(pid, entry) {
        return false;
    }
    // It may have ended meanwhile, which is what was wanted.
    let _gone = kill_its_group(pid);
    let _gone = send(pid, pinned.as_ref(), Signal::KILL);
    true
}

/// Kills the whole group of a process that has left our session, in one step that no fork escapes. In our own session a
/// process may have joined a group that is not its own, so that would hit others.
fn kill_its_group(pid: u32) -> Result<(), Errno> {
    static OWN_SESSION: OnceLock<Option<u32>> = OnceLock::new();
    let own = *OWN_SESSION.get_or_init(|| Stat::of(std::process::id()).ok().map(|stat| stat.session));
    let Ok(stat) = Stat::of(pid) else { return Err(Errno::SRCH) };
    let group = i32::try_from(stat.group).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    if own.is_none_or(|own| own == stat.session) { Ok(()) } else { kill_process_group(group, Signal::KILL) }
}

fn send(pid: u32, pinned: Option<&OwnedFd>, signal: Signal) -> Result<(), Errno> {
    match (pinned, i32::try_from(pid).ok().and_then(Pid::from_raw)) {
        (Some(pinned), _) => pidfd_send_signal(pinned, signal),
        (None, Some(pid)) => kill_process(pid, signal),
        (None, None) => Err(Errno::SRCH),
    }
}

/// Makes the kernel choose `pid`, and what it starts from now on, before others when memory runs out. It may have ended,
/// or have been chosen like that already.
pub(crate) fn end_first(pid: u32) {
    let _refused = std::fs::write(format!("/proc/{pid}/oom_score_adj"), "500");
}

/// Whether `pid` runs and leads its own process group.
#[must_use]
pub fn leads_its_group(pid: u32) -> bool {
    is_member(pid, pid)
}

/// Processes of this user, other than the caller, that hold the socket with this inode. Empty on systems without `/proc`.
#[must_use]
pub fn socket_holders(inode: u64) -> Vec<u32> {
    let wanted = format!("socket:[{inode}]");
    let (own_uid, own_pid) = (rustix::process::geteuid().as_raw(), std::process::id());
    let holds = |pid: u32| {
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut targets = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
        targets.any(|target| target.as_os_str() == wanted.as_str())
    };
    pids().filter(|&pid| pid != own_pid && owner(pid) == Some(own_uid) && holds(pid)).collect()
}

/// A process, its parent, and so on, as far as they run; at most 64. Empty on systems without `/proc`.
#[must_use]
pub fn lineage(pid: u32) -> Vec<u32> {
    let parent = |pid: &u32| Stat::of(*pid).ok().map(|stat| stat.parent).filter(|parent| *parent > 1);
    std::iter::successors(Some(pid), parent).take(64).collect()
}

/// Sends a signal to this very process, if it still runs.
pub(crate) fn signal(process: &crate::ProcessIdentity, signal: Signal) {
    let Ok(pinned) = open(process.pid) else { return };
    if process.is_alive() {
        // It may have ended meanwhile, or be another user's by now.
        let _gone = send(process.pid, pinned.as_ref(), signal);
    }
}

fn owner(pid: u32) -> Option<u32> {
    std::fs::metadata(format!("/proc/{pid}")).ok().map(|metadata| metadata.uid())
}

fn has_entry(pid: u32, wanted: &[u8]) -> bool {
    environ(pid).is_some_and(|environ| environ.split(|&byte| byte == 0).any(|entry| entry == wanted))
}

fn environ(pid: u32) -> Option<Vec<u8>> {
    // Most are smaller, and few reads are what makes a look at all processes quick.
    let mut environ = Vec::with_capacity(16 << 10);
    let file = std::fs::File::open(format!("/proc/{pid}/environ")).ok()?;
    file.take(MAX_ENVIRON).read_to_end(&mut environ).ok()?;
    Some(environ)
}

/// Time since the machine was started, in the ticks of [`birth`].
pub(crate) fn now_in_ticks() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let (seconds, hundredths) = text.split_ascii_whitespace().next()?.split_once('.')?;
    Some(seconds.parse::<u64>().ok()? * TICKS_PER_SECOND + hundredths.parse::<u64>().ok()?)
}

/// Waits until the process with that pid ends or `is_same` turns false.
pub(crate) async fn wait_while(pid: u32, is_same: impl Fn() -> bool) {
    let Ok(watched) = open(pid) else { return };
    // Only now does the descriptor pin one process; that it is the right one must be seen after.
    if !is_same() {
        return;
    }
    let descriptor = watched.and_then(register);
    if let Some(descriptor) = descriptor
        && descriptor.readable().await.is_ok()
    {
        return;
    }
    while is_same() {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

#[expect(
    deprecated,
    reason = "the successor is unsafe; what it demands, sole ownership of the descriptor, `OwnedFd` is"
)]
fn register(fd: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE).ok()
}

/// A descriptor that becomes readable at the end of the process; none when the system has no such thing or no
/// descriptor left; an error when there is no such process.
fn open(pid: u32) -> Result<Option<OwnedFd>, Errno> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::SRCH) => Err(Errno::SRCH),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_that_were_found_are_killed() {
        let value = format!("/kill-marked/{}", std::process::id());
        let sleeper =
            || std::process::Command::new("sleep").arg("60").env("RENSEI_TEST_FOUND", &value).spawn().unwrap();
        let mut early = sleeper();
        // A process that has only just been started shows no environment for a moment.
        let found = loop {
            if let Some(found) = env_values("RENSEI_TEST_FOUND").remove(&value) {
                break found;
            }
        };
        assert_eq!(found, [early.id()]);
        let mut late = sleeper();
        kill_marked(&found, "RENSEI_TEST_FOUND", &value);
        assert!(!early.wait().unwrap().success());
        assert!(late.try_wait().unwrap().is_none(), "a later process with the same marker goes on");
        late.kill().unwrap();
        late.wait().unwrap();
    }

    #[test]
    fn who_holds_a_socket_and_whose_child_that_is() {
        use std::os::unix::process::CommandExt as _;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let inode = std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&theirs))).unwrap();
        let inode = inode.to_str().unwrap().trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        assert!(socket_holders(inode).is_empty(), "the caller does not count");
        let mut shell = std::process::Command::new("sh");
        let mut shell =
            shell.args(["-c", "sleep 60; :"]).process_group(0).stdin(OwnedFd::from(theirs)).spawn().unwrap();
        let (shell_pid, sleep_pid) = loop {
            if let [a, b] = socket_holders(inode)[..] {
                break if a == shell.id() { (a, b) } else { (b, a) };
            }
        };
        assert_eq!(lineage(sleep_pid)[..3], [sleep_pid, shell_pid, std::process::id()]);
        rustix::process::kill_process_group(Pid::from_raw(shell_pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
        shell.wait().unwrap();
        drop(ours);
    }

    #[test]
    fn kills_with_and_without_a_descriptor() {
        use std::os::unix::process::ExitStatusExt;
        for pinned in [true, false] {
            let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
            let descriptor = if pinned { open(child.id()).unwrap() } else { None };
            send(child.id(), descriptor.as_ref(), Signal::KILL).unwrap();
            assert_eq!(child.wait().unwrap().signal(), Some(9), "{pinned}");
        }
        assert!(send(0, None, Signal::KILL).is_err() && send(u32::MAX, None, Signal::KILL).is_err());
    }

    #[test]
    fn hostile_names_do_not_shift_the_fields() {
        let tail = " Z 1 77 77 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        for name in ["sh", "a b", ") S 1 2", "((", "x\n) R 9", ")"] {
            let stat = Stat::parse(format!("5 ({name}){tail}").as_bytes()).unwrap();
            assert_eq!((stat.state, stat.parent, stat.group, stat.start_time), (b'Z', 1, 77, 4242), "{name}");
            assert!(!stat.is_running());
        }
        for broken in ["", "5", "5 (sh)", "5 (sh) S 1", "5 (sh) S 1 x 2"] {
            assert!(Stat::parse(broken.as_bytes()).is_none(), "{broken}");
        }
    }
}
