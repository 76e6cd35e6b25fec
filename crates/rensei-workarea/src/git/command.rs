//! One bounded call of git.

use super::{GitEnvironment, GitHints};
use rensei_process::{End, ProcessGroup, ProcessIdentity, Signal, find_program, give_former_open_files};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::task::JoinHandle;

/// Name under which the remote is known to a call. Its URL travels in the environment, because arguments are visible
/// to every user of the machine.
pub(crate) const REMOTE: &str = "rensei";
/// Variable that carries the URL.
const URL_VARIABLE: &str = "RENSEI_GIT_URL";

/// Variables that carry the credentials of a session, and the helper that hands them to git.
const USER_VARIABLE: &str = "RENSEI_GIT_USERNAME";
const TOKEN_VARIABLE: &str = "RENSEI_GIT_TOKEN";
const TOKEN_HELPER: &str = "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' \"$RENSEI_GIT_USERNAME\" \
                            \"$RENSEI_GIT_TOKEN\"; }; f";

/// Most that is kept of each output stream; of a longer one the end.
const MAX_OUTPUT: usize = 256 << 10;
/// How long output may still arrive after git has ended: a credential daemon may keep the pipes open for ever.
const DRAIN: Duration = Duration::from_millis(500);
/// How long git may take to end when it is told to.
const GRACE: Duration = Duration::from_secs(2);

/// Nothing that a repository says may start a program, and nothing runs in the background.
const SETTINGS: [&str; 10] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "push.recurseSubmodules=no",
    "push.followTags=false",
    "fetch.writeCommitGraph=false",
];

/// A call of git on one repository.
pub(crate) struct GitCall<'a> {
    /// Which git.
    pub(crate) git: &'a GitEnvironment,
    /// How to access the remote.
    pub(crate) hints: &'a GitHints,
    /// Repository to work in.
    pub(crate) git_dir: &'a Path,
    /// URL of [`REMOTE`].
    pub(crate) url: &'a str,
}

/// Why a call brought nothing.
#[derive(Debug)]
pub(crate) enum GitFailure {
    /// It did not start.
    Start(io::Error),
    /// It took longer than this and was stopped.
    TimedOut(Duration),
    /// It failed.
    Exit {
        /// How it ended.
        end: End,
        /// What it wrote to stdout.
        stdout: Vec<u8>,
        /// What it wrote to stderr.
        stderr: Vec<u8>,
    },
}

impl fmt::Display for GitFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => write!(f, "git did not start: {error}"),
            Self::TimedOut(limit) => write!(f, "git took longer than {limit:?}"),
            Self::Exit { end, .. } => write!(f, "git ended with {end}"),
        }
    }
}

impl GitCall<'_> {
    /// Runs git with these arguments; the answer is its stdout. `on_start` learns which process it is.
    pub(crate) async fn run<S: AsRef<OsStr>>(
        &self,
        args: &[S],
        on_start: impl FnOnce(&ProcessIdentity) + Send,
    ) -> Result<Vec<u8>, GitFailure> {
        let mut child = self.command(args).and_then(|mut command| command.spawn()).map_err(GitFailure::Start)?;
        let pid = child.id().ok_or_else(|| GitFailure::Start(io::Error::other("git has no pid")))?;
        give_former_open_files(pid);
        // Declared after the child, so that it acts while the pid is still git's.
        let mut leash = Leash(Some(ProcessGroup::of_leader(pid)));
        if let Ok(identity) = ProcessIdentity::of(pid) {
            on_start(&identity);
        }
        let (stdout, stderr) = (Sink::of(child.stdout.take()), Sink::of(child.stderr.take()));
        let Ok(ended) = tokio::time::timeout(self.git.time_limit, child.wait()).await else {
            ProcessGroup::of_leader(pid).stop(GRACE).await;
            return Err(GitFailure::TimedOut(self.git.time_limit));
        };
        leash.0 = None;
        let end = End::from(ended.map_err(GitFailure::Start)?);
        let (stdout, stderr) = tokio::join!(stdout.finish(), stderr.finish());
        if end.success() { Ok(stdout) } else { Err(GitFailure::Exit { end, stdout, stderr }) }
    }

    fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> io::Result<Command> {
        let mut env = self.git.composed(self.hints);
        env.insert(URL_VARIABLE.into(), self.url.into());
        let token = self.hints.token_for(self.url);
        if let Some((_, token)) = &token {
            env.insert(USER_VARIABLE.into(), token.user().into());
            env.insert(TOKEN_VARIABLE.into(), token.token.expose().into());
        }
        let program = find_program(&self.git.program, env.get(OsStr::new("PATH")).map(OsString::as_os_str))?;
        let mut command = Command::new(program);
        command.env_clear().envs(env).current_dir(self.git_dir).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.arg(format!("--config-env=remote.{REMOTE}.url={URL_VARIABLE}"));
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        if let Some(helper) = &self.hints.credential_helper {
            command.arg("-c").arg(format!("credential.helper={helper}"));
        }
        if let Some((origin, _)) = &token {
            // The empty one forgets everybody else's helpers for this host.
            command.arg("-c").arg(format!("credential.{origin}.helper="));
            command.arg("-c").arg(format!("credential.{origin}.helper={TOKEN_HELPER}"));
        }
        command.arg("--git-dir").arg(self.git_dir).args(args);
        Ok(command)
    }
}

/// Kills git and its helpers when the call is abandoned.
struct Leash(Option<ProcessGroup>);

impl Drop for Leash {
    fn drop(&mut self) {
        if let Some(group) = self.0.take()
            && let Err(error) = group.signal(Signal::Kill)
        {
            tracing::warn!(%error, "could not stop an abandoned git");
        }
    }
}

/// Collects the end of a stream, without ever letting the writer wait.
struct Sink {
    kept: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Sink {
    fn of(stream: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let target = Arc::clone(&kept);
        let reader = tokio::spawn(async move {
            let Some(mut stream) = stream else { return };
            let mut chunk = vec![0; 8192];
            // A read error ends the stream like its end does.
            while let Ok(count @ 1..) = stream.read(&mut chunk).await {
                let mut kept = target.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&chunk[..count]);
                if kept.len() > 2 * MAX_OUTPUT {
                    let excess = kept.len() - MAX_OUTPUT;
                    kept.drain(..excess);
                }
            }
        });
        Self { kept, reader }
    }

    async fn finish(mut self) -> Vec<u8> {
        if tokio::time::timeout(DRAIN, &mut self.reader).await.is_err() {
            self.reader.abort();
        }
        std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
