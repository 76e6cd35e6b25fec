//! Starting a child that leads its own process group.

use crate::{End, ProcessGroup, ProcessIdentity, Signal, open_files, os};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// Where programs are looked for when the child's environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What to start, and with what.
#[derive(Debug)]
pub struct SpawnSpec {
    /// The program. Without a `/` it is looked for in the `PATH` of `env`.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its whole environment: nothing is inherited.
    pub env: BTreeMap<OsString, OsString>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// Where its stdout and stderr go.
    pub output: File,
}

/// A child that leads a process group.
///
/// Dropping it neither kills nor forgets the child: it goes on, and is reaped when it ends.
#[derive(Debug)]
pub struct GroupChild {
    child: Child,
    identity: ProcessIdentity,
}

/// Starts a child as the leader of a new process group, with stdin closed and all output in a file. Where the system can
/// be told so, it and what it starts are ended before their host when memory runs out, and may have as many files open as
/// this process might before [`crate::raise_open_files`].
///
/// # Errors
/// When the program or the directory does not exist, the system refuses, or there is no async runtime to reap it.
pub fn spawn_group(spec: SpawnSpec) -> io::Result<GroupChild> {
    tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
    let program = find_program(&spec.program, spec.env.get(OsStr::new("PATH")).map(OsString::as_os_str))?;
    let mut command = Command::new(&program);
    // An absolute program keeps the standard library on `posix_spawn` although the environment is replaced.
    command.args(&spec.args).env_clear().envs(&spec.env).current_dir(&spec.cwd).process_group(0);
    command.stdin(Stdio::null()).stdout(spec.output.try_clone()?).stderr(spec.output).kill_on_drop(false);
    let child = command.spawn().map_err(|error| explain(error, &program, &spec.cwd))?;
    let pid = child.id().ok_or_else(|| io::Error::other("the child has no pid"))?;
    os::end_first(pid);
    open_files::give_former_open_files(pid);
    match ProcessIdentity::of(pid) {
        Ok(identity) => Ok(GroupChild { child, identity }),
        Err(error) => {
            // Unidentified it could never be found again.
            ProcessGroup::of_leader(pid).signal(Signal::Kill)?;
            Err(error)
        }
    }
}

impl GroupChild {
    /// Process id, which is also the id of its group.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.identity.pid
    }

    /// Identity to find it again with.
    #[must_use]
    pub const fn identity(&self) -> &ProcessIdentity {
        &self.identity
    }

    /// The group that it leads.
    #[must_use]
    pub const fn group(&self) -> ProcessGroup {
        ProcessGroup::of_leader(self.identity.pid)
    }

    /// Waits for the child, not for what it started, and reaps it. May be called again and may be cancelled.
    ///
    /// # Errors
    /// When the system cannot tell, for example because someone else reaped the child.
    pub async fn wait(&mut self) -> io::Result<End> {
        self.child.wait().await.map(End::from)
    }
}

/// Absolute path of a program. Without a `/` it is looked for in `path` (a value for `PATH`) or, without one, in the
/// usual places.
///
/// Start programs by absolute path when you replace their environment: otherwise the standard library has to `fork`
/// in order to search the new `PATH`.
///
/// # Errors
/// When no directory of `path` has an executable of that name.
pub fn find_program(program: &OsStr, path: Option<&OsStr>) -> io::Result<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return std::path::absolute(program);
    }
    let directories = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    let mut candidates =
        std::env::split_paths(directories).filter(|dir| dir.is_absolute()).map(|dir| dir.join(program));
    candidates
        .find(|candidate| is_executable(candidate))
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no program `{}` in PATH", program.display())))
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// "No such file" alone does not say which of the two is missing.
fn explain(error: io::Error, program: &Path, cwd: &Path) -> io::Error {
    let missing = if cwd.is_dir() { program } else { cwd };
    io::Error::new(error.kind(), format!("{}: {error}", missing.display()))
}
