//! Activities that wait to be posted: bounded, ordered, merging.

use super::MAX_CONTENT;
use rensei_proto::platform::Activity;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Activities that may wait.
pub(super) const CAPACITY: usize = 256;

/// One activity that waits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) activity: Activity,
    /// Lines of output in it; 0: it is something else and never merged.
    pub(super) lines: u64,
}

impl Entry {
    fn takes(&self, kind: &str, bytes: usize) -> bool {
        self.lines > 0 && self.activity.r#type == kind && self.activity.content.len() + 1 + bytes <= MAX_CONTENT
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Entry>,
    dropped: u64,
    closed: bool,
}

impl State {
    /// Puts the count of what was lost where it was lost. A full queue has one place for it beyond its capacity.
    fn name_dropped(&mut self) {
        if self.dropped > 0 && self.waiting.len() <= CAPACITY {
            self.waiting.push_back(Entry { activity: dropped_note(self.dropped), lines: 0 });
            self.dropped = 0;
        }
    }

    fn insert(&mut self, entry: Entry) {
        if self.waiting.len() >= CAPACITY {
            self.dropped += entry.lines.max(1);
            return;
        }
        self.name_dropped();
        self.waiting.push_back(entry);
    }
}

fn dropped_note(count: u64) -> Activity {
    let lines = if count == 1 { "line" } else { "lines" };
    Activity {
        r#type: "progress".to_owned(),
        content: format!("dropped {count} {lines}: the control plane did not take them in time"),
        timestamp: Some(rensei_proto::rfc3339_millis(jiff::Timestamp::now())),
        ..Activity::default()
    }
}

/// What the poster finds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Next {
    /// Post this.
    Ready(Box<Entry>),
    /// The only thing that waits is output that may still be merged with.
    Growing,
    /// Nothing waits.
    Empty,
    /// Nothing waits and nothing comes.
    Closed,
}

/// The queue between a session and its poster.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is one push or pop; there is no half-made state to fear.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a line of that size would be dropped.
    pub(super) fn is_full(&self, kind: &str, bytes: usize) -> bool {
        let state = self.lock();
        state.waiting.len() >= CAPACITY && !state.waiting.back().is_some_and(|last| last.takes(kind, bytes))
    }

    /// Adds a line of output, to the last entry if that is output of the same kind with room for it.
    pub(super) fn push_line(&self, kind: &str, line: &str, new: impl FnOnce() -> Activity) {
        let mut state = self.lock();
        match state.waiting.back_mut().filter(|last| last.takes(kind, line.len())) {
            Some(last) => {
                last.activity.content.push('\n');
                last.activity.content.push_str(line);
                last.lines += 1;
            }
            None => state.insert(Entry { activity: Activity { content: line.to_owned(), ..new() }, lines: 1 }),
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Adds something that is not output.
    pub(super) fn push(&self, activity: Activity) {
        self.lock().insert(Entry { activity, lines: 0 });
        self.changed.notify_one();
    }

    /// Counts lines that were lost.
    pub(super) fn drop_lines(&self, count: u64) {
        self.lock().dropped += count;
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Takes the first entry. With `patient`, output that stands alone and may still grow is left.
    pub(super) fn next(&self, patient: bool) -> Next {
        let mut state = self.lock();
        if state.closed {
            state.name_dropped();
        }
        let alone = state.waiting.len() == 1 && !state.closed;
        match state.waiting.pop_front() {
            Some(first) if patient && alone && first.takes(&first.activity.r#type, 1) => {
                state.waiting.push_front(first);
                Next::Growing
            }
            Some(first) => Next::Ready(Box::new(first)),
            None if state.closed => Next::Closed,
            None => Next::Empty,
        }
    }

    /// Waits for a change since the last call of [`Queue::next`].
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(queue: &Queue, kind: &str, text: &str) {
        queue.push_line(kind, text, || Activity { r#type: kind.into(), ..Activity::default() });
    }

    fn drain(queue: &Queue) -> Vec<String> {
        let next = || match queue.next(false) {
            Next::Ready(entry) => Some(entry.activity.content),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn lines_of_one_stream_merge_in_order_up_to_the_limit() {
        let queue = Queue::default();
        line(&queue, "thought", "a");
        line(&queue, "thought", "b");
        line(&queue, "progress", "c");
        queue.push(Activity { content: "step".into(), ..Activity::default() });
        line(&queue, "progress", "d");
        line(&queue, "progress", &"x".repeat(MAX_CONTENT));
        let contents = drain(&queue);
        assert_eq!(contents[..4], ["a\nb", "c", "step", "d"]);
        assert_eq!(contents[4].len(), MAX_CONTENT);
        assert_eq!(queue.next(false), Next::Empty);
    }

    #[test]
    fn what_does_not_fit_is_counted_where_it_is_missing() {
        let queue = Queue::default();
        let full = "x".repeat(MAX_CONTENT);
        for _ in 0..CAPACITY + 3 {
            line(&queue, "thought", &full);
        }
        assert!(queue.is_full("thought", 1));
        queue.drop_lines(4);
        assert_eq!(drain(&queue).len(), CAPACITY);
        line(&queue, "thought", "after");
        let contents = drain(&queue);
        assert!(contents[0].starts_with("dropped 7 lines"), "{contents:?}");
        assert_eq!(contents[1..], ["after"]);
        queue.drop_lines(1);
        queue.close();
        assert!(drain(&queue)[0].starts_with("dropped 1 line:"));
        assert_eq!(queue.next(false), Next::Closed);
    }

    #[test]
    fn patience_ends_with_company_or_the_end() {
        let queue = Queue::default();
        line(&queue, "thought", "a");
        assert_eq!(queue.next(true), Next::Growing);
        line(&queue, "progress", "b");
        assert!(matches!(queue.next(true), Next::Ready(_)));
        assert_eq!(queue.next(true), Next::Growing);
        queue.close();
        assert!(matches!(queue.next(true), Next::Ready(_)));
        assert_eq!(queue.next(true), Next::Closed);
    }
}
