//! The workers' output as lines, for an embedder.
//!
//! Workers write into files. One thread follows those files and calls the sink, so whatever a sink does costs neither a
//! worker nor the daemon anything: a slow one lags behind the file, and one that lags too far misses what it is told of.

use rensei_process::output_log::{OutputLog, Piece};
use rensei_proto::SessionId;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Pause of a thread that has nothing to deliver while workers run.
const TICK: Duration = Duration::from_millis(50);
/// Longest piece of a line, in bytes.
const PIECE: usize = 64 * 1024;
/// How far a sink may lag behind a worker, in bytes. Well below what is kept of a log that grows.
const MAX_BEHIND: u64 = 32 << 20;
/// Sessions that wait for a sink at most.
const MAX_FOLLOWED: usize = 1024;

/// Gets what the workers of a host write, to stdout and stderr alike, line by line and in order. Called by one thread.
pub trait OutputSink: Send + Sync + 'static {
    /// A line of a session.
    fn line(&self, line: OutputLine<'_>);

    /// The sink was too slow: so many bytes of a session are in its file only, between the line before and the line after.
    fn missed(&self, session: &SessionId, bytes: u64) {
        let _ = (session, bytes);
    }
}

impl<F: Fn(OutputLine<'_>) + Send + Sync + 'static> OutputSink for F {
    fn line(&self, line: OutputLine<'_>) {
        self(line);
    }
}

/// A line that a worker has written, or a piece of a very long one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputLine<'a> {
    /// Whose.
    pub session_id: &'a SessionId,
    /// Its bytes without the line break, in whatever encoding the worker uses.
    pub bytes: &'a [u8],
    /// Whether the line ends here; pieces of 64 KiB come before that.
    pub ends: bool,
}

/// Carries output to a sink, if there is one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Feed(Option<Arc<Shared>>);

struct Shared {
    sink: Box<dyn OutputSink>,
    state: Mutex<State>,
    news: Condvar,
    missed: AtomicU64,
    /// Sessions that are not delivered to their end.
    open: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    /// By the order in which they came: an id may come again before a slow sink is through with what it was.
    followed: BTreeMap<u64, Followed>,
    next: u64,
    has_thread: bool,
}

