//! Checkouts that go from one session to the next.
//!
//! Every checkout is an entry from the moment it is begun. An entry is changed by whoever brought it into a state that
//! is nobody else's (warming, acquired, releasing, invalid), so that long work needs no lock; the table itself is
//! locked for moments only. What is durable is described in [`record`].

mod disk;
mod record;
mod recover;
mod settings;
mod state;

pub(crate) use disk::{Pressure, Room, pressure};
pub(crate) use record::{Place, Record, replace};
pub(crate) use recover::Found;
pub use settings::PoolSettings;
use state::Event;
pub(crate) use state::State;

use crate::{WorkareaError, scratch};
use rensei_process::ProcessIdentity;
use rensei_proto::SessionId;
use rensei_proto::control::WorkareaPoolStats;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Who may share an entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    /// Name of the mirror: the repository, and whose it is.
    pub(crate) mirror: String,
    /// Toolchains, `+` between them; may be empty.
    pub(crate) toolchain: String,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    state: State,
}

/// All entries of a host.
#[derive(Debug)]
pub(crate) struct Pool {
    dir: PathBuf,
    boot_id: String,
    entries: Mutex<BTreeMap<String, Entry>>,
}

/// What an entry is made from.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    pub(crate) r#ref: String,
    pub(crate) checksum: String,
    pub(crate) lockfiles: String,
}

impl Pool {
    fn empty(dir: PathBuf) -> Self {
        let boot_id = ProcessIdentity::of(std::process::id()).map(|own| own.boot_id).unwrap_or_default();
        Self { dir, boot_id, entries: Mutex::default() }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        // Changed by small total functions; a panic in one leaves it as it was.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn place(&self, id: &str) -> Place {
        Place::new(&self.dir, id)
    }

    /// A new entry that is being made.
    pub(crate) fn begin(&self, key: &Key, repository: &str) -> Result<String, WorkareaError> {
        let id = unused_id();
        let place = self.place(&id);
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(place.dir());
        made.map_err(|error| WorkareaError::io("create", place.dir(), error))?;
        let record = Record {
            version: 1,
            id: id.clone(),
            key: key.clone(),
            repository: repository.to_owned(),
            r#ref: String::new(),
            checksum: String::new(),
            lockfiles: String::new(),
            created_at_ms: now_ms(),
            last_acquired_at_ms: 0,
            bytes: 0,
            acquired_by: None,
            boot_id: self.boot_id.clone(),
        };
        self.entries().insert(id.clone(), Entry { record, state: State::Warming });
        Ok(id)
    }

    /// A ready entry for a session, the one that was used last: its files are the likeliest to be in memory. Entries
    /// with other dependencies are passed over; when there are no others, they become invalid.
    pub(crate) fn take(&self, key: &Key, lockfiles: &str, session: &SessionId) -> Option<String> {
        let mut entries = self.entries();
        let fits = |entry: &Entry| entry.record.lockfiles.is_empty() || entry.record.lockfiles == lockfiles;
        let ready = || entries.values().filter(|entry| entry.state == State::Ready && entry.record.key == *key);
        let found = ready().filter(|entry| fits(entry)).max_by_key(|entry| entry.record.last_use_ms());
        if let Some(id) = found.map(|entry| entry.record.id.clone()) {
            let entry = entries.get_mut(&id)?;
            entry.record.acquired_by = Some(session.clone());
            step(entry, Event::Taken);
            return Some(id);
        }
        for entry in entries.values_mut().filter(|entry| entry.state == State::Ready && entry.record.key == *key) {
            step(entry, Event::Outdated);
        }
        None
    }

    /// Notes what an entry that is being made holds, and for whom; the record is on disk when this returns.
    pub(crate) fn hand_out(&self, id: &str, session: &SessionId, contents: &Contents) -> Result<(), WorkareaError> {
        let record = self.change(id, |entry| {
            if entry.state == State::Warming {
                step(entry, Event::Taken);
            }
            entry.record.acquired_by = Some(session.clone());
            entry.record.last_acquired_at_ms = now_ms();
            fill(&mut entry.record, contents);
        });
        self.write(id, record)
    }

    /// Notes that an entry was made for whoever comes.
    pub(crate) fn made(&self, id: &str, contents: &Contents, bytes: u64) -> Result<(), WorkareaError> {
        self.settle(id, Event::Made, |record| {
            fill(record, contents);
            record.bytes = bytes;
        })
    }

