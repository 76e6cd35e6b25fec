//! What nobody waits for: cleaning, renewing, evicting.

use super::request::ReleaseMode;
use super::{WorkareaManager, own_marker, remove};
use crate::files::{Keep, Present, Scan, Snapshot};
use crate::marker::Marker;
use crate::mirror::end_orphaned_packing;
use crate::pool::{self, Found, State};
use crate::{WorkareaError, scratch};
use rensei_process::{Eviction, evict_occupants};
use rensei_proto::SessionId;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// Bounds of the time between two looks at the pool.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

impl WorkareaManager {
    /// What an earlier process left: deleted, or cleaned and ready again. Then keeps the pool tidy: whenever somebody
    /// [asks](Self::tidy_soon), and from time to time, for as long as there is a manager.
    pub(super) fn keep_tidy(&self, found: Found, asked: Receiver<()>) {
        let manager = self.clone();
        in_background("workarea-sweep", move || {
            let inner = &manager.inner;
            end_orphaned_packing(&inner.repos);
            [&inner.repos, &inner.worktrees, &inner.pool_dir].into_iter().for_each(|dir| scratch::sweep(dir));
            manager.remember_mirrors();
            for dir in &found.abandoned {
                if let Err(error) = scratch::remove(dir) {
                    tracing::warn!(path = %dir.display(), %error, "could not delete what an earlier run left");
                }
            }
            for id in &found.unclean {
                manager.clean(id);
            }
            manager.look_after(&asked);
        });
    }

    /// Ends when there is no manager but this one.
    fn look_after(self, asked: &Receiver<()>) {
        let mut pause = self.pause();
        let inner = Arc::downgrade(&self.inner);
        drop(self);
        while !matches!(asked.recv_timeout(pause), Err(RecvTimeoutError::Disconnected)) {
            let Some(inner) = inner.upgrade() else { return };
            let manager = Self { inner };
            manager.tidy_outdated();
            manager.trim();
            manager.replenish();
            manager.keep_mirrors_up();
            pause = manager.pause();
        }
    }

    /// How long entries may be too old before that is noticed. None is handed out meanwhile.
    fn pause(&self) -> Duration {
        (self.settings().max_age / 24).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }

    /// Has the pool looked through in the background.
    pub(super) fn tidy_soon(&self) {
        // Full: it is going to be.
        let _ = self.inner.tidy.try_send(());
    }

    /// Takes a checkout out of its session's hands.
    pub(super) fn take_back(&self, session: &SessionId, mode: ReleaseMode) -> Result<(), WorkareaError> {
        let path = self.path(session);
        let Some(marker) = own_marker(&path)? else { return Ok(()) };
        if mode == ReleaseMode::Pause {
            tracing::warn!(session_id = %session, "a workarea on this host cannot be paused; it returns to the pool");
        }
        // Without one it was made before there was a pool.
        let entry = self.inner.pool.held_by(session, &marker.entry);
        let reusable =
            |id: &String| mode != ReleaseMode::Destroy && !self.is_too_old(id) && self.inner.pool.give_back(id);
        let Some(id) = entry.as_ref().filter(|id| reusable(id)) else { return self.destroy(&path, entry.as_deref()) };
        let tree = self.inner.pool.place(id).tree();
        if let Err(error) = std::fs::rename(&path, &tree) {
            tracing::warn!(session_id = %session, %error, "a workarea cannot return to the pool");
            return self.destroy(&path, Some(id));
        }
        Marker::forget(&path);
        self.clean(id);
        self.trim();
        Ok(())
    }

    fn destroy(&self, path: &Path, entry: Option<&str>) -> Result<(), WorkareaError> {
        remove(path, scratch::remove)?;
        entry.inspect(|id| self.inner.pool.retire(id));
        Ok(())
    }

    /// Deletes what the last session left in an entry. One that cannot be cleaned is retired.
    fn clean(&self, id: &str) {
        let keep = {
            let settings = self.settings();
            Keep::new(&settings.keep, &settings.clean)
        };
        let cleaned = self
            .evict_leftovers(id)
            .and_then(|()| self.sweep_entry(id, &keep))
            .and_then(|present| self.inner.pool.cleaned(id, present.bytes));
        if let Err(error) = cleaned {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(id, error, "a workarea cannot be cleaned and is deleted");
            self.inner.pool.retire(id);
        }
    }

    /// Ends processes of the last session that escaped its end and would write into the next one's files.
    fn evict_leftovers(&self, id: &str) -> Result<(), WorkareaError> {
        let tree = self.inner.pool.place(id).tree();
        let failed = |error| WorkareaError::io("look for processes in", &tree, error);
        let held_ms = pool::now_ms().saturating_sub(self.inner.pool.last_use_ms(id));
        let held = Duration::from_millis(u64::try_from(held_ms).unwrap_or_default());
        match evict_occupants(&tree.canonicalize().map_err(failed)?, held) {
            Eviction::Empty { killed: 0 } => Ok(()),
            Eviction::Empty { killed } => {
                tracing::warn!(id, killed, "processes of an ended session were still in its workarea");
                Ok(())
            }
            Eviction::Occupied => {
                Err(failed(std::io::Error::new(std::io::ErrorKind::ResourceBusy, "there are some, or may be")))
            }
        }
    }

