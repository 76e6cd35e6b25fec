//! How much the host serves just now. May change while it runs; sessions that run are not affected.

use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// Capacity in force, shared by all organisations.
#[derive(Debug)]
pub(crate) struct Serving {
    max_sessions: watch::Sender<usize>,
    /// Keys of the configuration that differ from what is in force.
    stale: Mutex<Vec<&'static str>>,
}

impl Serving {
    pub(crate) fn new(max_sessions: usize) -> Self {
        Self { max_sessions: watch::Sender::new(max_sessions), stale: Mutex::default() }
    }

    /// These keys, and no others, differ from what is in force in a way that only a start takes in.
    pub(crate) fn set_stale(&self, mut keys: Vec<&'static str>) {
        keys.sort_unstable();
        *self.stale.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// Keys that wait for the next start, in alphabetical order.
    pub(crate) fn stale(&self) -> Vec<String> {
        self.stale.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|key| (*key).to_owned()).collect()
    }

    /// Sessions that may run at once.
    pub(crate) fn max_sessions(&self) -> usize {
        *self.max_sessions.borrow()
    }

    /// Changes how many may run at once. 0: none.
    pub(crate) fn set_max_sessions(&self, max: usize) {
        self.max_sessions.send_replace(max);
    }

    /// Wakes on every change of the capacity.
    pub(crate) fn capacity_changes(&self) -> watch::Receiver<usize> {
        self.max_sessions.subscribe()
    }
}
