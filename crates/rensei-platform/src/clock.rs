//! Time as an argument.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// Where the control plane takes time from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Wall clock, Unix milliseconds.
    fn now_ms(&self) -> i64;
    /// Milliseconds on a clock that nobody can set; its zero means nothing.
    fn steady_ms(&self) -> i64;
    /// Resolves after `duration` of this clock.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { origin: Instant::now() }
    }
}

/// Milliseconds of `duration`, as large as they get.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
    }

    fn steady_ms(&self) -> i64 {
        millis(self.origin.elapsed())
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that stands still until it is told to go on. For tests of whatever embeds the control plane.
#[derive(Debug, Clone)]
pub struct ManualClock {
    /// Wall clock and steady clock.
    now: Arc<watch::Sender<(i64, i64)>>,
}

impl ManualClock {
    /// A clock that stands at `now_ms`.
    #[must_use]
    pub fn new(now_ms: i64) -> Self {
        Self { now: Arc::new(watch::Sender::new((now_ms, 0))) }
    }

    /// Lets time pass; whoever sleeps on this clock wakes when due.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|(wall, steady)| {
            *wall += millis(by);
            *steady += millis(by);
        });
    }

    /// Sets the wall clock without any time passing, as an operator or a time server does.
    pub fn set_wall(&self, now_ms: i64) {
        self.now.send_modify(|(wall, _)| *wall = now_ms);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.now.borrow().0
    }

    fn steady_ms(&self) -> i64 {
        self.now.borrow().1
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let mut changes = self.now.subscribe();
            let until = self.steady_ms().saturating_add(millis(duration));
            // The sender lives as long as `self`, so the wait can only end by the time coming.
            let _ = changes.wait_for(|(_, steady)| *steady >= until).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_sleepers_when_told() {
        let clock = ManualClock::new(1_000);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep(Duration::from_secs(5)).await;
                clock.now_ms()
            }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(4));
        clock.set_wall(9);
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        assert_eq!(sleeper.await.unwrap(), 1_009);
    }
}
