//! The latest events, kept once for all their readers.
//!
//! A reader is a position, not a queue: however many there are and however slow, they cost nothing but that, and one that
//! fell behind what is kept is told how much it missed.

use rensei_proto::control::{HostChange, HostEvent};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Events that are kept.
const KEPT: usize = 1024;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Journal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Tells the ids of this daemon from those of its predecessors.
    start: i64,
    kept: Mutex<VecDeque<Arc<HostEvent>>>,
    /// Number of the last event, and whether there will be no more.
    last: watch::Sender<(u64, bool)>,
}

/// A reader.
#[derive(Debug)]
pub(super) struct Reader {
    journal: Journal,
    last: watch::Receiver<(u64, bool)>,
    /// Number of the last event that was read.
    position: u64,
    /// Events of a predecessor were asked for, which nobody has.
    unknown_gap: bool,
    ended: bool,
}

impl Journal {
    pub(super) fn new(start: jiff::Timestamp) -> Self {
        let kept = Mutex::new(VecDeque::with_capacity(KEPT));
        Self(Arc::new(Shared { start: start.as_millisecond(), kept, last: watch::Sender::new((0, false)) }))
    }

    /// Adds an event.
    pub(super) fn publish(&self, change: HostChange) {
        self.publish_unless(|_kept| false, change);
    }

    /// Adds an event unless it is there.
    pub(super) fn publish_once(&self, change: HostChange) {
        let known = change.clone();
        self.publish_unless(|kept| kept.change == known, change);
    }

    fn publish_unless(&self, is_known: impl Fn(&HostEvent) -> bool, change: HostChange) {
        let at = rensei_proto::rfc3339_millis(jiff::Timestamp::now());
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.iter().any(|event| is_known(event)) {
            return;
        }
        let number = self.0.last.borrow().0 + 1;
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::new(HostEvent { id: self.id(number), at, change }));
        // Under the lock, so that who sees the number finds the event.
        self.0.last.send_modify(|last| last.0 = number);
    }

    /// Ends all readers, after what they have not read yet.
    pub(super) fn close(&self) {
        self.0.last.send_modify(|last| last.1 = true);
    }

    /// A reader of what comes after the event of this id; without one, of what happens from now on.
    pub(super) fn read_after(&self, id: Option<&str>) -> Reader {
        let last = self.0.last.subscribe();
        let newest = last.borrow().0;
        let asked = id.map(|id| self.number(id).filter(|number| *number <= newest));
        let position = match asked {
            Some(known) => known.unwrap_or_else(|| newest.saturating_sub(KEPT as u64)),
            None => newest,
        };
        Reader { journal: self.clone(), last, position, unknown_gap: asked == Some(None), ended: false }
    }

    fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.0.start)
    }

    /// The number in an id of ours.
    fn number(&self, id: &str) -> Option<u64> {
        let (start, number) = id.split_once('-')?;
        (start.parse() == Ok(self.0.start)).then(|| number.parse().ok())?
    }

    /// The event after `position`, or how many before it are gone.
    fn after(&self, position: u64) -> Result<Arc<HostEvent>, u64> {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let first = self.0.last.borrow().0 + 1 - kept.len() as u64;
        let wanted = position + 1;
        let index = wanted.checked_sub(first).ok_or_else(|| first - wanted)?;
        kept.get(usize::try_from(index).unwrap_or(usize::MAX)).cloned().ok_or(0)
    }
}

impl Reader {
    /// The next event; `None` after the last one. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Arc<HostEvent>> {
        if std::mem::take(&mut self.unknown_gap) {
            return Some(self.note(HostChange::Missed { missed: None }));
        }
        let position = self.position;
        // The sender lives in the journal that this reader holds.
        let (newest, closed) = *self.last.wait_for(|(newest, closed)| *newest > position || *closed).await.ok()?;
        if newest > position {
            return Some(self.take());
        }
        (closed && !std::mem::replace(&mut self.ended, true)).then(|| self.note(HostChange::End))
    }

    fn take(&mut self) -> Arc<HostEvent> {
        match self.journal.after(self.position) {
            Ok(event) => {
                self.position += 1;
                event
            }
            Err(missed) => {
                self.position += missed;
                self.note(HostChange::Missed { missed: Some(missed) })
            }
        }
    }

    /// Something about the stream itself, at the reader's position.
    fn note(&self, change: HostChange) -> Arc<HostEvent> {
        let at = rensei_proto::rfc3339_millis(jiff::Timestamp::now());
        Arc::new(HostEvent { id: self.journal.id(self.position), at, change })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rensei_proto::control::HostState;

    fn journal(events: usize) -> Journal {
        let journal = Journal::new(jiff::Timestamp::UNIX_EPOCH);
        (0..events).for_each(|_| journal.publish(HostChange::HostState { status: HostState::Ready }));
        journal
    }

    async fn ids(mut reader: Reader) -> Vec<String> {
        let mut ids = Vec::new();
        while let Some(event) = reader.next().await {
            ids.push(format!("{} {}", event.id, event.change.name()));
        }
        ids
    }

    #[tokio::test]
    async fn readers_get_what_comes_after_their_position_and_an_end() {
        let journal = journal(3);
        let (fresh, back) = (journal.read_after(None), journal.read_after(Some("0-1")));
        journal.publish(HostChange::HostState { status: HostState::Paused });
        journal.close();
        assert_eq!(ids(fresh).await, ["0-4 host.state", "0-4 stream.end"]);
        assert_eq!(ids(back).await, ["0-2 host.state", "0-3 host.state", "0-4 host.state", "0-4 stream.end"]);
    }

    #[tokio::test]
    async fn who_is_too_slow_is_told_how_much_is_gone() {
        let journal = journal(1);
        let mut slow = journal.read_after(Some("0-0"));
        (0..KEPT + 5).for_each(|_| journal.publish(HostChange::HostState { status: HostState::Ready }));
        assert_eq!(slow.next().await.unwrap().change, HostChange::Missed { missed: Some(6) });
        assert_eq!(slow.next().await.unwrap().id, "0-7");
        journal.close();
        assert_eq!(ids(slow).await.len(), KEPT);
    }

    #[tokio::test]
    async fn what_is_there_is_not_told_again() {
        let journal = journal(2);
        let change = |status| HostChange::HostState { status };
        journal.publish_once(change(HostState::Ready));
        journal.publish_once(change(HostState::Paused));
        journal.close();
        assert_eq!(ids(journal.read_after(Some("0-0"))).await.len(), 4);
    }

    #[tokio::test]
    async fn ids_of_another_daemon_are_a_gap_of_unknown_size() {
        let journal = journal(2);
        for foreign in ["7-1", "0-99", "0-x", "", "0", "0--1"] {
            let mut reader = journal.read_after(Some(foreign));
            assert_eq!(reader.next().await.unwrap().change, HostChange::Missed { missed: None }, "{foreign}");
            assert_eq!(reader.next().await.unwrap().id, "0-1", "{foreign}");
        }
    }
}
