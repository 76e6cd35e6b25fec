//! Bare copies of remotes that checkouts borrow objects from.

mod create;
mod gate;
mod lock;
mod repack;
mod replaced;
mod resolve;
mod salvage;

pub(crate) use lock::{MirrorLock, end_orphaned_packing, last_use, remove_if_unused, remove_stale_locks};
pub(crate) use replaced::with_replaced;
pub(crate) use resolve::{Start, is_full_id};

use crate::blocking::blocking;
use crate::git::GitEnvironment;
use crate::network::{Failure, Fetch, Network, Upstream, network};
use crate::{WorkareaError, local, names, pool};
use gate::Gate;
use repack::Upkeep;
use resolve::RemoteHead;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Everything that a session can start from.
const REFSPECS: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
/// Percentage of a disk from which a write that failed without a reason failed because of it.
const NEARLY_FULL: u8 = 90;
/// Most branches that a missing ref is compared with.
const MAX_COMPARED: usize = 2000;

/// What somebody was told, and who: what a remote refuses to one it may grant to another.
type Shared<T> = (Upstream, Result<T, WorkareaError>);

/// One mirror. All copies of a handle on it share its fetches.
#[derive(Debug)]
pub(crate) struct Mirror {
    dir: PathBuf,
    git: GitEnvironment,
    network: Arc<dyn Network>,
    fetches: Gate<Shared<bool>>,
    heads: Gate<Shared<RemoteHead>>,
    upkeep: Mutex<Upkeep>,
}

impl Mirror {
    pub(crate) fn new(dir: PathBuf, git: GitEnvironment) -> Self {
        let network = network(&git);
        let upkeep = Mutex::new(Upkeep::of(&dir));
        Self { dir, git, network, fetches: Gate::default(), heads: Gate::default(), upkeep }
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
        lock::note_use(&self.dir);
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
        let found = if resolve::is_apart(wanted) {
            // What is kept of it may be old.
            let is_there = self.fetch_apart(upstream, wanted).await?;
            if is_there { self.resolve(wanted, None).await? } else { None }
        } else if let Some(start) = self.resolve(wanted, head.clone()).await? {
            Some(start)
        } else {
            self.fetch_commit(upstream, wanted, head.as_ref()).await?;
            self.resolve(wanted, head).await?
        };
        match found {
            Some(start) => Ok((start, made)),
            None => Err(self.missing(upstream, wanted).await),
        }
    }

    /// Brings the mirror up to date, with one fetch for all who ask before it starts; whether it had to be made.
    async fn refresh(self: &Arc<Self>, upstream: &Upstream) -> Result<bool, WorkareaError> {
        let fetch = |mirror: Arc<Self>, upstream: Upstream| async move {
            let lock = mirror.lock().await?;
            mirror.refresh_locked(&upstream, &lock).await
        };
        self.share(&self.fetches, upstream, fetch).await
    }

    /// Does what others ask for, too, once for all of them. What was refused to somebody with other credentials is asked
    /// for again.
    async fn share<T, F>(
        self: &Arc<Self>,
        gate: &Gate<Shared<T>>,
        upstream: &Upstream,
        ask: impl Fn(Arc<Self>, Upstream) -> F + Send + 'static,
    ) -> Result<T, WorkareaError>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, WorkareaError>> + Send + 'static,
    {
        loop {
            let (asked, asker) = (ask(Arc::clone(self), upstream.clone()), upstream.clone());
            match gate.run(async move { (asker, asked.await) }).await {
                Some((asker, Err(error))) if asker != *upstream && error.depends_on_credentials() => {}
                Some((_, result)) => return result,
                None => return Err(abandoned()),
            }
        }
    }

    async fn refresh_locked(&self, upstream: &Upstream, lock: &Arc<MirrorLock>) -> Result<bool, WorkareaError> {
        if !self.dir.is_dir() {
            self.create(upstream, lock).await?;
            return Ok(true);
        }
        let opens = local::open_bare(&self.dir, &self.git).is_ok();
        match self.fetch(&self.dir, upstream, &REFSPECS, lock).await {
            Ok(()) if opens => return Ok(false),
            Err(Failure { error, damage, .. }) if opens && !damage => return Err(self.named(error)),
            Ok(()) => {}
            Err(Failure { error, .. }) => {
                tracing::warn!(mirror = %self.dir.display(), %error, "making a damaged mirror anew");
            }
        }
        self.create(upstream, lock).await?;
        Ok(true)
    }

