//! All checkouts of a host.

mod build;
mod filters;

use crate::git::{GitEnvironment, GitHints};
use crate::marker::Marker;
use crate::mirror::{Mirror, Start, Upstream, blocking};
use crate::names;
use crate::repository::Repository;
use crate::{WorkareaError, scratch};
use build::Plan;
use rensei_proto::SessionId;
use rensei_proto::control::Workarea;
use std::collections::HashMap;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What a session needs a checkout for.
#[derive(Debug, Clone, Default)]
pub struct AcquireRequest {
    /// Repository: URL, `owner/name` on github.com, or absolute path.
    pub repository: String,
    /// Branch, tag, full or shortened commit id, or full ref name; empty: what the remote's `HEAD` is.
    pub r#ref: String,
    /// Branch to create; empty: [`default_branch`](crate::default_branch).
    pub branch: String,
    /// How to access the repository.
    pub hints: GitHints,
}

/// Makes and removes checkouts. Copies share everything.
#[derive(Debug, Clone)]
pub struct WorkareaManager {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    git: GitEnvironment,
    repos: PathBuf,
    worktrees: PathBuf,
    mirrors: Mutex<HashMap<String, Arc<Mirror>>>,
}

impl WorkareaManager {
    /// Works below `state_root`, an absolute path. What an earlier process left unfinished there is deleted in the
    /// background.
    #[must_use]
    pub fn new(state_root: &Path, git: GitEnvironment) -> Self {
        let (repos, worktrees) = (state_root.join("repos"), state_root.join("worktrees"));
        let swept = [repos.clone(), worktrees.clone()];
        let sweeper = std::thread::Builder::new().name("workarea-sweep".to_owned());
        if let Err(error) = sweeper.spawn(move || swept.iter().for_each(|dir| scratch::sweep(dir))) {
            tracing::warn!(%error, "could not delete what an earlier run left");
        }
        Self { inner: Arc::new(Inner { git, repos, worktrees, mirrors: Mutex::default() }) }
    }

    /// The checkout of a session: the one that it has, or a new one.
    ///
    /// # Errors
    /// [`WorkareaError`]; nothing is left behind then.
    pub async fn acquire(&self, session: &SessionId, request: AcquireRequest) -> Result<Workarea, WorkareaError> {
        let begun = Instant::now();
        let repository = Repository::parse(&request.repository)?;
        names::check_reference(&request.r#ref)?;
        let branch = names::branch_or_default(&request.branch, session)?;
        let path = self.path(session);
        if let Some(marker) = self.existing(&path, &request).await? {
            return Ok(workarea(marker, &path, false, begun));
        }
        let upstream = Upstream { repository, hints: request.hints.clone() };
        let mirror = self.mirror(&upstream.repository)?;
        let (start, cold) = mirror.locate(&upstream, &request.r#ref).await?;
        let plan = Plan::new(session, &request, branch, start, &upstream.repository.url);
        let marker = self.build(&mirror, &upstream, plan, &path).await?;
        Ok(workarea(marker, &path, cold, begun))
    }

    /// Deletes the checkout of a session. One that does not exist is fine; a directory that was not made here is left
    /// alone and is an error.
    ///
    /// # Errors
    /// When the file system refuses.
    pub async fn release(&self, session: &SessionId) -> Result<(), WorkareaError> {
        let path = self.path(session);
        blocking(move || release(&path, scratch::remove)).await
    }

    /// The same at once, for start-up: the checkout is out of the way when this returns and deleted in the background.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn discard(&self, session: &SessionId) -> Result<(), WorkareaError> {
        release(&self.path(session), scratch::remove_later)
    }

    /// Sessions that have a checkout, sorted.
    ///
    /// # Errors
    /// When the directory cannot be read. That there is none is not an error.
    pub fn list(&self) -> io::Result<Vec<SessionId>> {
        let entries = match std::fs::read_dir(&self.inner.worktrees) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let ids = entries.flatten().filter_map(|entry| SessionId::parse(entry.file_name().to_str()?).ok());
        let mut found: Vec<SessionId> = ids.collect();
        found.sort();
        Ok(found)
    }

    /// Where the checkout of a session is or would be.
    #[must_use]
    pub fn path(&self, session: &SessionId) -> PathBuf {
        self.inner.worktrees.join(session.as_str())
    }

    async fn existing(&self, path: &Path, request: &AcquireRequest) -> Result<Option<Marker>, WorkareaError> {
        let (checkout, asked) = (path.to_owned(), request.repository.clone());
        blocking(move || {
            if std::fs::symlink_metadata(&checkout).is_err() {
                return Ok(None);
            }
            match Marker::read(&checkout) {
                Some(marker) if marker.repository == asked => Ok(Some(marker)),
                Some(_) | None => {
                    Err(WorkareaError::io("make a checkout in", &checkout, io::ErrorKind::AlreadyExists.into()))
                }
            }
        })
        .await
    }

    fn mirror(&self, repository: &Repository) -> Result<Arc<Mirror>, WorkareaError> {
        for dir in [&self.inner.repos, &self.inner.worktrees] {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(|error| WorkareaError::io("create", dir, error))?;
        }
        let name = repository.mirror_name();
        let mut mirrors = self.inner.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Mirror::new(self.inner.repos.join(&name), self.inner.git.clone()));
        Ok(Arc::clone(mirrors.entry(name.clone()).or_insert_with(make)))
    }

