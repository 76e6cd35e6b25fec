//! Who waits for what, in this process.
//!
//! Two kinds of waits, one rule: register first, then look, then wait. Whatever happens after the look is then either
//! seen by it or wakes the wait.
//!
//! - A wait on a **session** is woken by every change of it.
//! - A wait for **work** is woken one at a time: one new session wakes one poll, not all of them. A woken poll that
//!   turns out unable to take the session (its slots are full by now, its client hung up) passes the wake-up on, so
//!   that a session never waits beside an idle worker.

use crate::runner::Runner;
use crate::storage::Scope;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// Where a queued session stands: its organisation, project and lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) org: String,
    pub(crate) project: String,
    pub(crate) runner: Runner,
}

/// A queued session, and who cannot see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) place: Place,
    /// Workers that refused it a moment ago; they are told by [`Wake::worker`] when they may have it again.
    pub(crate) hidden_from: Vec<String>,
}

impl Offer {
    /// An offer that every worker of the place can see.
    pub(crate) const fn to_all(place: Place) -> Self {
        Self { place, hidden_from: Vec::new() }
    }
}

/// Waits and wake-ups. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wake {
    inner: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// The earliest deadline that the reaper knows of; it is told when an earlier one appears.
    next_due: AtomicI64,
    due: Notify,
}

impl Default for Shared {
    fn default() -> Self {
        Self { state: Mutex::default(), next_due: AtomicI64::new(i64::MAX), due: Notify::new() }
    }
}

#[derive(Debug, Default)]
struct State {
    last_ticket: u64,
    tickets: HashMap<u64, Ticket>,
    /// Tickets that wait for work, oldest first, by organisation and lane.
    lanes: HashMap<(String, Runner), BTreeMap<u64, Option<String>>>,
    /// Tickets by worker.
    workers: HashMap<String, HashSet<u64>>,
    sessions: HashMap<String, watch::Sender<()>>,
}

#[derive(Debug)]
struct Ticket {
    worker: String,
    scope: Scope,
    runner: Runner,
    /// Sessions it was woken for and has not looked after yet.
    woken_for: Vec<Offer>,
    notify: Arc<Notify>,
}

impl State {
    /// Puts the ticket among those that are woken for work.
    fn arm(&mut self, id: u64) {
        if let Some(ticket) = self.tickets.get(&id) {
            let lane = self.lanes.entry((ticket.scope.org.clone(), ticket.runner)).or_default();
            lane.insert(id, ticket.scope.project.clone());
        }
    }

    fn disarm(&mut self, id: u64) {
        let Some(ticket) = self.tickets.get(&id) else { return };
        let key = (ticket.scope.org.clone(), ticket.runner);
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.remove(&id);
            if lane.is_empty() {
                self.lanes.remove(&key);
            }
        }
    }

    /// Wakes the ticket that has waited longest for what is offered.
    fn wake_one(&mut self, offer: Offer) {
        let place = &offer.place;
        let Some(lane) = self.lanes.get(&(place.org.clone(), place.runner)) else { return };
        let fits = |id: &u64, project: &Option<String>| {
            project.as_ref().is_none_or(|project| *project == place.project)
                && self.tickets.get(id).is_some_and(|ticket| !offer.hidden_from.contains(&ticket.worker))
        };
        let Some(id) = lane.iter().find(|(id, project)| fits(id, project)).map(|(id, _)| *id) else { return };
        self.disarm(id);
        if let Some(ticket) = self.tickets.get_mut(&id) {
            ticket.woken_for.push(offer);
            ticket.notify.notify_one();
        }
    }

    /// Forgets the ticket; what it was woken for and did not look after wakes others.
    fn remove(&mut self, id: u64) {
        self.disarm(id);
        let Some(ticket) = self.tickets.remove(&id) else { return };
        if let Some(of_worker) = self.workers.get_mut(&ticket.worker) {
            of_worker.remove(&id);
            if of_worker.is_empty() {
                self.workers.remove(&ticket.worker);
            }
        }
        ticket.woken_for.into_iter().for_each(|offer| self.wake_one(offer));
    }
}

impl Wake {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock; if it did, the maps would still be maps.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is a session to claim.
    pub(crate) fn work(&self, offer: Offer) {
        self.state().wake_one(offer);
    }

    /// The worker may have a free slot, or its registration changed.
    pub(crate) fn worker(&self, worker: &str) {
        let state = self.state();
        for id in state.workers.get(worker).into_iter().flatten() {
            if let Some(ticket) = state.tickets.get(id) {
                ticket.notify.notify_one();
            }
        }
    }