    async fn fetch(
        &self,
        git_dir: &Path,
        upstream: &Upstream,
        refspecs: &[&str],
        lock: &Arc<MirrorLock>,
    ) -> Result<(), Failure> {
        let operation = if git_dir == self.dir { "fetch" } else { "clone" };
        let refspecs = refspecs.iter().map(|refspec| (*refspec).to_owned()).collect();
        let fetch = Fetch { operation, git_dir: git_dir.to_owned(), refspecs, lock: Arc::clone(lock) };
        self.network.fetch(upstream, fetch).await
    }

    /// Fetches a reference that is neither branch nor tag, such as that of a pull request, as it is now; false when the
    /// remote has none of that name.
    async fn fetch_apart(&self, upstream: &Upstream, name: &str) -> Result<bool, WorkareaError> {
        let there = self.network.look_up(upstream, name).await.map_err(|failure| failure.error)?;
        if there.is_none() {
            return Ok(false);
        }
        let lock = self.lock().await?;
        let fetched = self.fetch(&self.dir, upstream, &[&resolve::pinning(name)], &lock).await;
        fetched.map(|()| true).map_err(|failure| self.named(failure.error))
    }

    /// Fetches a commit that no branch or tag leads to. That it fails is no error of its own.
    async fn fetch_commit(
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
        if !is_full_id(source) {
            return Ok(());
        }
        let lock = self.lock().await?;
        match self.fetch(&self.dir, upstream, &[&resolve::pinning(source)], &lock).await {
            Ok(()) | Err(Failure { ended: true, .. }) => Ok(()),
            Err(failure) => Err(failure.error),
        }
    }

    async fn remote_head(self: &Arc<Self>, upstream: &Upstream) -> Result<RemoteHead, WorkareaError> {
        let ask = |mirror: Arc<Self>, upstream: Upstream| async move {
            let head = mirror.network.look_up(&upstream, "HEAD").await;
            head.map(RemoteHead::of).map_err(|failure| failure.error)
        };
        self.share(&self.heads, upstream, ask).await
    }

    /// Git does not always say that it was the disk.
    fn named(&self, error: WorkareaError) -> WorkareaError {
        let nearly_full = || pool::pressure(&self.dir).is_ok_and(|pressure| pressure.reaches(NEARLY_FULL));
        match error {
            WorkareaError::Git { detail, .. } if detail.contains("write") && nearly_full() => {
                WorkareaError::DiskFull { detail }
            }
            error => error,
        }
    }

    async fn lock(&self) -> Result<Arc<MirrorLock>, WorkareaError> {
        MirrorLock::acquire(&self.dir, self.git.time_limit).await.map(Arc::new)
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

fn abandoned() -> WorkareaError {
    WorkareaError::Git { operation: "fetch".to_owned(), detail: "the host is shutting down".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::GitHints;
    use crate::repository::Repository;
    use std::collections::BTreeMap;

    #[tokio::test]
    async fn what_is_refused_to_one_is_not_refused_to_all() {
        let dir = tempfile::tempdir().unwrap();
        let git = GitEnvironment::new(BTreeMap::new());
        let mirror = Arc::new(Mirror::new(dir.path().join("r-1"), git));
        let who = |helper: &str| Upstream {
            repository: Repository::parse("https://h.invalid/r").unwrap(),
            hints: GitHints { credential_helper: Some(helper.to_owned()), ..GitHints::default() },
        };
        let ask = |_: Arc<Mirror>, who: Upstream| async move {
            match who.hints.credential_helper.as_deref() {
                Some("good") => Ok(7),
                _ => Err(WorkareaError::Denied { repository: "r".to_owned(), detail: "no".to_owned() }),
            }
        };
        let gate = Gate::default();
        let (bad, good, other) = (who("bad"), who("good"), who("other"));
        // All of them before the first round begins.
        let (bad, good, other) = tokio::join!(
            mirror.share(&gate, &bad, ask),
            mirror.share(&gate, &good, ask),
            mirror.share(&gate, &other, ask)
        );
        assert_eq!(good.unwrap(), 7);
        assert_eq!(bad.unwrap_err().kind(), crate::WorkareaErrorKind::Denied);
        // With somebody else's success goes on who joined it, as mirrors are shared anyway.
        let denied = |error: WorkareaError| error.kind() == crate::WorkareaErrorKind::Denied;
        assert!(other.map_or_else(denied, |fetched| fetched == 7));
    }
}
