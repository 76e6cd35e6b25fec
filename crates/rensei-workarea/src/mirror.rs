//! Bare copies of remotes that checkouts borrow objects from.

mod gate;
mod lock;
mod resolve;

pub(crate) use resolve::{Start, is_full_id};

use crate::git::{GitCall, GitEnvironment, GitFailure, GitHints, REMOTE, classify};
use crate::repository::Repository;
use crate::{WorkareaError, local, names, pool, scratch};
use gate::Gate;
use lock::MirrorLock;
use resolve::RemoteHead;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Everything that a session can start from.
const REFSPECS: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
/// How a fetch runs. Refs that are gone at the remote go here, too; objects never do, as checkouts borrow them.
const FETCH: [&str; 10] = [
    "fetch",
    "--quiet",
    "--no-auto-maintenance",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--no-tags",
    "--force",
    "--update-shallow",
    "--prune",
    "--",
];
/// Percentage of a disk from which a write that failed without a reason failed because of it.
const NEARLY_FULL: u8 = 90;
/// Most branches that a missing ref is compared with.
const MAX_COMPARED: usize = 2000;

/// Where a call comes from and how it gets through.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    pub(crate) repository: Repository,
    pub(crate) hints: GitHints,
}

/// One mirror. All copies of a handle on it share its fetches.
#[derive(Debug)]
pub(crate) struct Mirror {
    dir: PathBuf,
    git: GitEnvironment,
    fetches: Gate<Result<bool, WorkareaError>>,
    heads: Gate<Result<RemoteHead, WorkareaError>>,
}

impl Mirror {
    pub(crate) fn new(dir: PathBuf, git: GitEnvironment) -> Self {
        Self { dir, git, fetches: Gate::default(), heads: Gate::default() }
    }

    /// Directory of the objects, for borrowers.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a session that asked for `wanted` starts, as the remote has it now; and whether the mirror had to be made.
    pub(crate) async fn locate(
        self: &Arc<Self>,
        upstream: &Upstream,
        wanted: &str,
    ) -> Result<(Start, bool), WorkareaError> {
        // A commit never changes: having it is enough.
        if is_full_id(wanted)
            && let Ok(Some(start)) = self.resolve(wanted, None).await
        {
            return Ok((start, false));
        }
        let (made, head) = if wanted.is_empty() {
            let (made, head) = tokio::join!(self.refresh(upstream), self.remote_head(upstream));
            // The fetch knows best what is wrong with the remote.
            (made?, Some(head?))
        } else {
            (self.refresh(upstream).await?, None)
        };
        if let Some(start) = self.resolve(wanted, head.clone()).await? {
            return Ok((start, made));
        }
        self.fetch_one(upstream, wanted, head.as_ref()).await?;
        let found = self.resolve(wanted, head).await?;
        match found {
            Some(start) => Ok((start, made)),
            None => Err(self.missing(upstream, wanted).await),
        }
    }

    /// Makes the mirror anew, because something in it is damaged.
    pub(crate) async fn rebuild(&self, upstream: &Upstream) -> Result<(), WorkareaError> {
        let lock = self.lock().await?;
        self.create(upstream, &lock).await
    }

    /// Brings the mirror up to date, with one fetch for all who ask before it starts; whether it had to be made.
    async fn refresh(self: &Arc<Self>, upstream: &Upstream) -> Result<bool, WorkareaError> {
        let (mirror, upstream) = (Arc::clone(self), upstream.clone());
        let fetch = async move {
            let lock = mirror.lock().await?;
            mirror.refresh_locked(&upstream, &lock).await
        };
        self.fetches.run(fetch).await.unwrap_or_else(|| Err(abandoned()))
    }

    async fn refresh_locked(&self, upstream: &Upstream, lock: &MirrorLock) -> Result<bool, WorkareaError> {
        if !self.dir.is_dir() {
            self.create(upstream, lock).await?;
            return Ok(true);
        }
        let opens = local::open_bare(&self.dir, &self.git).is_ok();
        match self.fetch(&self.dir, upstream, &REFSPECS, lock).await {
            Ok(()) if opens => return Ok(false),
            Err(failure) if opens && !failure.is_damage(&self.dir.display().to_string()) => {
                return Err(self.failed("fetch", upstream, &failure));
            }
            Ok(()) => {}
            Err(failure) => tracing::warn!(mirror = %self.dir.display(), %failure, "making a damaged mirror anew"),
        }
        self.create(upstream, lock).await?;
        Ok(true)
    }

    /// Clones beside the mirror and then takes its place, so that a half-made mirror is never mistaken for one.
    async fn create(&self, upstream: &Upstream, lock: &MirrorLock) -> Result<(), WorkareaError> {
        let building = scratch::building(self.dir.parent().unwrap_or(Path::new("/")));
        let result = self.create_in(&building, upstream, lock).await;
        if result.is_err() {
            blocking(move || scratch::remove(&building)).await.ok();
        }
        result
    }

