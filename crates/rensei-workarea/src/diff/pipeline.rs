//! Threads that list and compare, and one that hears of it in order.

use super::walk::{Task, Walk};
use super::{Failure, compare};
use crate::tree::{Tree, WORKERS};
use rensei_proto::control::DiffEntry;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

/// Paths that travel between threads together.
const BATCH: usize = 64;
/// Directories that one batch may keep open.
const BATCH_DIRECTORIES: usize = 4;
/// Batches that wait; with the directories of each this bounds how many files are open.
const WAITING: usize = 16;

type Found = Result<Vec<DiffEntry>, Failure>;

struct Batch {
    tasks: Vec<Task>,
    answer: SyncSender<Found>,
}

/// Sets the flag when it goes, however that comes about.
struct Cancel<'a>(&'a AtomicBool);

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Calls `emit` with what differs, in order.
pub(super) fn run(a: &Tree, b: &Tree, emit: impl FnMut(DiffEntry) -> ControlFlow<()>) -> Result<(), Failure> {
    let cancelled = AtomicBool::new(false);
    let (to_workers, work) = sync_channel(WAITING);
    let (to_caller, answers) = sync_channel(WAITING);
    let work = Mutex::new(work);
    std::thread::scope(|scope| {
        // First dropped: whoever still works must stop before the scope waits for it.
        let cancel = Cancel(&cancelled);
        scope.spawn(|| list(Walk::new(a, b), to_workers, to_caller));
        for _worker in 0..WORKERS {
            scope.spawn(|| serve(&work, &cancelled));
        }
        let result = hear(answers, emit);
        drop(cancel);
        result
    })
}

/// Hands out what is to be compared, in order, until nobody listens.
fn list(walk: Walk<'_>, workers: SyncSender<Batch>, caller: SyncSender<Receiver<Found>>) {
    let send = |tasks: Vec<Task>| {
        let (answer, result) = sync_channel(1);
        caller.send(result).is_ok() && workers.send(Batch { tasks, answer }).is_ok()
    };
    let (mut tasks, mut directories) = (Vec::new(), 0);
    for task in walk {
        let task = match task {
            Ok(task) => task,
            Err(failure) => {
                let (answer, result) = sync_channel(1);
                // Whoever hangs up has no use for the failure either.
                let _ = send(tasks) && caller.send(result).is_ok() && answer.send(Err(failure)).is_ok();
                return;
            }
        };
        directories += usize::from(tasks.last().is_none_or(|last: &Task| !last.is_beside(&task)));
        if tasks.len() >= BATCH || directories > BATCH_DIRECTORIES {
            directories = 1;
            if !send(std::mem::take(&mut tasks)) {
                return;
            }
        }
        tasks.push(task);
    }
    let _ = send(tasks);
}

fn serve(work: &Mutex<Receiver<Batch>>, cancelled: &AtomicBool) {
    let mut buffers = compare::Buffers::default();
    loop {
        let batch = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = batch else { return };
        let found = batch.tasks.iter().filter_map(|task| compare::compare(task, &mut buffers, cancelled).transpose());
        // Nobody waits for it after an error or a break.
        let _ = batch.answer.send(found.collect());
    }
}

fn hear(answers: Receiver<Receiver<Found>>, mut emit: impl FnMut(DiffEntry) -> ControlFlow<()>) -> Result<(), Failure> {
    for answer in answers {
        // A worker that panicked makes the scope panic, too.
        let Ok(found) = answer.recv() else { return Ok(()) };
        for entry in found? {
            if emit(entry).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}
