//! A home, a state root and a remote of their own for every test.

use rensei_proto::SessionId;
use rensei_proto::control::Workarea;
use rensei_workarea::{AcquireRequest, Checkout, CommitMessage, GitEnvironment, WorkareaError, WorkareaManager};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) fn id(text: &str) -> SessionId {
    SessionId::parse(text).unwrap()
}

pub(crate) fn message(subject: &str) -> CommitMessage {
    CommitMessage { subject: subject.into(), ..CommitMessage::default() }
}

impl Fixture {
    /// With a repository `remote ü` that has two commits on `main`, a branch, two tags.
    pub(crate) fn new() -> Self {
        let fixture = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(fixture.dir.path().join("home")).unwrap();
        let remote = fixture.remote();
        fixture.git(fixture.dir.path(), &["init", "-q", "-b", "main", remote.to_str().unwrap()]);
        fixture.commit("README.md", "one\n", "first");
        fixture.git(&remote, &["tag", "light"]);
        fixture.git(&remote, &["tag", "-a", "-m", "annotated", "v1"]);
        fixture.git(&remote, &["branch", "feature/login"]);
        fixture.commit("src/lib.rs", "two\n", "second");
        fixture
    }

    pub(crate) fn remote(&self) -> PathBuf {
        self.dir.path().join("remote ü")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state root")
    }

    /// Commits a file to the branch that the remote has checked out.
    pub(crate) fn commit(&self, name: &str, content: &str, subject: &str) -> String {
        let path = self.remote().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self.git(&self.remote(), &["add", "-A"]);
        self.git(&self.remote(), &["commit", "-q", "-m", subject]);
        self.git(&self.remote(), &["rev-parse", "HEAD"])
    }

    pub(crate) fn env(&self) -> GitEnvironment {
        let config = self.dir.path().join("gitconfig");
        let variables: [(&str, OsString); 4] = [
            ("PATH", std::env::var_os("PATH").unwrap()),
            ("HOME", self.dir.path().join("home").into()),
            ("GIT_CONFIG_GLOBAL", config.into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
        ];
        let env = variables.into_iter().map(|(name, value)| (name.into(), value)).collect::<BTreeMap<_, _>>();
        GitEnvironment { program: crate::PROGRAM.into(), ..GitEnvironment::new(env) }
    }

    pub(crate) fn git(&self, dir: &Path, args: &[&str]) -> String {
        let output = self.try_git(dir, args);
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn try_git(&self, dir: &Path, args: &[&str]) -> std::process::Output {
        let identity =
            ["-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "protocol.file.allow=always"];
        Command::new("git")
            .env_clear()
            .envs(self.env().env)
            .current_dir(dir)
            .args(identity)
            .args(args)
            .output()
            .unwrap()
    }

    pub(crate) fn manager(&self) -> WorkareaManager {
        WorkareaManager::new(&self.state(), self.env())
    }

    pub(crate) fn request(&self, reference: &str) -> AcquireRequest {
        AcquireRequest {
            repository: self.remote().to_str().unwrap().into(),
            r#ref: reference.into(),
            ..AcquireRequest::default()
        }
    }

    pub(crate) async fn acquire(&self, session: &str, reference: &str) -> Result<Workarea, WorkareaError> {
        self.manager().acquire(&id(session), self.request(reference)).await
    }

    /// A checkout of `main`.
    pub(crate) async fn checkout(&self, session: &str) -> (PathBuf, Checkout, Workarea) {
        let workarea = self.acquire(session, "").await.unwrap();
        let path = PathBuf::from(&workarea.path);
        (path.clone(), Checkout::open(&path, self.env()).unwrap(), workarea)
    }

    pub(crate) fn mirror(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.state().join("repos")).unwrap().map(|entry| entry.unwrap().path());
        let mut mirrors: Vec<_> = entries.filter(|path| path.is_dir()).collect();
        assert_eq!(mirrors.len(), 1, "{mirrors:?}");
        mirrors.remove(0)
    }

    /// Files of a state directory that are neither finished nor locks.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let dirs = ["repos", "worktrees"].map(|name| self.state().join(name));
        let entries =
            dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().map(|entry| entry.unwrap().path());
        let unfinished = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with('.') && name != ".owned"
        };
        entries.filter(unfinished).collect()
    }
}
