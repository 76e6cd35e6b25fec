//! Posts activities one after the other.

use super::queue::{Entry, Next, Queue};
use crate::link::{Link, is_transient, patience};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Output within this time goes into one activity. The first line never waits.
const MERGE: Duration = Duration::from_millis(50);
/// Attempts per activity.
const ATTEMPTS: u32 = 6;
const FIRST_DELAY: Duration = Duration::from_millis(250);
const MAX_DELAY: Duration = Duration::from_secs(5);

/// Posts until the queue is closed and empty.
pub(super) async fn run(queue: Arc<Queue>, link: Arc<Link>) {
    let mut merge_until = Instant::now();
    loop {
        match queue.next(Instant::now() < merge_until) {
            Next::Ready(entry) => {
                merge_until = Instant::now() + MERGE;
                post(&queue, &link, *entry).await;
            }
            Next::Growing => tokio::select! {
                // Nothing is lost when either is dropped: the queue keeps the entry.
                () = sleep_until(merge_until) => {}
                () = queue.changed() => {}
            },
            Next::Empty => queue.changed().await,
            Next::Closed => return,
        }
    }
}

async fn post(queue: &Queue, link: &Link, entry: Entry) {
    let mut delay = FIRST_DELAY;
    for attempt in 1..=ATTEMPTS {
        match link.activity(&entry.activity).await {
            Ok(()) => return,
            Err(error) if attempt < ATTEMPTS && is_transient(&error) => {
                sleep(patience(&error).unwrap_or(delay).min(MAX_DELAY)).await;
                delay = (delay * 2).min(MAX_DELAY);
            }
            Err(error) => {
                tracing::warn!(%error, "activity was not taken");
                queue.drop_lines(entry.lines.max(1));
                return;
            }
        }
    }
}