    async fn create_in(&self, building: &Path, upstream: &Upstream, lock: &MirrorLock) -> Result<(), WorkareaError> {
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).no_reinit(true).external_template(false).mkpath(true);
        git2::Repository::init_opts(building, &options)
            .map_err(|error| WorkareaError::local("make a mirror", &error))?;
        let fetched = self.fetch(building, upstream, &REFSPECS, lock).await;
        fetched.map_err(|failure| self.failed("clone", upstream, &failure))?;
        let (building, dir) = (building.to_owned(), self.dir.clone());
        blocking(move || {
            scratch::remove(&dir)
                .and_then(|()| std::fs::rename(&building, &dir))
                .map_err(|error| WorkareaError::io("put in place", &dir, error))
        })
        .await
    }

    async fn fetch(
        &self,
        git_dir: &Path,
        upstream: &Upstream,
        refspecs: &[&str],
        lock: &MirrorLock,
    ) -> Result<(), GitFailure> {
        let call = self.call(git_dir, upstream);
        let args: Vec<&str> = FETCH.iter().chain(&[REMOTE]).chain(refspecs).copied().collect();
        let result = call.run(&args, |process| lock.note(process)).await;
        lock.clear();
        result.map(drop)
    }

    /// Fetches what no branch or tag leads to: a commit, a pull request's ref. That it fails is no error of its own.
    async fn fetch_one(
        &self,
        upstream: &Upstream,
        wanted: &str,
        head: Option<&RemoteHead>,
    ) -> Result<(), WorkareaError> {
        let detached = match head {
            Some(RemoteHead::Detached(id)) => Some(id.to_string()),
            _ => None,
        };
        let source = detached.as_deref().unwrap_or(wanted);
        if !is_full_id(source) && !source.starts_with("refs/") {
            return Ok(());
        }
        let lock = self.lock().await?;
        let refspec = format!("+{source}:{}", resolve::pin(source));
        match self.fetch(&self.dir, upstream, &[&refspec], &lock).await {
            Ok(()) | Err(GitFailure::Exit { .. }) => Ok(()),
            Err(failure) => Err(self.failed("fetch", upstream, &failure)),
        }
    }

    async fn remote_head(self: &Arc<Self>, upstream: &Upstream) -> Result<RemoteHead, WorkareaError> {
        let (mirror, upstream) = (Arc::clone(self), upstream.clone());
        let ask = async move {
            // The mirror itself may be in the making; any directory will do.
            let dir = mirror.dir.parent().unwrap_or(Path::new("/")).to_owned();
            let call = mirror.call(&dir, &upstream);
            let answer = call.run(&["ls-remote", "--symref", "--", REMOTE, "HEAD"], |_| ()).await;
            answer
                .map(|listing| RemoteHead::parse(&String::from_utf8_lossy(&listing)))
                .map_err(|failure| classify("list", &upstream.repository.shown, &failure))
        };
        self.heads.run(ask).await.unwrap_or_else(|| Err(abandoned()))
    }

    fn call<'a>(&'a self, git_dir: &'a Path, upstream: &'a Upstream) -> GitCall<'a> {
        GitCall { git: &self.git, hints: &upstream.hints, git_dir, url: &upstream.repository.url }
    }

    /// What a failed call stands for. Git does not always say that it was the disk.
    fn failed(&self, operation: &str, upstream: &Upstream, failure: &GitFailure) -> WorkareaError {
        let error = classify(operation, &upstream.repository.shown, failure);
        let nearly_full = || pool::pressure(&self.dir).is_ok_and(|pressure| pressure.reaches(NEARLY_FULL));
        match error {
            WorkareaError::Git { detail, .. } if detail.contains("write") && nearly_full() => {
                WorkareaError::DiskFull { detail }
            }
            error => error,
        }
    }

    async fn lock(&self) -> Result<MirrorLock, WorkareaError> {
        MirrorLock::acquire(&self.dir, self.git.time_limit).await
    }

    async fn resolve(&self, wanted: &str, head: Option<RemoteHead>) -> Result<Option<Start>, WorkareaError> {
        let (dir, git, wanted) = (self.dir.clone(), self.git.clone(), wanted.to_owned());
        blocking(move || {
            let opened = local::open_bare(&dir, &git);
            let repository = opened.map_err(|error| WorkareaError::local("open the mirror", &error))?;
            resolve::resolve(&repository, &wanted, head.as_ref())
        })
        .await
    }

    async fn missing(&self, upstream: &Upstream, wanted: &str) -> WorkareaError {
        let (dir, git, name) = (self.dir.clone(), self.git.clone(), wanted.to_owned());
        let similar = blocking(move || match local::open_bare(&dir, &git) {
            Ok(repository) => names::most_similar(&name, resolve::branches(&repository).take(MAX_COMPARED), 5),
            Err(_) => Vec::new(),
        });
        let reference = if wanted.is_empty() { "HEAD" } else { wanted }.to_owned();
        WorkareaError::MissingRef { repository: upstream.repository.shown.clone(), reference, similar: similar.await }
    }
}

/// Runs something that blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down and will not poll us again.
            Err(_) => std::future::pending().await,
        },
    }
}

fn abandoned() -> WorkareaError {
    WorkareaError::Git { operation: "fetch".to_owned(), detail: "the host is shutting down".to_owned() }
}
