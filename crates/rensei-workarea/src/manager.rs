//! All checkouts of a host.

mod ahead;
mod aside;
mod background;
mod borrow;
mod build;
mod chore;
mod mirrors;
mod obtain;
mod request;
mod room;

pub use request::{AcquireRequest, CloneStrategy, ReleaseMode};

use crate::WorkareaError;
use crate::archive::restored_beside;
use crate::blocking::blocking;
use crate::files::Keep;
use crate::git::GitEnvironment;
use crate::marker::Marker;
use crate::mirror::{Mirror, Start};
use crate::names;
use crate::network::Upstream;
use crate::pool::{self, Found, Key, Pool, PoolSettings};
use crate::repository::{Repository, without_credentials};
use ahead::Ahead;
use build::{Plan, Tools};
use chore::Chores;
use obtain::Obtain;
use rensei_proto::SessionId;
use rensei_proto::control::{EvictPoolRequest, EvictPoolResponse, Workarea, WorkareaPoolStats};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Most threads that write one checkout.
const MAX_THREADS: usize = 8;

/// Makes, hands on and removes checkouts. Copies share everything.
#[derive(Debug, Clone)]
pub struct WorkareaManager {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    git: GitEnvironment,
    repos: PathBuf,
    worktrees: PathBuf,
    pool_dir: PathBuf,
    /// Directories with what became of checkouts, in this order: one in each directory of these, or in `tree` there.
    heirs: [PathBuf; 3],
    pool: Pool,
    settings: Mutex<PoolSettings>,
    /// Wakes who keeps the pool tidy.
    tidy: SyncSender<()>,
    ahead: Mutex<Ahead>,
    chores: Chores,
    mirrors: Mutex<HashMap<String, Arc<Mirror>>>,
}

impl WorkareaManager {
    /// Works below `state_root`, an absolute path. What an earlier process left unfinished there is cleaned or deleted
    /// in the background. Its checkouts are archived in `workareas` there, and kept until then in `retained`.
    #[must_use]
    pub fn new(state_root: &Path, git: GitEnvironment) -> Self {
        Self::archived_in(state_root, git, &state_root.join("workareas"), &state_root.join("retained"))
    }

    /// The same with other directories for the [`Archives`](crate::Archives) of its checkouts, which go on using objects
    /// that are kept here.
    #[must_use]
    pub fn archived_in(state_root: &Path, git: GitEnvironment, archives: &Path, retained: &Path) -> Self {
        let heirs = [retained.to_owned(), archives.to_owned(), restored_beside(archives)];
        let (manager, found, asked) = Self::unattended(state_root, git, heirs);
        manager.keep_tidy(found, asked);
        manager
    }

    /// With nobody who keeps the pool tidy yet; what there is to do for them.
    fn unattended(state_root: &Path, git: GitEnvironment, heirs: [PathBuf; 3]) -> (Self, Found, Receiver<()>) {
        let [repos, worktrees, pool_dir] = ["repos", "worktrees", "pool"].map(|name| state_root.join(name));
        let (pool, found) = pool::open(&pool_dir, &worktrees);
        let (settings, ahead, chores, mirrors) = Default::default();
        let (tidy, asked) = mpsc::sync_channel(1);
        let manager = Self {
            inner: Arc::new(Inner {
                git,
                repos,
                worktrees,
                pool_dir,
                heirs,
                pool,
                settings,
                tidy,
                ahead,
                chores,
                mirrors,
            }),
        };
        (manager, found, asked)
    }

    /// Replaces the settings of the pool. What goes because of it is deleted in the background.
    pub fn configure(&self, settings: PoolSettings) {
        let mut current = self.inner.settings.lock().unwrap_or_else(PoisonError::into_inner);
        if *current == settings {
            return;
        }
        *current = settings;
        drop(current);
        self.tidy_soon();
    }

    /// Changes how many bytes idle checkouts may take; 0: any.
    pub fn limit_idle(&self, max_idle_bytes: u64) {
        self.configure(PoolSettings { max_idle_bytes, ..self.settings() });
    }

