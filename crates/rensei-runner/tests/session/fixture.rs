//! One session to be run, in directories of its own.

use crate::plane::Plane;
use rensei_proto::control::Workarea;
use rensei_proto::outcome::{OUTCOME_FILE, Outcome};
use rensei_proto::{ResolvedProfile, Secret, SessionDetail, SessionId};
use rensei_runner::{Finished, RunOptions};
use rensei_workarea::{AcquireRequest, GitEnvironment, WorkareaManager};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Session ids are markers of processes, and tests may share a process.
fn fresh_id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("session-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) struct Fixture {
    dir: tempfile::TempDir,
    pub(crate) plane: Plane,
    pub(crate) id: String,
    pub(crate) base: String,
    work: PathBuf,
}

/// A session that runs.
pub(crate) struct Running {
    worker: JoinHandle<Finished>,
    shutdown: oneshot::Sender<()>,
}

impl Running {
    pub(crate) async fn end(self) -> Finished {
        // Kept until here: a dropped sender would resolve the worker's shutdown future.
        let Self { worker, shutdown } = self;
        let finished = worker.await.unwrap();
        drop(shutdown);
        finished
    }

    pub(crate) async fn shut_down(self) -> Finished {
        self.shutdown.send(()).unwrap();
        self.worker.await.unwrap()
    }
}

impl Fixture {
    /// A session of `provider`, configured with `config`, on a repository with one commit.
    pub(crate) async fn new(provider: &str, config: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let id = fresh_id();
        let origin = make_repository(dir.path());
        let mut detail = SessionDetail::new(SessionId::parse(&id).unwrap());
        detail.repository = origin.display().to_string();
        detail.resolved_profile = Some(ResolvedProfile {
            provider: provider.to_owned(),
            provider_config: config.as_object().cloned().unwrap_or_default(),
            ..ResolvedProfile::default()
        });
        detail.worker_id = "wkr_1".to_owned();
        detail.auth_token = Some(Secret::from("token-1"));
        detail.attempt = Some(3);
        let workarea = make_workarea(dir.path(), &detail).await;
        let (base, work) = (workarea.commit.clone(), PathBuf::from(&workarea.path));
        std::fs::create_dir(dir.path().join("session")).unwrap();
        let plane = Plane::start(detail, Ok(workarea)).await;
        plane.edit(|script| script.detail.platform_url = plane.url.clone());
        Self { dir, plane, id, base, work }
    }

    /// A session of the `shell` runtime.
    pub(crate) async fn shell(command: &str) -> Self {
        Self::new("shell", json!({ "command": command })).await
    }

    /// Changes the session's detail.
    pub(crate) fn with(self, edit: impl FnOnce(&mut SessionDetail)) -> Self {
        self.plane.edit(|script| edit(&mut script.detail));
        self
    }

    pub(crate) fn options(&self) -> RunOptions {
        let env = [
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", self.dir.path().display().to_string()),
            ("RENSEI_SECRET_TOKEN", "hidden".to_owned()),
            ("RENSEI_SESSION_DIR", self.session_dir().display().to_string()),
        ];
        RunOptions {
            session_id: self.id.clone(),
            daemon_url: self.plane.url.clone(),
            session_dir: None,
            env: env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>(),
            raw_output: Some(std::fs::File::create(self.raw_output()).unwrap()),
        }
    }

    pub(crate) fn start(&self) -> Running {
        let (shutdown, asked) = oneshot::channel::<()>();
        let options = self.options();
        let worker = tokio::spawn(rensei_runner::run(options, async move {
            let _asked = asked.await;
        }));
        Running { worker, shutdown }
    }

    /// Runs the session to its end.
    pub(crate) async fn run(&self) -> (Finished, Outcome) {
        let finished = self.start().end().await;
        let outcome = finished.outcome.clone().unwrap();
        (finished, outcome)
    }

    pub(crate) fn session_dir(&self) -> PathBuf {
        self.dir.path().join("session")
    }

    pub(crate) fn raw_output(&self) -> PathBuf {
        self.dir.path().join("raw.log")
    }

    pub(crate) fn workarea(&self) -> PathBuf {
        self.work.clone()
    }

    /// What the worker left for the daemon.
    pub(crate) fn outcome_file(&self) -> Outcome {
        let text = std::fs::read(self.session_dir().join(OUTCOME_FILE)).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Commit of the session's branch on the remote.
    pub(crate) fn pushed(&self) -> Option<String> {
        let branch = format!("refs/heads/agent/{}", self.id);
        let shown = git(&self.dir.path().join("origin.git"), &["for-each-ref", "--format=%(objectname)", &branch]);
        Some(shown).filter(|commit| !commit.is_empty())
    }

    /// Output of a git command on the remote.
    pub(crate) fn on_remote(&self, args: &[&str]) -> String {
        git(&self.dir.path().join("origin.git"), args)
    }
}

/// Makes a remote with one commit.
fn make_repository(dir: &Path) -> PathBuf {
    let origin = dir.join("origin.git");
    git(dir, &["init", "--quiet", "--bare", "--initial-branch=main", "origin.git"]);
    git(dir, &["clone", "--quiet", &origin.display().to_string(), "seed"]);
    let seed = dir.join("seed");
    std::fs::write(seed.join("README.md"), "hello\n").unwrap();
    git(&seed, &["add", "."]);
    git(&seed, &["commit", "--quiet", "-m", "first"]);
    git(&seed, &["push", "--quiet", "origin", "HEAD:main"]);
    origin
}

/// What a daemon does when its worker asks for a workarea.
async fn make_workarea(dir: &Path, detail: &SessionDetail) -> Workarea {
    let env = [("PATH", std::env::var_os("PATH").unwrap()), ("HOME", dir.into())];
    let git = GitEnvironment::new(env.into_iter().map(|(name, value)| (name.into(), value)).collect());
    let request = AcquireRequest { repository: detail.repository.clone(), ..AcquireRequest::default() };
    WorkareaManager::new(&dir.join("state"), git).acquire(&detail.session_id, request).await.unwrap()
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
