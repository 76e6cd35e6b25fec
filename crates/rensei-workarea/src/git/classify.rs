//! What git's messages (in the C locale) mean.

use super::{GitFailure, readable};
use crate::{WorkareaError, WorkareaErrorKind as Kind};
use rensei_process::End;

/// Words and what they stand for; the first match counts, so the more telling ones come first.
const SIGNS: [(&str, Kind); 46] = [
    ("No space left on device", Kind::DiskFull),
    ("Disk quota exceeded", Kind::DiskFull),
    ("dubious ownership", Kind::Denied),
    ("Authentication failed", Kind::Denied),
    ("could not read Username", Kind::Denied),
    ("could not read Password", Kind::Denied),
    ("terminal prompts disabled", Kind::Denied),
    ("Permission denied (", Kind::Denied),
    ("Host key verification failed", Kind::Denied),
    ("returned error: 401", Kind::Denied),
    ("returned error: 403", Kind::Denied),
    ("Access denied", Kind::Denied),
    ("access denied", Kind::Denied),
    ("denied to", Kind::Denied),
    ("Too many authentication failures", Kind::Denied),
    ("Could not resolve host", Kind::Unreachable),
    ("Could not resolve proxy", Kind::Unreachable),
    ("Name or service not known", Kind::Unreachable),
    ("Temporary failure in name resolution", Kind::Unreachable),
    ("unable to look up", Kind::Unreachable),
    ("Connection refused", Kind::Unreachable),
    ("Connection timed out", Kind::Unreachable),
    ("Operation timed out", Kind::Unreachable),
    ("Connection reset", Kind::Unreachable),
    ("Connection closed by", Kind::Unreachable),
    ("Failed to connect", Kind::Unreachable),
    ("Couldn't connect", Kind::Unreachable),
    ("Could not connect", Kind::Unreachable),
    ("No route to host", Kind::Unreachable),
    ("Network is unreachable", Kind::Unreachable),
    ("SSL ", Kind::Unreachable),
    ("certificate verification failed", Kind::Unreachable),
    ("TLS ", Kind::Unreachable),
    ("returned error: 429", Kind::Unreachable),
    ("returned error: 5", Kind::Unreachable),
    ("does not appear to be a git repository", Kind::NotARepository),
    ("not a git repository", Kind::NotARepository),
    ("is this a git repository?", Kind::NotARepository),
    ("Repository not found", Kind::NotARepository),
    ("repository not found", Kind::NotARepository),
    ("' not found", Kind::NotARepository),
    ("returned error: 404", Kind::NotARepository),
    ("project you were looking for could not be found", Kind::NotARepository),
    ("hung up unexpectedly", Kind::Unreachable),
    ("early EOF", Kind::Unreachable),
    ("unexpected disconnect", Kind::Unreachable),
];

/// Signs of a damaged local repository. The remote may use the same words about itself: then making the local one
/// anew fails the same way, and that is the end of it.
const DAMAGE: [&str; 14] = [
    "bad object",
    "is corrupt",
    "is empty",
    "corrupted",
    "missing blob",
    "missing tree",
    "missing commit",
    "unable to read tree",
    "unable to read sha1",
    "unable to parse",
    "packfile",
    "did not send all necessary objects",
    "unresolved deltas",
    "bad config",
];

/// The error that a failed call stands for.
pub(crate) fn classify(operation: &str, repository: &str, failure: &GitFailure) -> WorkareaError {
    let repository = repository.to_owned();
    let operation = format!("{operation} `{repository}`");
    let stderr = match failure {
        GitFailure::Start(error) => {
            return WorkareaError::Git { operation, detail: readable(error.to_string().as_bytes()) };
        }
        GitFailure::TimedOut(limit) => {
            let detail = format!("git was stopped after {} seconds", limit.as_secs_f32());
            return WorkareaError::Unreachable { repository, detail };
        }
        GitFailure::Exit { stderr, .. } => stderr,
    };
    let text = String::from_utf8_lossy(stderr);
    // Git says a lot after it, so that the name would be cut off.
    let detail = match lock_in(&text).map_or_else(|| readable(stderr), |locked| readable(locked.as_bytes())) {
        said if said.is_empty() => failure.to_string(),
        said => said,
    };
    match SIGNS.iter().find(|(sign, _)| text.contains(sign)).map(|(_, kind)| kind) {
        Some(Kind::DiskFull) => WorkareaError::DiskFull { detail },
        Some(Kind::Denied) => WorkareaError::Denied { repository, detail },
        Some(Kind::Unreachable) => WorkareaError::Unreachable { repository, detail },
        Some(Kind::NotARepository) => WorkareaError::NotARepository { repository, detail },
        _ => WorkareaError::Git { operation, detail },
    }
}