    fn sweep_entry(&self, id: &str, keep: &Keep) -> Result<Present, WorkareaError> {
        let place = self.inner.pool.place(id);
        let failed = |error| WorkareaError::io("clean", place.dir(), error);
        let before = Snapshot::read(&place.index()).map_err(failed)?;
        let before = before.ok_or_else(|| failed(std::io::ErrorKind::InvalidData.into()))?;
        let items: Vec<_> = before.entries().iter().map(|(item, _)| item.clone()).collect();
        let scan = Scan {
            root: &place.tree(),
            items: &items,
            directories: &directories(&items),
            before: &before,
            keep,
            thorough: true,
            threads: 1,
        };
        scan.run().map_err(failed)
    }

    fn is_too_old(&self, id: &str) -> bool {
        self.inner.pool.is_older(id, self.oldest())
    }

    /// Unix milliseconds before which nothing that is still handed on was made.
    fn oldest(&self) -> i64 {
        let age = i64::try_from(self.settings().max_age.as_millis()).unwrap_or(i64::MAX);
        pool::now_ms().saturating_sub(age)
    }

    /// Keeps the pool within its bounds. What had to go is not made ahead again soon: something else would have to go.
    pub(super) fn trim(&self) {
        let limit = self.settings().max_idle_bytes;
        let gone = if limit == 0 { Vec::new() } else { self.inner.pool.shrink(limit) };
        if !gone.is_empty() {
            let evicted = gone.len();
            tracing::info!(
                event = "pool-evicted",
                evicted,
                limit,
                "workareas evicted: the pool is larger than allowed"
            );
        }
        self.let_rest(&gone);
    }

    /// Keeps entries that are too old from being handed out.
    pub(super) fn outdate(&self) {
        self.inner.pool.outdate(self.oldest());
    }

    /// Deletes entries that are too old, and makes those usable again whose dependencies are out of date.
    fn tidy_outdated(&self) {
        self.outdate();
        self.inner.pool.in_state(State::Invalid).iter().for_each(|id| self.renew(id));
    }

    /// Makes an invalid entry usable again, or deletes it. What is not invalid any more is somebody else's.
    fn renew(&self, id: &str) {
        let pool = &self.inner.pool;
        if self.is_too_old(id) {
            pool.drop_idle(id);
            return;
        }
        if !pool.renew(id) {
            return;
        }
        tracing::info!(event = "pool-invalidated", id, "dependencies have changed: what was carried over is dropped");
        let renewed = self.sweep_entry(id, &Keep::default()).and_then(|present| pool.renewed(id, present.bytes));
        if let Err(error) = renewed {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(id, error, "a workarea cannot be renewed and is deleted");
            pool.retire(id);
        }
    }
}

/// Every directory that has an item in it.
fn directories(items: &[crate::files::Item]) -> HashSet<Vec<u8>> {
    let mut found = HashSet::new();
    for item in items {
        let slashes = item.path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        // From the inside, so that what is known already ends it.
        for (at, _) in slashes.collect::<Vec<_>>().into_iter().rev() {
            if !found.insert(item.path[..at].to_vec()) {
                break;
            }
        }
    }
    found
}

pub(super) fn in_background(name: &str, work: impl FnOnce() + Send + 'static) {
    if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(work) {
        tracing::warn!(name, %error, "no thread for work in the background");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{Contents, Key};
    use crate::{GitEnvironment, PoolSettings};
    use std::collections::BTreeMap;

    fn contents() -> Contents {
        Contents { r#ref: String::new(), checksum: String::new(), lockfiles: String::new() }
    }

    #[test]
    fn an_entry_that_somebody_else_has_by_now_is_left_to_them() {
        let dir = tempfile::tempdir().unwrap();
        let manager = WorkareaManager::new(dir.path(), GitEnvironment::new(BTreeMap::new()));
        let pool = &manager.inner.pool;
        let key = Key { mirror: "r-1".to_owned(), toolchain: String::new() };
        let id = pool.begin(&key, "r").unwrap();
        manager.renew(&id);
        assert_eq!(pool.in_state(State::Warming), std::slice::from_ref(&id));
        pool.hand_out(&id, &SessionId::parse("s1").unwrap(), &contents()).unwrap();
        manager.renew(&id);
        manager.configure(PoolSettings { max_age: Duration::ZERO, ..PoolSettings::default() });
        while !manager.is_too_old(&id) {
            std::thread::yield_now();
        }
        manager.renew(&id);
        assert_eq!(pool.in_state(State::Acquired), std::slice::from_ref(&id));
        assert!(pool.place(&id).dir().exists());
    }

    #[test]
    fn who_changes_the_settings_does_not_wait_for_what_goes() {
        let dir = tempfile::tempdir().unwrap();
        let (manager, _, asked) =
            WorkareaManager::unattended(dir.path(), GitEnvironment::new(BTreeMap::new()), Default::default());
        let pool = &manager.inner.pool;
        let key = Key { mirror: "r-1".to_owned(), toolchain: String::new() };
        let id = pool.begin(&key, "r").unwrap();
        pool.made(&id, &contents(), 7).unwrap();
        manager.limit_idle(3);
        assert_eq!((pool.in_state(State::Ready), asked.try_recv()), (vec![id], Ok(())));
        manager.trim();
        assert_eq!(pool.in_state(State::Ready), Vec::<String>::new());
    }
}
