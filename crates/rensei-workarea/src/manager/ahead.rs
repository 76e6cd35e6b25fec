//! Workareas that are made before anybody asks for them, and again when they were handed out.

use super::build::{Failure, Tools};
use super::chore::Chore;
use super::{Inner, WorkareaManager};
use crate::files::Present;
use crate::mirror::Start;
use crate::names;
use crate::network::Upstream;
use crate::pool::{Contents, Key, replace};
use crate::repository::Repository;
use crate::{AcquireRequest, WorkareaError};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long something is left alone that could not be made ahead.
const REST: Duration = Duration::from_secs(600);

/// What is to be ready.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    wanted: Vec<Wanted>,
    /// How many of each.
    count: usize,
}

#[derive(Debug, Clone)]
struct Wanted {
    request: AcquireRequest,
    repository: Repository,
    key: Key,
    rests_until: Option<Instant>,
}

impl Wanted {
    fn new(request: AcquireRequest) -> Result<Self, WorkareaError> {
        let repository = Repository::parse(&request.repository)?;
        names::check_reference(&request.r#ref)?;
        let key = Key { mirror: repository.mirror_name(&request.scope), toolchain: request.toolchain.clone() };
        Ok(Self { request, repository, key, rests_until: None })
    }
}

impl WorkareaManager {
    /// Keeps `count` checkouts ready for each of these and for nothing else, made one after the other in the background, at
    /// the lowest priority that the system has and with one thread. One that is handed out is made again. What fails is
    /// logged and left alone for a while; sessions get to hear of it when they come.
    pub fn prewarm(&self, requests: Vec<AcquireRequest>, count: usize) {
        let wanted = requests.into_iter().filter_map(|request| {
            let shown = crate::redact(&request.repository);
            Wanted::new(request).inspect_err(|error| tell(&shown, error)).ok()
        });
        self.want(wanted.collect(), count);
        self.replenish();
    }

    /// Notes what is wanted from now on. What is wanted as it was before rests as long as it would have.
    fn want(&self, mut wanted: Vec<Wanted>, count: usize) {
        let mut ahead = self.ahead();
        for new in &mut wanted {
            let old = ahead.wanted.iter().find(|old| old.request == new.request);
            new.rests_until = old.and_then(|old| old.rests_until);
        }
        (ahead.wanted, ahead.count) = (wanted, count);
    }

    /// Has made in the background what is missing, if anything is.
    pub(super) fn replenish(&self) {
        if self.missing(Instant::now()).is_some() {
            self.chore(Chore::Prewarm, async |manager| manager.make_missing().await);
        }
    }

    async fn make_missing(&self) {
        while let Some(wanted) = self.missing(Instant::now()) {
            if let Err(error) = self.make_ahead(&wanted).await {
                tell(&wanted.repository.shown, &error);
            }
            self.trim();
            // Neither a remote that fails nor a pool that is too small is better off with the next attempt.
            self.let_rest(&[wanted.key]);
        }
    }

    /// The first of what is wanted that there is not enough of.
    fn missing(&self, now: Instant) -> Option<Wanted> {
        let ahead = self.ahead();
        let rests = |wanted: &Wanted| wanted.rests_until.is_some_and(|until| now < until);
        let lacks = |wanted: &&Wanted| !rests(wanted) && self.inner.pool.spare(&wanted.key) < ahead.count;
        ahead.wanted.iter().find(lacks).cloned()
    }

    /// Leaves alone for a while those of what was made or evicted that there is still not enough of.
    pub(super) fn let_rest(&self, tried: &[Key]) {
        let mut ahead = self.ahead();
        let (count, until) = (ahead.count, Instant::now().checked_add(REST));
        let lacks = |key: &Key| tried.contains(key) && self.inner.pool.spare(key) < count;
        for wanted in ahead.wanted.iter_mut().filter(|wanted| lacks(&wanted.key)) {
            wanted.rests_until = until;
        }
    }

