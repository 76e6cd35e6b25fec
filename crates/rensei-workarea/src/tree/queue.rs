//! Work that makes more work, shared by a few threads.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Last in, first out, so that a tree is walked depth first and little of it waits.
#[derive(Debug)]
pub(super) struct Queue<T, E> {
    state: Mutex<State<T, E>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T, E> {
    waiting: Vec<T>,
    busy: usize,
    failed: Option<E>,
}

impl<T: Send, E: Send> Queue<T, E> {
    pub(super) const fn new() -> Self {
        let state = State { waiting: Vec::new(), busy: 0, failed: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn push(&self, item: T) {
        self.state().waiting.push(item);
        self.changed.notify_one();
    }

    /// Whether another thread would find nothing to do.
    pub(super) fn is_short(&self) -> bool {
        self.state().waiting.len() < super::WORKERS
    }

    /// Runs `work` on everything that is and will be pushed, on a few threads. The first error ends it.
    pub(super) fn drain(&self, work: impl Fn(T) -> Result<(), E> + Sync) -> Result<(), E> {
        std::thread::scope(|scope| {
            for _more in 1..super::WORKERS {
                // Without a second thread this one does it all.
                let _handle = std::thread::Builder::new().spawn_scoped(scope, || self.work(&work));
            }
            self.work(&work);
        });
        self.state().failed.take().map_or(Ok(()), Err)
    }

    fn work(&self, work: &impl Fn(T) -> Result<(), E>) {
        while let Some(item) = self.take() {
            let done = Done { queue: self };
            if let Err(error) = work(item) {
                self.state().failed.get_or_insert(error);
            }
            drop(done);
        }
    }

    fn take(&self) -> Option<T> {
        let mut state = self.state();
        loop {
            if state.failed.is_some() {
                return None;
            }
            if let Some(item) = state.waiting.pop() {
                state.busy += 1;
                return Some(item);
            }
            if state.busy == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks a piece of work as done, also when it panics: the others must not wait for it.
struct Done<'a, T: Send, E: Send> {
    queue: &'a Queue<T, E>,
}

impl<T: Send, E: Send> Drop for Done<'_, T, E> {
    fn drop(&mut self) {
        self.queue.state().busy -= 1;
        self.queue.changed.notify_all();
    }
}