/// What git says of a lock that it could not get.
fn lock_in(stderr: &str) -> Option<&str> {
    stderr
        .lines()
        .find_map(|line| Some(&line[line.find("Unable to create '")?..]))
        .filter(|said| said.contains(".lock'"))
}

impl GitFailure {
    /// Whether a lock was in the way, or somebody who did not know of ours.
    pub(crate) fn met_lock(&self) -> bool {
        let Self::Exit { stderr, .. } = self else { return false };
        let text = String::from_utf8_lossy(stderr);
        // A git that outlived its host before the host had noted which one it is.
        let was_overtaken =
            || text.lines().any(|line| line.contains("cannot lock ref") && line.contains("but expected"));
        lock_in(&text).is_some() || was_overtaken()
    }

    /// Whether there may be locks that nobody is going to remove: a git that is killed cannot.
    pub(crate) fn may_leave_locks(&self) -> bool {
        match self {
            Self::Start(_) => false,
            Self::TimedOut(_) | Self::Exit { end: End::Signaled(_), .. } => true,
            Self::Exit { end: End::Exited(_), .. } => self.met_lock(),
        }
    }

    /// Whether the local repository may be damaged.
    pub(crate) fn is_damage(&self, git_dir: &str) -> bool {
        let Self::Exit { stderr, .. } = self else { return false };
        let text = String::from_utf8_lossy(stderr);
        let local = text.contains("not a git repository") && text.contains(git_dir);
        local || DAMAGE.iter().any(|sign| text.contains(sign))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(stderr: &str) -> Kind {
        let failure =
            GitFailure::Exit { end: End::Exited(128), stdout: Vec::new(), stderr: stderr.as_bytes().to_vec() };
        classify("fetch", "r", &failure).kind()
    }

    #[test]
    fn real_messages() {
        for (stderr, expected) in [
            (
                "fatal: '/x' does not appear to be a git repository\nfatal: Could not read from remote repository.",
                Kind::NotARepository,
            ),
            (
                "remote: Repository not found.\nfatal: repository 'https://github.com/a/b/' not found",
                Kind::NotARepository,
            ),
            ("fatal: unable to access 'https://h/': Could not resolve host: h", Kind::Unreachable),
            (
                "ssh: connect to host h port 22: Connection refused\nfatal: Could not read from remote repository.",
                Kind::Unreachable,
            ),
            ("fatal: unable to access 'http://127.0.0.1:1/': Failed to connect to 127.0.0.1 port 1", Kind::Unreachable),
            (
                "fatal: unable to access 'https://h/': server certificate verification failed. CAfile: none",
                Kind::Unreachable,
            ),
            ("fatal: could not read Username for 'https://github.com': terminal prompts disabled", Kind::Denied),
            ("git@github.com: Permission denied (publickey).", Kind::Denied),
            ("fatal: unable to access 'https://h/': The requested URL returned error: 403", Kind::Denied),
            ("fatal: unable to access 'https://h/': The requested URL returned error: 503", Kind::Unreachable),
            ("fatal: write error: No space left on device", Kind::DiskFull),
            ("fatal: something new", Kind::Git),
            ("", Kind::Git),
        ] {
            assert_eq!(kind(stderr), expected, "{stderr}");
        }
    }

    #[test]
    fn a_lock_is_named_with_what_to_do() {
        let stderr = "error: cannot lock ref 'refs/heads/x': Unable to create '/m/refs/heads/x.lock': File exists.\n\n\
                      Another git process seems to be running in this repository, e.g.\nan editor opened by 'git commit'. \
                      Please make sure all processes\nare terminated then try again. If it still fails, a git process\n\
                      may have crashed in this repository earlier:\nremove the file manually to continue.\n";
        let failure = |end| GitFailure::Exit { end, stdout: Vec::new(), stderr: stderr.as_bytes().to_vec() };
        let error = classify("fetch", "r", &failure(End::Exited(1)));
        assert!(error.to_string().ends_with("Unable to create '/m/refs/heads/x.lock': File exists."), "{error}");
        assert!(error.hint().unwrap().contains("delete"), "{error:?}");
        assert!(failure(End::Exited(1)).met_lock() && failure(End::Exited(1)).may_leave_locks());
        let other = |end| GitFailure::Exit { end, stdout: Vec::new(), stderr: b"fatal: no".to_vec() };
        assert!(other(End::Signaled(9)).may_leave_locks() && !other(End::Exited(1)).may_leave_locks());
    }
}
