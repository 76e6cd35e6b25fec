//! The state root: whose it is, who may read it, who holds it.

use super::check::Check;
use crate::output::text;
use rensei_proto::control::Status;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Files that hold secrets, or say who this machine is. A configuration that holds one is found by the check of the
/// configuration.
const PRIVATE: [&str; 3] = ["daemon.jwt", "machine-id", "control-token"];

/// All checks of the state root.
pub(super) fn checks(root: &Path, status: Option<&Status>) -> Vec<Check> {
    match root.metadata() {
        Ok(meta) => vec![modes(root, &meta), lock(root, status)],
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            vec![Check::unknown(NAME, format!("{} is not there yet; the daemon makes it", root.display()))]
        }
        Err(error) => {
            let fix = format!("see whose it is: `ls -ld {}`", quoted(root));
            vec![Check::error(NAME, format!("{} cannot be read: {error}", root.display()), fix)]
        }
    }
}

const NAME: &str = "state";

fn modes(root: &Path, meta: &Metadata) -> Check {
    let shown = root.display();
    let me = rustix::process::geteuid().as_raw();
    if !meta.is_dir() {
        return Check::error(NAME, format!("{shown} is no directory"), "set RENSEI_HOME to a directory");
    }
    if meta.uid() != me {
        let fix = "run as its owner, or set RENSEI_HOME to a directory of your own";
        return Check::error(NAME, format!("{shown} belongs to user {}, and this is user {me}", meta.uid()), fix);
    }
    let exposed = |meta: &Metadata| meta.permissions().mode() & 0o077 != 0;
    let files = PRIVATE.map(|name| root.join(name));
    let open: Vec<_> = files.iter().filter(|path| path.metadata().is_ok_and(|meta| exposed(&meta))).collect();
    match (exposed(meta), open.as_slice()) {
        (false, []) => Check::ok(NAME, format!("{shown} is this user's alone")),
        (true, _) => {
            let mode = meta.permissions().mode() & 0o777;
            Check::warning(
                NAME,
                format!("{shown} has mode {mode:04o}: others can look into it"),
                format!("`chmod 700 {}`", quoted(root)),
            )
        }
        (false, [first, ..]) => {
            let names: Vec<String> = open.iter().map(|path| path.display().to_string()).collect();
            let fix = format!("`chmod 600 {}`", quoted(first));
            Check::warning(NAME, format!("others may read {}", names.join(", ")), fix)
        }
    }
}

/// Who holds the state root, next to who answers. Nothing is locked in order to find out, because a daemon that starts
/// at that moment would take that for another daemon.
fn lock(root: &Path, status: Option<&Status>) -> Check {
    let shown = root.display();
    let path = root.join("daemon.lock");
    let held =
        path.metadata().is_ok_and(|meta| is_held(&std::fs::read_to_string("/proc/locks").unwrap_or_default(), &meta));
    let holder = std::fs::read_to_string(&path).ok().and_then(|pid| pid.trim().parse::<u32>().ok()).filter(|_| held);
    match (status, holder) {
        (Some(status), Some(pid)) if status.pid == pid => Check::ok(LOCK, format!("held by the daemon (pid {pid})")),
        (Some(status), _) => {
            let detail = format!("the daemon that answers (pid {}) does not run on {shown}", status.pid);
            Check::warning(
                LOCK,
                detail,
                "set RENSEI_HOME to its state root, or use --port for the daemon that runs on this one",
            )
        }
        (None, Some(pid)) => {
            let fix = format!("pass --port if it listens elsewhere; see what it is: `ps -p {pid}`");
            Check::error(LOCK, format!("a daemon (pid {pid}) holds {shown}, but does not answer"), fix)
        }
        (None, None) => Check::ok(LOCK, format!("{shown} is free")),
    }
}

const LOCK: &str = "state lock";

/// Whether the kernel's list of locks has one on this file. Lines are `1: FLOCK ADVISORY WRITE <pid> <device>:<inode> …`.
fn is_held(locks: &str, meta: &Metadata) -> bool {
    let inode = format!(":{}", meta.ino());
    locks.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.any(|word| word == "FLOCK") && words.any(|word| word.ends_with(&inode))
    })
}

fn quoted(path: &Path) -> String {
    text::quoted(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;
    use std::fs::{File, Permissions};

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_others_can_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let found = || modes(dir.path(), &dir.path().metadata().unwrap());
        mode(dir.path(), 0o700);
        assert_eq!(found().status, Verdict::Ok);
        std::fs::write(dir.path().join("daemon.jwt"), "").unwrap();
        mode(&dir.path().join("daemon.jwt"), 0o644);
        assert!(found().detail.contains("daemon.jwt") && found().fix.unwrap().contains("chmod 600"));
        mode(dir.path(), 0o755);
        assert!(found().detail.contains("0755") && found().fix.unwrap().contains("chmod 700"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_lock_without_an_answer_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(lock(dir.path(), None).status, Verdict::Ok);
        let path = dir.path().join("daemon.lock");
        std::fs::write(&path, "4711\n").unwrap();
        assert_eq!(lock(dir.path(), None).status, Verdict::Ok, "left behind");
        let file = File::open(&path).unwrap();
        file.lock().unwrap();
        let found = lock(dir.path(), None);
        assert!(found.status == Verdict::Error && found.detail.contains("4711"), "{found:?}");
    }
}
