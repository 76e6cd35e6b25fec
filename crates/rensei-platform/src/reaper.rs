//! The one task that takes overdue claims back and forgets what ended long ago.

use crate::clock::{Clock, millis};
use crate::storage::Queue;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Shortest time between two looks.
const SHORTEST: Duration = Duration::from_secs(1);
/// Longest time between two looks; also how late a change of the clock is noticed.
const LONGEST: Duration = Duration::from_secs(60);
/// Steady milliseconds after the start, and after a change of the wall clock, in which nothing is forgotten: the clock may
/// be wrong.
const DISTRUST: i64 = 60 * 60 * 1_000;
/// How far wall clock and steady clock may drift apart between two looks before it counts as a change of the clock.
const CLOCK_STEP: i64 = 5_000;

/// Looks whenever something may be due, until `stop` turns true.
///
/// Leases are kept in wall-clock time, so that they outlive the process. A wall clock that is set, or a machine that was
/// suspended, would end all of them at once or keep them for hours; both are noticed here, and every live claim gets a
/// full new period instead.
pub(crate) async fn run(queue: Arc<dyn Queue>, clock: Arc<dyn Clock>, mut stop: watch::Receiver<bool>) {
    let mut last = (clock.now_ms(), clock.steady_ms());
    // A machine that has just booted may not have heard the time yet.
    let mut trusted_from = last.1 + DISTRUST;
    loop {
        let now = (clock.now_ms(), clock.steady_ms());
        let step = (now.0 - last.0) - (now.1 - last.1);
        last = now;
        if step.abs() > CLOCK_STEP {
            start_anew(queue.as_ref(), step).await;
            trusted_from = now.1 + DISTRUST;
        }
        look(queue.as_ref(), now.0).await;
        if now.1 >= trusted_from {
            prune(queue.as_ref(), now.0).await;
        }
        // Both arms only wait; losing one of them loses nothing.
        tokio::select! {
            () = until_due(queue.as_ref(), clock.as_ref(), now.1) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Gives every live claim a full period after the clock was set.
async fn start_anew(queue: &dyn Queue, step: i64) {
    tracing::warn!(event = "clock_step", seconds = step / 1000, "the wall clock was set: leases start anew");
    if let Err(error) = queue.grant_grace().await {
        tracing::error!(event = "grace_failed", error = &error as &dyn std::error::Error);
    }
}

/// Takes back what is overdue and notes when the next is.
async fn look(queue: &dyn Queue, now: i64) {
    queue.wake().begin_reaping();
    match queue.reap().await {
        Ok(next) => next.into_iter().for_each(|next| queue.wake().due(next)),
        Err(error) => {
            tracing::error!(event = "reap_failed", error = &error as &dyn std::error::Error);
            queue.wake().due(now + millis(SHORTEST));
        }
    }
}

/// Forgets what ended long ago; the rest with the next look when there is too much for one.
async fn prune(queue: &dyn Queue, now: i64) {
    match queue.prune().await {
        Ok(false) => {}
        Ok(true) => queue.wake().due(now + millis(SHORTEST)),
        Err(error) => tracing::error!(event = "prune_failed", error = &error as &dyn std::error::Error),
    }
}

/// Waits for the next look: until the earliest deadline, but not too shortly and not too long after the last one, which
/// began at `began`. The time that it took counts.
async fn until_due(queue: &dyn Queue, clock: &dyn Clock, began: i64) {
    loop {
        let left = u64::try_from(queue.wake().next_due().saturating_sub(clock.now_ms())).unwrap_or(0);
        let passed = Duration::from_millis(u64::try_from(clock.steady_ms() - began).unwrap_or(0));
        let wait = Duration::from_millis(left).clamp(SHORTEST.saturating_sub(passed), LONGEST.saturating_sub(passed));
        // Cancel-safe: an announcement that is not observed here is still in `next_due`.
        tokio::select! {
            () = clock.sleep(wait) => return,
            () = queue.wake().earlier_due() => {}
        }
    }
}
