//! How many files this process, and what it starts, may have open.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use std::io;
use std::sync::OnceLock;

/// Limits of this process before they were raised. They are the process's own, and so is this.
static FORMER: OnceLock<Rlimit> = OnceLock::new();

/// Lets this process have as many files open as it may allow itself. What [`crate::spawn_group`] starts from then on gets,
/// right after its start, the limit that was in force before: programs exist that go through all descriptors that they may have, or cannot
/// use large ones. Nothing happens on systems other than Linux, where nobody can set the limit of another process.
///
/// # Errors
/// When the system refuses; then everything is as it was.
pub fn raise_open_files() -> io::Result<()> {
    let former = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: former.maximum, ..former })?;
    FORMER.get_or_init(|| former);
    Ok(())
}

/// Gives a child that was just started in another way than with [`crate::spawn_group`] the limit that was in force before
/// [`raise_open_files`]. Until then it has the raised one. It may have ended.
pub fn give_former_open_files(pid: u32) {
    if let Some(former) = FORMER.get()
        && let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw)
    {
        let _gone = prlimit(Some(pid), Resource::Nofile, *former);
    }
}