    /// The entry that a session holds, rather the one that is `noted` when it holds several. A note decides no more than
    /// that: it may be forged.
    pub(crate) fn held_by(&self, session: &SessionId, noted: &str) -> Option<String> {
        let entries = self.entries();
        let is_theirs = |record: &Record| record.acquired_by.as_ref() == Some(session);
        let held = entries.values().filter(|entry| entry.state == State::Acquired && is_theirs(&entry.record));
        held.max_by_key(|entry| entry.record.id == noted).map(|entry| entry.record.id.clone())
    }

    /// Marks an entry as given back; whether it can go on being one.
    pub(crate) fn give_back(&self, id: &str) -> bool {
        let mut entries = self.entries();
        entries.get_mut(id).is_some_and(|entry| step(entry, Event::GivenBack))
    }

    /// Marks an entry that was given back as clean.
    pub(crate) fn cleaned(&self, id: &str, bytes: u64) -> Result<(), WorkareaError> {
        self.settle(id, Event::Cleaned, |record| {
            record.bytes = bytes;
            record.acquired_by = None;
        })
    }

    /// Marks an invalid entry as being made usable; none is, when there is no such entry.
    pub(crate) fn renew(&self, id: &str) -> bool {
        let mut entries = self.entries();
        entries.get_mut(id).is_some_and(|entry| entry.state == State::Invalid && step(entry, Event::Renewed))
    }

    /// The same when it is: it carries no dependencies any more.
    pub(crate) fn renewed(&self, id: &str, bytes: u64) -> Result<(), WorkareaError> {
        self.settle(id, Event::Made, |record| {
            record.bytes = bytes;
            record.lockfiles.clear();
        })
    }

    /// Takes an entry out of the pool and deletes what it has on the disk.
    pub(crate) fn retire(&self, id: &str) {
        let gone = {
            let mut entries = self.entries();
            let Some(entry) = entries.get_mut(id) else { return };
            if entry.state == State::Acquired {
                step(entry, Event::GivenBack);
            }
            step(entry, Event::Dropped)
        };
        if gone && let Err(error) = scratch::remove(self.place(id).dir()) {
            tracing::warn!(id, %error, "could not delete a retired workarea");
        }
        self.entries().remove(id);
    }

    /// Ids of the entries in this state, least recently used first.
    pub(crate) fn in_state(&self, state: State) -> Vec<String> {
        let entries = self.entries();
        let mut found: Vec<_> = entries.values().filter(|entry| entry.state == state).collect();
        found.sort_by_key(|entry| entry.record.last_use_ms());
        found.into_iter().map(|entry| entry.record.id.clone()).collect()
    }

    /// How many entries of a key are ready, or will be soon.
    pub(crate) fn spare(&self, key: &Key) -> usize {
        let spare = |entry: &&Entry| entry.record.key == *key && matches!(entry.state, State::Ready | State::Warming);
        self.entries().values().filter(spare).count()
    }

    /// Names of the mirrors of entries that are not idle.
    pub(crate) fn mirrors_in_use(&self) -> impl Iterator<Item = String> + use<> {
        let entries = self.entries();
        let busy = entries.values().filter(|entry| !matches!(entry.state, State::Ready | State::Invalid));
        busy.map(|entry| entry.record.key.mirror.clone()).collect::<Vec<_>>().into_iter()
    }

    /// Snapshot for people.
    pub(crate) fn stats(&self) -> WorkareaPoolStats {
        let entries = self.entries();
        let mut shown: Vec<_> = entries.values().collect();
        shown.sort_by_key(|entry| entry.record.created_at_ms);
        let members = shown.into_iter().map(|entry| entry.record.member(entry.state)).collect();
        WorkareaPoolStats::of(members, rensei_proto::rfc3339_seconds(jiff::Timestamp::now()))
    }

    /// Deletes idle entries that `chosen` wants to go; how many. Never one that a session holds.
    pub(crate) fn evict(&self, chosen: impl Fn(&Record) -> bool) -> usize {
        let mut idle = self.in_state(State::Ready);
        idle.extend(self.in_state(State::Invalid));
        idle.retain(|id| self.entries().get(id).is_some_and(|entry| chosen(&entry.record)));
        idle.iter().filter(|id| self.drop_idle(id)).count()
    }