    /// The session changed.
    pub(crate) fn session(&self, id: &str) {
        if let Some(sender) = self.state().sessions.get(id) {
            sender.send_replace(());
        }
    }

    /// Begins a wait for work.
    pub(crate) fn wait_for_work(&self, worker: &str, scope: &Scope, runner: Runner) -> WorkWait {
        let notify = Arc::new(Notify::new());
        let mut state = self.state();
        state.last_ticket += 1;
        let id = state.last_ticket;
        let (worker, scope) = (worker.to_owned(), scope.clone());
        state.workers.entry(worker.clone()).or_default().insert(id);
        state.tickets.insert(id, Ticket { worker, scope, runner, woken_for: Vec::new(), notify: Arc::clone(&notify) });
        drop(state);
        WorkWait { wake: self.clone(), id, notify, looked_at: Vec::new() }
    }

    /// Begins a wait for changes of a session.
    pub(crate) fn wait_for_session(&self, id: &str) -> SessionWait {
        let changes = self.state().sessions.entry(id.to_owned()).or_default().subscribe();
        SessionWait { wake: self.clone(), id: id.to_owned(), changes: Some(changes) }
    }

    /// Something falls due at `at` (Unix milliseconds).
    pub(crate) fn due(&self, at: i64) {
        if self.inner.next_due.fetch_min(at, Ordering::AcqRel) > at {
            self.inner.due.notify_one();
        }
    }

    /// The reaper is about to look: deadlines set from here on announce themselves again.
    pub(crate) fn begin_reaping(&self) {
        self.inner.next_due.store(i64::MAX, Ordering::Release);
    }

    /// The earliest deadline announced since [`Wake::begin_reaping`], or `i64::MAX`.
    pub(crate) fn next_due(&self) -> i64 {
        self.inner.next_due.load(Ordering::Acquire)
    }

    /// Resolves when an earlier deadline was announced.
    pub(crate) async fn earlier_due(&self) {
        self.inner.due.notified().await;
    }
}

/// A poll that waits for work.
#[derive(Debug)]
pub(crate) struct WorkWait {
    wake: Wake,
    id: u64,
    notify: Arc<Notify>,
    /// Sessions that the look under way takes care of.
    looked_at: Vec<Offer>,
}

impl WorkWait {
    /// Call before each look at the queue.
    pub(crate) fn begin_look(&mut self) {
        let mut state = self.wake.state();
        if let Some(ticket) = state.tickets.get_mut(&self.id) {
            self.looked_at.append(&mut ticket.woken_for);
        }
        state.arm(self.id);
    }

    /// Call after each look. `saturated`: the worker could not have taken more, so what is left is for others, and
    /// only a change of the worker itself ends the wait.
    pub(crate) fn end_look(&mut self, saturated: bool) {
        let offers = std::mem::take(&mut self.looked_at);
        if saturated {
            let mut state = self.wake.state();
            state.disarm(self.id);
            let since = state.tickets.get_mut(&self.id).map(|ticket| std::mem::take(&mut ticket.woken_for));
            offers.into_iter().chain(since.unwrap_or_default()).for_each(|offer| state.wake_one(offer));
        }
    }

    /// Resolves when there may be work. Cancel-safe: a wake-up that is not observed is passed on by the drop.
    pub(crate) async fn woken(&self) {
        self.notify.notified().await;
    }
}

impl Drop for WorkWait {
    fn drop(&mut self) {
        let offers = std::mem::take(&mut self.looked_at);
        let mut state = self.wake.state();
        state.remove(self.id);
        offers.into_iter().for_each(|offer| state.wake_one(offer));
    }
}

/// A wait for changes of one session.
#[derive(Debug)]
pub(crate) struct SessionWait {
    wake: Wake,
    id: String,
    /// Taken by the drop alone.
    changes: Option<watch::Receiver<()>>,
}

impl SessionWait {
    /// Resolves when the session changed since the wait began or since the last change seen. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        match &mut self.changes {
            // The sender stays for as long as there are receivers.
            Some(changes) => drop(changes.changed().await),
            None => std::future::pending().await,
        }
    }
}

impl Drop for SessionWait {
    fn drop(&mut self) {
        let mut state = self.wake.state();
        self.changes = None;
        if state.sessions.get(&self.id).is_some_and(|sender| sender.receiver_count() == 0) {
            state.sessions.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests;
