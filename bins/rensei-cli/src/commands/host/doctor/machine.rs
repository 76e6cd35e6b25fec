//! What the machine has to offer.

use super::check::Check;
use crate::env::Environment;
use crate::output::text;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Time for git to say its version.
const ANSWER: Duration = Duration::from_secs(5);

/// Repositories are fetched and pushed by the git that is there, and by libgit2 where there is none.
pub(super) async fn git(env: &Environment) -> Check {
    let mut command = Command::new("git");
    command.arg("--version").env_clear().envs(env.strings()).stdin(Stdio::null()).kill_on_drop(true);
    let fix = "install git, and put it on the PATH that the daemon is started with";
    match tokio::time::timeout(ANSWER, command.output()).await {
        Ok(Ok(answer)) if answer.status.success() => Check::ok("git", String::from_utf8_lossy(&answer.stdout).trim()),
        Ok(Ok(answer)) => Check::error("git", format!("git does not work: {}", answer.status), fix),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            let without = "no git executable: libgit2 fetches and pushes, without ssh and credential helpers";
            Check::warning("git", without, fix)
        }
        Ok(Err(error)) => Check::error("git", format!("git cannot be run: {error}"), fix),
        Err(_) => Check::error("git", "git does not answer", fix),
    }
}

/// Space and files of the file system with the state root.
pub(super) fn disk(root: &Path) -> Vec<Check> {
    // Before the first start there is a parent at most.
    let Some(place) = root.ancestors().find(|path| path.exists()) else { return Vec::new() };
    let Ok(stat) = rustix::fs::statvfs(place) else { return Vec::new() };
    let free = format!("{:.1} GiB free", (stat.f_bavail as f64) * (stat.f_frsize as f64) / f64::from(1 << 30));
    let mut checks = vec![share("disk", place, stat.f_bavail, stat.f_blocks, &free)];
    // Some file systems do not count files.
    if stat.f_files > 0 {
        let free = format!("{} more files possible", stat.f_favail);
        checks.push(share("inodes", place, stat.f_favail, stat.f_files, &free));
    }
    checks
}

/// Shares in use at which it is worth a word, and at which a host takes no new work.
const WARN: u64 = 80;
const FULL: u64 = 90;

fn share(name: &'static str, place: &Path, available: u64, total: u64, free: &str) -> Check {
    let used = total.saturating_sub(available).saturating_mul(100) / total.max(1);
    let detail = format!("{used} % in use at {}, {free}", place.display());
    let fix = format!("make room; see what takes it: `du -xsh {}/*`", text::quoted(&place.to_string_lossy()));
    match used {
        FULL.. => Check::error(name, detail, fix),
        WARN.. => Check::warning(name, detail, fix),
        _ => Check::ok(name, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn shares_are_judged_by_what_is_left() {
        let status = |available| share("disk", Path::new("/"), available, 1000, "x").status;
        assert_eq!([1000, 201, 200, 101, 100, 0].map(status), {
            use Verdict::{Error, Ok, Warning};
            [Ok, Ok, Warning, Warning, Error, Error]
        });
        assert_eq!(share("disk", Path::new("/"), 0, 0, "x").status, Verdict::Ok);
        assert!(!disk(Path::new("/nowhere/at/all")).is_empty());
    }

    #[tokio::test]
    async fn a_missing_git_is_worth_a_word() {
        let found = git(&Environment::from([("PATH", "/nowhere")])).await;
        assert!(found.status == Verdict::Warning && found.fix.is_some(), "{found:?}");
    }
}