    /// Builds the checkout; when the mirror turns out to be damaged, once more from a new one.
    async fn build(
        &self,
        mirror: &Mirror,
        upstream: &Upstream,
        plan: Plan,
        path: &Path,
    ) -> Result<Marker, WorkareaError> {
        match self.build_once(mirror, &plan, path).await {
            Err(build::Failure { error, damaged: true }) => {
                tracing::warn!(mirror = %mirror.dir().display(), %error, "making a damaged mirror anew");
                mirror.rebuild(upstream).await?;
                self.build_once(mirror, &plan, path).await.map_err(|failure| failure.error)
            }
            result => result.map_err(|failure| failure.error),
        }
    }

    async fn build_once(&self, mirror: &Mirror, plan: &Plan, path: &Path) -> Result<Marker, build::Failure> {
        let (git, mirror, plan, path) =
            (self.inner.git.clone(), mirror.dir().to_owned(), plan.clone(), path.to_owned());
        blocking(move || plan.build(&git, &mirror, &path)).await
    }
}

fn release(path: &Path, remove: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), WorkareaError> {
    if std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    if !path.is_dir() || path.is_symlink() || Marker::read(path).is_none() {
        let not_ours = io::Error::new(io::ErrorKind::PermissionDenied, "it was not made for a session");
        return Err(WorkareaError::io("delete", path, not_ours));
    }
    remove(path).map_err(|error| WorkareaError::io("delete", path, error))?;
    Marker::forget(path);
    Ok(())
}

fn workarea(marker: Marker, path: &Path, cold: bool, begun: Instant) -> Workarea {
    Workarea {
        session_id: marker.session_id,
        path: path.display().to_string(),
        repository: marker.repository,
        r#ref: marker.r#ref,
        commit: marker.base_commit,
        branch: marker.branch,
        acquire_path: if cold { "cold" } else { "pool-fresh" }.to_owned(),
        duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

impl Plan {
    fn new(session: &SessionId, request: &AcquireRequest, branch: String, start: Start, url: &str) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let (base, base_branch) = match start {
            Start::Commit { id, branch } => (Some(id), branch),
            Start::Empty => (None, None),
        };
        let marker = Marker {
            version: 1,
            session_id: session.clone(),
            repository: request.repository.clone(),
            r#ref: request.r#ref.clone(),
            base_commit: base.map(|id| id.to_string()).unwrap_or_default(),
            base_branch,
            branch,
            created_at_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        };
        Self { marker, base, url: url.to_owned() }
    }
}