#[derive(Debug, Clone)]
struct Followed {
    id: SessionId,
    path: PathBuf,
    /// Stays readable when another attempt takes the path.
    log: Arc<OutputLog>,
    offset: u64,
    ended: bool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Feed {
    pub(crate) fn new(sink: impl OutputSink) -> Self {
        let (state, news, missed, open) = Default::default();
        Self(Some(Arc::new(Shared { sink: Box::new(sink), state, news, missed, open })))
    }

    /// Delivers what comes into the file from `offset` on.
    pub(crate) fn follow(&self, id: &SessionId, path: PathBuf, offset: u64) {
        let Some(shared) = &self.0 else { return };
        let log = match OutputLog::open(&path) {
            Ok(log) => Arc::new(log),
            Err(error) => {
                tracing::warn!(session_id = %id, %error, "the output sink gets nothing of this session");
                return;
            }
        };
        let mut state = shared.state();
        if state.followed.len() >= MAX_FOLLOWED {
            tracing::warn!(session_id = %id, "the output sink hangs; it gets nothing of this session");
            return;
        }
        let turn = state.next;
        state.next += 1;
        state.followed.insert(turn, Followed { id: id.clone(), path, log, offset, ended: false });
        shared.open.send_replace(state.followed.len());
        if !state.has_thread {
            let owned = Arc::clone(shared);
            let started = std::thread::Builder::new().name("output-sink".to_owned()).spawn(move || owned.run());
            state.has_thread =
                started.map_err(|error| tracing::error!(%error, "no thread for the output sink")).is_ok();
        }
        drop(state);
        shared.news.notify_one();
    }

    /// Nothing more comes into the file. False when nobody follows it.
    pub(crate) fn ended(&self, id: &SessionId) -> bool {
        let Some(shared) = &self.0 else { return false };
        let mut state = shared.state();
        // Earlier attempts have ended already.
        let ended =
            state.followed.values_mut().filter(|followed| followed.id == *id).map(|each| each.ended = true).count();
        drop(state);
        shared.news.notify_one();
        ended > 0
    }

    /// Waits until everything that has ended is delivered.
    pub(crate) async fn delivered(&self) {
        let Some(shared) = &self.0 else { return };
        let mut open = shared.open.subscribe();
        let _sender_is_ours = open.wait_for(|open| *open == 0).await;
    }

    /// Bytes that the sink was too slow for.
    pub(crate) fn missed(&self) -> u64 {
        self.0.as_ref().map_or(0, |shared| shared.missed.load(Ordering::Relaxed))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when nothing is followed any more; the next session starts another thread.
    fn run(&self) {
        loop {
            let Some(batch) = self.batch() else { return };
            let mut delivered = false;
            for (turn, mut followed) in batch {
                let before = followed.offset;
                let more = self.pump(&mut followed).unwrap_or(false);
                delivered |= followed.offset != before;
                self.settle(turn, &followed, more);
            }
            if !delivered {
                let _state = self.news.wait_timeout(self.state(), TICK).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// What is followed, but of each id only the first: attempts come one after the other.
    fn batch(&self) -> Option<Vec<(u64, Followed)>> {
        let mut state = self.state();
        if state.followed.is_empty() {
            state.has_thread = false;
            return None;
        }
        let mut seen = HashSet::new();
        let first = state.followed.iter().filter(|(_turn, followed)| seen.insert(&followed.id));
        Some(first.map(|(turn, followed)| (*turn, followed.clone())).collect())
    }

    /// Notes how far it got; a session that has ended and has nothing more is done with.
    fn settle(&self, turn: u64, followed: &Followed, more: bool) {
        let mut state = self.state();
        if followed.ended && !more {
            state.followed.remove(&turn);
            self.open.send_replace(state.followed.len());
            let comes_again = state.followed.values().any(|other| other.id == followed.id);
            drop(state);
            if !comes_again {
                super::output::bound_ended(&followed.id, &followed.path);
            }
        } else if let Some(known) = state.followed.get_mut(&turn) {
            known.offset = followed.offset;
        }
    }

    /// Delivers one stretch of a file. Whether there is more behind it.
    fn pump(&self, followed: &mut Followed) -> io::Result<bool> {
        let (id, log) = (&followed.id, Arc::clone(&followed.log));
        let size = log.size()?;
        // Its worker may have shortened it.
        followed.offset = followed.offset.min(size);
        let behind = size - followed.offset;
        if behind > MAX_BEHIND {
            self.skip(id, behind - MAX_BEHIND / 2);
            followed.offset = size - MAX_BEHIND / 2;
        }
        let bytes = match log.read(followed.offset, PIECE)? {
            Piece::Data(bytes) => bytes,
            Piece::Hole { until } => {
                self.skip(id, until - followed.offset);
                followed.offset = until;
                return Ok(until < size);
            }
        };
        let is_last = followed.offset + bytes.len() as u64 >= size;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in bytes[..whole].split_inclusive(|byte| *byte == b'\n') {
            self.call(id, &line[..line.len() - 1], true);
        }
        followed.offset += whole as u64;
        let rest = &bytes[whole..];
        // A line is not waited for that is very long, or whose end was dropped, or that nobody goes on with.
        if (whole == 0 && (bytes.len() == PIECE || !is_last)) || (followed.ended && is_last && !rest.is_empty()) {
            self.call(id, rest, is_last && followed.ended);
            followed.offset += rest.len() as u64;
        }
        Ok(!is_last)
    }

    fn skip(&self, id: &SessionId, bytes: u64) {
        self.missed.fetch_add(bytes, Ordering::Relaxed);
        tracing::warn!(event = "dropped", sessionID = %id, bytes, "the output sink is too slow");
        self.harmless(|| self.sink.missed(id, bytes));
    }

    fn call(&self, session_id: &SessionId, bytes: &[u8], ends: bool) {
        self.harmless(|| self.sink.line(OutputLine { session_id, bytes, ends }));
    }

    /// A sink that panics misses the line that it panicked at.
    fn harmless(&self, call: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(call)).is_err() {
            tracing::error!(event = "panic", task = "output-sink", "the output sink panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl OutputSink for Arc<Heard> {
        fn line(&self, line: OutputLine<'_>) {
            self.0.lock().unwrap().push(String::from_utf8_lossy(line.bytes).into_owned());
        }

        fn missed(&self, _session: &SessionId, bytes: u64) {
            self.0.lock().unwrap().push(format!("missed {bytes}"));
        }
    }

    #[tokio::test]
    async fn what_was_dropped_from_a_log_that_was_closed_up_is_missed_and_nothing_comes_twice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output.log");
        let (head, gap) = (1 << 20, 5_000_000);
        let line = format!("\n[... {gap:>20} bytes of output were dropped here ...]\n");
        std::fs::write(&path, format!("{}{line}one\ntwo\n", "x".repeat(head))).unwrap();
        let before_the_end = head + gap + 4;
        for (from, expected) in [
            (head - 2, vec!["xx".to_owned(), "missed 5000000".to_owned(), "one".to_owned(), "two".to_owned()]),
            (head + 1_000_000, vec!["missed 4000000".to_owned(), "one".to_owned(), "two".to_owned()]),
            (before_the_end, vec!["two".to_owned()]),
        ] {
            let heard = Arc::new(Heard::default());
            let feed = Feed::new(Arc::clone(&heard));
            let id = SessionId::parse("s-1").unwrap();
            feed.follow(&id, path.clone(), from as u64);
            assert!(feed.ended(&id));
            feed.delivered().await;
            assert_eq!(*heard.0.lock().unwrap(), expected, "from {from}");
        }
    }

    #[tokio::test]
    async fn an_id_that_comes_again_while_the_sink_is_behind_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (path, aside) = (dir.path().join("output.log"), dir.path().join("aside.log"));
        std::fs::write(&path, format!("{}\n1: last\n", "1: more and more\n".repeat(10_000))).unwrap();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (go, may_go) = std::sync::mpsc::channel::<()>();
        let (heard, may_go) = (Arc::new(Heard::default()), Mutex::new(may_go));
        let keep = Arc::clone(&heard);
        let feed = Feed::new(move |line: OutputLine<'_>| {
            let _first = begun.send(());
            // Until the other side is gone.
            let _closed = may_go.lock().unwrap().recv();
            keep.line(line);
        });
        let id = SessionId::parse("s-1").unwrap();
        feed.follow(&id, path.clone(), 0);
        has_begun.recv().unwrap();
        assert!(feed.ended(&id));
        std::fs::rename(&path, &aside).unwrap();
        std::fs::write(&path, "2: first\n").unwrap();
        feed.follow(&id, path.clone(), 0);
        drop(go);
        // The second attempt goes on for as long as the first one is read.
        let first_is_through = async {
            while !heard.0.lock().unwrap().iter().any(|line| line == "2: first") {
                tokio::time::sleep(TICK).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), first_is_through).await.unwrap();
        std::fs::write(&path, "2: first\n2: last\n").unwrap();
        assert!(feed.ended(&id));
        feed.delivered().await;
        let heard = heard.0.lock().unwrap();
        assert_eq!(heard.len(), 10_000 + 4);
        assert_eq!(heard[10_001..], ["1: last", "2: first", "2: last"]);
    }
}