    async fn make_ahead(&self, wanted: &Wanted) -> Result<(), WorkareaError> {
        let Wanted { request, repository, key, .. } = wanted;
        // A mirror takes room, too.
        if !self.has_room_ahead(&repository.shown)? {
            return Ok(());
        }
        let upstream = Upstream { repository: repository.clone(), hints: request.hints.clone() };
        let mirror = self.mirror(&key.mirror)?;
        let (start, _) = mirror.locate(&upstream, &request.r#ref).await?;
        let Start::Commit { id: commit, .. } = start else { return Ok(()) };
        let tools = self.tools(mirror.dir(), Some(1));
        let repository = &repository.shown;
        while self.inner.pool.spare(key) < self.ahead().count {
            if !self.has_room_ahead(repository)? {
                break;
            }
            let id = self.inner.pool.begin(key, repository)?;
            let made = make_ready(&self.inner, &tools, &id, commit, &request.r#ref);
            if made.is_err() {
                self.inner.pool.retire(&id);
            }
            made?;
            tracing::info!(event = "workarea-prewarmed", repository, id, "workarea made ahead");
        }
        Ok(())
    }

    /// Whether the disk has room for what nobody waits for.
    fn has_room_ahead(&self, repository: &str) -> Result<bool, WorkareaError> {
        let filling = self.disk_is_filling()?;
        if filling {
            let why = "no workarea is made ahead: the disk is filling up";
            tracing::warn!(event = "disk-pressure", repository, "{why}");
        }
        Ok(!filling)
    }

    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.inner.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(repository: &str, error: &WorkareaError) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(event = "prewarm-failed", repository, error, "no workarea was made ahead");
}

/// Writes the files of a commit into an entry that is being made.
fn make_ready(inner: &Inner, tools: &Tools, id: &str, commit: git2::Oid, wanted: &str) -> Result<(), WorkareaError> {
    let listing = tools.listing(Some(commit)).map_err(|failure| failure.error)?;
    let place = inner.pool.place(id);
    let tree = place.tree();
    std::fs::create_dir_all(&tree).map_err(|error| WorkareaError::io("create", &tree, error))?;
    let written = tools.write(&tree, &listing, &Present::default()).map_err(|error| Failure::from(error).error)?;
    replace(&place.index(), &written.to_bytes())?;
    let contents = Contents { r#ref: wanted.to_owned(), checksum: listing.checksum(), lockfiles: listing.lockfiles() };
    inner.pool.made(id, &contents, written.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GitEnvironment, PoolSettings};
    use std::collections::BTreeMap;
    use std::path::Path;

    #[test]
    fn what_cannot_be_made_or_kept_is_left_alone_for_a_while() {
        let dir = tempfile::tempdir().unwrap();
        let (manager, ..) =
            WorkareaManager::unattended(dir.path(), GitEnvironment::new(BTreeMap::new()), Default::default());
        manager.configure(PoolSettings { max_idle_bytes: 1, ..PoolSettings::default() });
        let request = |name: &str| AcquireRequest { repository: format!("/{name}"), ..AcquireRequest::default() };
        let wanted = [request("failing"), request("good")].map(|request| Wanted::new(request).unwrap());
        let [failing, good] = wanted.each_ref().map(|wanted| wanted.key.clone());
        *manager.ahead() = Ahead { wanted: wanted.to_vec(), count: 1 };
        let missing = |now| manager.missing(now).map(|wanted| wanted.key);
        let now = Instant::now();
        assert_eq!(missing(now).as_ref(), Some(&failing));
        manager.let_rest(std::slice::from_ref(&failing));
        assert_eq!(missing(now).as_ref(), Some(&good));
        manager.want([request("failing"), request("good")].map(|request| Wanted::new(request).unwrap()).into(), 1);
        assert_eq!(missing(now).as_ref(), Some(&good), "it is told the same again");
        let changed = AcquireRequest { r#ref: "main".to_owned(), ..request("failing") };
        manager.want(vec![Wanted::new(changed).unwrap()], 1);
        assert_eq!(missing(now).as_ref(), Some(&failing), "something has changed");
        manager.want(wanted.to_vec(), 1);
        manager.let_rest(std::slice::from_ref(&failing));
        let make = || {
            let id = manager.inner.pool.begin(&good, "good").unwrap();
            let contents = Contents { r#ref: String::new(), checksum: String::new(), lockfiles: String::new() };
            manager.inner.pool.made(&id, &contents, 7).unwrap();
        };
        make();
        manager.let_rest(std::slice::from_ref(&good));
        assert_eq!(missing(now), None, "there is enough");
        assert!(manager.inner.pool.drop_oldest());
        assert_eq!(missing(now).as_ref(), Some(&good), "it was made and then taken");
        // Made and evicted again, because the pool is too small.
        make();
        manager.trim();
        assert_eq!((missing(now), missing(now + 2 * REST).as_ref()), (None, Some(&failing)));
    }

    /// Requests for two repositories, each with one file.
    fn two_projects(dir: &Path) -> [Wanted; 2] {
        ["one", "two"].map(|name| {
            let remote = git2::Repository::init_bare(dir.join(name)).unwrap();
            remote.set_head("refs/heads/main").unwrap();
            let who = git2::Signature::now("t", "t@example.invalid").unwrap();
            let mut tree = remote.treebuilder(None).unwrap();
            tree.insert("file", remote.blob(&[b'x'; 1 << 20]).unwrap(), 0o100_644).unwrap();
            let tree = remote.find_tree(tree.write().unwrap()).unwrap();
            remote.commit(Some("HEAD"), &who, &who, "first", &tree, &[]).unwrap();
            let repository = dir.join(name).to_str().unwrap().to_owned();
            Wanted::new(AcquireRequest { repository, ..AcquireRequest::default() }).unwrap()
        })
    }

    /// A manager that nobody looks after, and that has two projects to be made ahead.
    fn with_two_projects(dir: &Path, settings: PoolSettings) -> (WorkareaManager, [Wanted; 2]) {
        let git = GitEnvironment::new(BTreeMap::new());
        let (manager, ..) = WorkareaManager::unattended(&dir.join("state"), git, Default::default());
        manager.configure(settings);
        let wanted = two_projects(dir);
        *manager.ahead() = Ahead { wanted: wanted.to_vec(), count: 1 };
        (manager, wanted)
    }

    #[tokio::test]
    async fn a_pool_that_is_too_small_for_all_is_filled_once() {
        for (max_idle_bytes, expected) in [(0, [1, 1]), (3 << 19, [0, 1])] {
            let dir = tempfile::tempdir().unwrap();
            let settings = PoolSettings { max_idle_bytes, warn_percent: 101, ..PoolSettings::default() };
            let (manager, wanted) = with_two_projects(dir.path(), settings);
            let made = tokio::time::timeout(Duration::from_secs(60), manager.make_missing()).await;
            assert!(made.is_ok(), "it never ends");
            assert_eq!(wanted.map(|wanted| manager.inner.pool.spare(&wanted.key)), expected);
        }
    }

    #[tokio::test]
    async fn a_disk_that_is_filling_up_gets_no_mirror_either() {
        let dir = tempfile::tempdir().unwrap();
        let settings = PoolSettings { warn_percent: 0, ..PoolSettings::default() };
        let (manager, wanted) = with_two_projects(dir.path(), settings);
        manager.make_missing().await;
        for Wanted { key, .. } in wanted {
            assert!(!manager.inner.repos.join(&key.mirror).exists());
            assert_eq!(manager.inner.pool.spare(&key), 0);
        }
    }
}