    /// Deletes idle entries, least recently used first, until the rest takes at most `limit` bytes; their keys.
    pub(crate) fn shrink(&self, limit: u64) -> Vec<Key> {
        let mut evicted = Vec::new();
        for id in self.in_state(State::Ready) {
            if self.idle_bytes() <= limit {
                break;
            }
            let key = self.entries().get(&id).map(|entry| entry.record.key.clone());
            evicted.extend(key.filter(|_| self.drop_idle(&id)));
        }
        evicted
    }

    /// Deletes the idle entry that was used longest ago; whether there was one.
    pub(crate) fn drop_oldest(&self) -> bool {
        self.in_state(State::Ready).iter().any(|id| self.drop_idle(id))
    }

    /// Marks entries that were made before `limit_ms` as invalid.
    pub(crate) fn outdate(&self, limit_ms: i64) {
        for entry in self.entries().values_mut() {
            if entry.state == State::Ready && entry.record.created_at_ms < limit_ms {
                step(entry, Event::Outdated);
            }
        }
    }

    /// Whether an entry was made before `limit_ms`.
    pub(crate) fn is_older(&self, id: &str, limit_ms: i64) -> bool {
        self.entries().get(id).is_some_and(|entry| entry.record.created_at_ms < limit_ms)
    }

    /// When a session got an entry, or when it was made, Unix milliseconds; 0 when there is no such entry.
    pub(crate) fn last_use_ms(&self, id: &str) -> i64 {
        self.entries().get(id).map_or(0, |entry| entry.record.last_use_ms())
    }

    /// Deletes an entry if it is idle; whether it was. It is out of everybody's reach before that.
    pub(crate) fn drop_idle(&self, id: &str) -> bool {
        let dropped = {
            let mut entries = self.entries();
            entries.get_mut(id).is_some_and(|entry| {
                matches!(entry.state, State::Ready | State::Invalid) && step(entry, Event::Dropped)
            })
        };
        if dropped {
            if let Err(error) = scratch::remove(self.place(id).dir()) {
                tracing::warn!(id, %error, "could not delete an evicted workarea");
            }
            self.entries().remove(id);
        }
        dropped
    }

    fn idle_bytes(&self) -> u64 {
        let idle = |entry: &&Entry| matches!(entry.state, State::Ready | State::Invalid);
        self.entries().values().filter(idle).map(|entry| entry.record.bytes).sum()
    }

    /// Makes an entry ready once its record says so.
    fn settle(&self, id: &str, event: Event, change: impl FnOnce(&mut Record)) -> Result<(), WorkareaError> {
        let record = self.change(id, |entry| change(&mut entry.record));
        self.write(id, record)?;
        if let Some(entry) = self.entries().get_mut(id) {
            step(entry, event);
        }
        Ok(())
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Entry)) -> Option<Record> {
        let mut entries = self.entries();
        let entry = entries.get_mut(id)?;
        change(entry);
        Some(entry.record.clone())
    }

    fn write(&self, id: &str, record: Option<Record>) -> Result<(), WorkareaError> {
        let gone = || WorkareaError::io("write", self.place(id).dir(), std::io::ErrorKind::NotFound.into());
        record.ok_or_else(gone)?.write(self.place(id).dir())
    }
}

fn fill(record: &mut Record, contents: &Contents) {
    record.r#ref.clone_from(&contents.r#ref);
    record.checksum.clone_from(&contents.checksum);
    record.lockfiles.clone_from(&contents.lockfiles);
}

/// Takes an entry to its next state; false, and nothing happens, when the event cannot happen to it.
fn step(entry: &mut Entry, event: Event) -> bool {
    let Some(next) = state::next(entry.state, event) else {
        tracing::error!(id = entry.record.id, state = %entry.state, ?event, "a pool entry cannot do that");
        return false;
    };
    entry.state = next;
    true
}

fn unused_id() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    format!("wa-{:x}-{:x}-{:x}", now_ms(), std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Opens the pool of a state root as an earlier process left it.
pub(crate) fn open(dir: &Path, worktrees: &Path) -> (Pool, Found) {
    let pool = Pool::empty(dir.to_owned());
    let found = recover::recover(&pool, worktrees);
    (pool, found)
}