    /// The checkout of a session: the one that it has, a used one that was brought up to date, or a new one.
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
            return Ok(workarea(marker, &path, begun));
        }
        self.guard_disk().await?;
        let key = Key { mirror: repository.mirror_name(&request.scope), toolchain: request.toolchain.clone() };
        let upstream = Upstream { repository, hints: request.hints.clone() };
        let mirror = self.mirror(&key.mirror)?;
        let (start, cold) = mirror.locate(&upstream, &request.r#ref).await?;
        let plan = Plan::new(session, &request, (branch, cold), start, &upstream.repository.url);
        let obtain = Obtain {
            inner: Arc::clone(&self.inner),
            tools: self.tools(mirror.dir(), None),
            plan,
            key,
            shown: upstream.repository.shown.clone(),
            path: path.clone(),
        };
        self.outdate();
        let obtained = self.obtain(&mirror, &upstream, obtain).await;
        self.tidy_soon();
        let marker = obtained?;
        Ok(workarea(marker, &path, begun))
    }

    /// Takes the checkout of a session back. One that does not exist is fine; a directory that was not made here is
    /// left alone and is an error.
    ///
    /// # Errors
    /// When the file system refuses.
    pub async fn release(&self, session: &SessionId, mode: ReleaseMode) -> Result<(), WorkareaError> {
        let (manager, session) = (self.clone(), session.clone());
        blocking(move || manager.take_back(&session, mode)).await
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

    /// The checkout that a session has.
    #[must_use]
    pub fn held(&self, session: &SessionId) -> Option<Workarea> {
        let path = self.path(session);
        Marker::read(&path).map(|marker| workarea(marker, &path, Instant::now()))
    }

    /// Where the checkout of a session is or would be.
    #[must_use]
    pub fn path(&self, session: &SessionId) -> PathBuf {
        self.inner.worktrees.join(session.as_str())
    }

    /// The pool as it is now.
    #[must_use]
    pub fn pool_stats(&self) -> WorkareaPoolStats {
        self.inner.pool.stats()
    }

    /// Deletes idle checkouts of a repository. Never one that a session holds.
    ///
    /// # Errors
    /// [`WorkareaError::InvalidName`] when it is no repository.
    pub async fn evict(&self, request: EvictPoolRequest) -> Result<EvictPoolResponse, WorkareaError> {
        let shown = Repository::parse(&request.repo_url)?.shown;
        let name = Repository::parse(&request.repo_url)?.mirror_name("");
        let limit = pool::now_ms().saturating_sub(request.older_than_seconds.max(0).saturating_mul(1000));
        let inner = Arc::clone(&self.inner);
        let evicted = blocking(move || {
            let same = |url: &str| Repository::parse(url).is_ok_and(|repository| repository.mirror_name("") == name);
            inner.pool.evict(|record| {
                record.last_use_ms() <= limit && (record.key.mirror == name || same(&record.repository))
            })
        })
        .await;
        let plural = if evicted == 1 { "workarea" } else { "workareas" };
        tracing::info!(event = "pool-invalidated", repository = shown, evicted, "pool evicted");
        let message = format!("evicted {evicted} idle {plural} of {shown}");
        Ok(EvictPoolResponse { evicted, message, correlation_id: String::new() })
    }

    fn settings(&self) -> PoolSettings {
        self.inner.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tools(&self, mirror: &Path, threads: Option<usize>) -> Tools {
        let settings = self.settings();
        let available = || std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        Tools {
            git: self.inner.git.clone(),
            mirror: mirror.to_owned(),
            keep: Keep::new(&settings.keep, &settings.clean),
            threads: threads.unwrap_or_else(available),
        }
    }

    async fn existing(&self, path: &Path, request: &AcquireRequest) -> Result<Option<Marker>, WorkareaError> {
        let (checkout, asked) = (path.to_owned(), (without_credentials(&request.repository), request.attempt));
        blocking(move || {
            if std::fs::symlink_metadata(&checkout).is_err() {
                return Ok(None);
            }
            match Marker::read(&checkout) {
                Some(marker) if (without_credentials(&marker.repository), marker.attempt) == asked => Ok(Some(marker)),
                Some(_) | None => {
                    Err(WorkareaError::io("make a checkout in", &checkout, io::ErrorKind::AlreadyExists.into()))
                }
            }
        })
        .await
    }

    /// Makes the checkout; when the mirror turns out to be damaged, or has been replaced or deleted meanwhile, once more from
    /// a new one.
    async fn obtain(&self, mirror: &Mirror, upstream: &Upstream, obtain: Obtain) -> Result<Marker, WorkareaError> {
        let (again, seen) = (obtain.clone(), mirror.generation());
        match blocking(move || obtain.run()).await {
            Err(build::Failure { error, damaged }) if damaged || mirror.generation() != seen => {
                tracing::warn!(mirror = %mirror.dir().display(), %error, "a mirror is damaged or gone");
                mirror.rebuild(upstream, seen).await?;
                blocking(move || again.run()).await.map_err(|failure| failure.error)
            }
            result => result.map_err(|failure| failure.error),
        }
    }
}

/// The marker of a checkout; none when there is no such directory, an error when it is not ours.
fn own_marker(path: &Path) -> Result<Option<Marker>, WorkareaError> {
    if std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let marker = if !path.is_dir() || path.is_symlink() { None } else { Marker::read(path) };
    let not_ours = || io::Error::new(io::ErrorKind::PermissionDenied, "it was not made for a session");
    marker.map(Some).ok_or_else(|| WorkareaError::io("delete", path, not_ours()))
}

fn remove(path: &Path, remove: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), WorkareaError> {
    remove(path).map_err(|error| WorkareaError::io("delete", path, error))?;
    Marker::forget(path);
    Ok(())
}

fn workarea(marker: Marker, path: &Path, begun: Instant) -> Workarea {
    Workarea {
        session_id: marker.session_id,
        path: path.display().to_string(),
        // Older versions noted them.
        repository: without_credentials(&marker.repository),
        r#ref: marker.r#ref,
        commit: marker.base_commit,
        branch: marker.branch,
        acquire_path: marker.acquire_path,
        duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        notes: marker.notes,
    }
}

impl Plan {
    fn new(
        session: &SessionId,
        request: &AcquireRequest,
        (branch, cold): (String, bool),
        start: Start,
        url: &str,
    ) -> Self {
        let (base, base_branch) = match start {
            Start::Commit { id, branch } => (Some(id), branch),
            Start::Empty => (None, None),
        };
        let marker = Marker {
            version: 1,
            session_id: session.clone(),
            repository: without_credentials(&request.repository),
            r#ref: request.r#ref.clone(),
            base_commit: base.map(|id| id.to_string()).unwrap_or_default(),
            base_branch,
            branch,
            attempt: request.attempt,
            entry: String::new(),
            acquire_path: if cold { "cold" } else { "pool-fresh" }.to_owned(),
            notes: Vec::new(),
            created_at_ms: u64::try_from(pool::now_ms()).unwrap_or_default(),
        };
        Self { marker, base, url: without_credentials(url), strategy: request.strategy }
    }
}
