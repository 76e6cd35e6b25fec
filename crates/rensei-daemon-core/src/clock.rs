//! Clocks that are set, and machines that sleep.
//!
//! All intervals and deadlines of the host are measured by a clock that nobody can set and that stands still while the
//! machine is suspended. So a wall clock that jumps ends nothing and delays nothing. After a suspend, connections are
//! dead, tokens are old and leases may be over, which nobody notices before the next interval is over: [`watch`] does,
//! and wakes the lanes.

use std::fmt;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::Instant;

/// Time that an embedder may replace.
pub trait Clock: Send + Sync + fmt::Debug {
    /// What the machine thinks the time is. May jump.
    fn wall(&self) -> SystemTime;
    /// Time since some fixed moment. Never jumps, and goes on while the machine is suspended.
    fn since_boot(&self) -> Duration;
}

/// The clocks of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn since_boot(&self) -> Duration {
        #[cfg(target_os = "linux")]
        let id = rustix::time::ClockId::Boottime;
        // Elsewhere this one goes on in a suspend.
        #[cfg(not(target_os = "linux"))]
        let id = rustix::time::ClockId::Monotonic;
        let now = rustix::time::clock_gettime(id);
        Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
    }
}

/// Time between two looks at the clocks.
const LOOK: Duration = Duration::from_secs(2);
/// Shortest suspend worth waking for. The clocks are not read at the same instant.
const SUSPEND: Duration = Duration::from_secs(1);
/// Smallest jump of the wall clock worth mentioning: daylight saving is none, a correction by the network is small.
const JUMP: Duration = Duration::from_secs(5);

/// How long the machine was suspended in all, for those who wait for its end.
#[derive(Debug, Clone)]
pub(crate) struct Suspended(watch::Sender<Duration>);

impl Suspended {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Duration::ZERO))
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Duration> {
        self.0.subscribe()
    }
}

/// Waits for the end of a suspend that was not seen yet.
pub(crate) async fn woken(suspended: &mut watch::Receiver<Duration>) {
    if suspended.changed().await.is_err() {
        // Nobody looks any more.
        std::future::pending().await
    }
}

/// All clocks at one moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    wall: SystemTime,
    since_boot: Duration,
    awake: Instant,
}

/// What happened between two readings.
#[derive(Debug, PartialEq, Eq)]
struct Passed {
    /// The machine was suspended for so long.
    asleep: Duration,
    /// The wall clock was set, by so many seconds.
    jumped: i64,
}

impl Reading {
    fn of(clock: &dyn Clock) -> Self {
        Self { wall: clock.wall(), since_boot: clock.since_boot(), awake: Instant::now() }
    }

    fn since(&self, before: &Self) -> Passed {
        let elapsed = self.since_boot.saturating_sub(before.since_boot);
        let asleep = elapsed.saturating_sub(self.awake.duration_since(before.awake));
        let wall = seconds_between(before.wall, self.wall);
        let jumped = wall.saturating_sub(i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX));
        Passed {
            asleep: if asleep >= SUSPEND { asleep } else { Duration::ZERO },
            jumped: if jumped.unsigned_abs() >= JUMP.as_secs() { jumped } else { 0 },
        }
    }
}

fn seconds_between(before: SystemTime, after: SystemTime) -> i64 {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    after.duration_since(before).map_or_else(|error| -seconds(error.duration()), seconds)
}

/// Looks at the clocks until dropped, and calls `changed` after each suspend and each jump.
pub(crate) async fn watch(clock: &dyn Clock, suspended: &Suspended, changed: impl Fn()) {
    let mut last = Reading::of(clock);
    loop {
        tokio::time::sleep(LOOK).await;
        let now = Reading::of(clock);
        let Passed { asleep, jumped } = now.since(&last);
        last = now;
        if !asleep.is_zero() {
            tracing::info!(event = "suspended", seconds = asleep.as_secs(), "the machine was suspended");
            suspended.0.send_modify(|total| *total += asleep);
        }
        if jumped != 0 {
            tracing::warn!(event = "clock-set", seconds = jumped, "the wall clock was set");
        }
        if !asleep.is_zero() || jumped != 0 {
            changed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn suspends_and_jumps_are_told_apart() {
        const HOUR: u64 = 3600;
        const DAY: i64 = 24 * 3600;
        let before =
            Reading { wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30), ..Reading::of(&SystemClock) };
        let after = |awake: u64, boot: u64, wall: i64| {
            let wall = if wall < 0 {
                before.wall - Duration::from_secs(wall.unsigned_abs())
            } else {
                before.wall + Duration::from_secs(wall.unsigned_abs())
            };
            Reading {
                wall,
                since_boot: before.since_boot + Duration::from_secs(boot),
                awake: before.awake + Duration::from_secs(awake),
            }
        };
        let passed = |asleep, jumped| Passed { asleep: Duration::from_secs(asleep), jumped };
        for (now, expected) in [
            (after(2, 2, 2), passed(0, 0)),
            (after(2, 2 + HOUR, 2 + 3600), passed(HOUR, 0)),
            (after(2, 2, 2 + DAY), passed(0, DAY)),
            (after(2, 2, 2 - DAY), passed(0, -DAY)),
            (after(2, 2 + HOUR, 2 + 3600 - DAY), passed(HOUR, -DAY)),
            // A processor that is not given to the host for a while is no suspend, a correction no jump.
            (after(90, 90, 93), passed(0, 0)),
            // Nobody has made time go back; but nobody panics either.
            (Reading { since_boot: Duration::ZERO, ..after(2, 0, 2) }, passed(0, 0)),
        ] {
            assert_eq!(now.since(&before), expected, "{now:?}");
        }
    }

    #[test]
    fn the_machines_clocks_go_forward() {
        let (before, clock) = (Reading::of(&SystemClock), SystemClock);
        let now = Reading::of(&clock);
        assert!(now.since_boot >= before.since_boot && now.since_boot > Duration::ZERO);
        assert_eq!(now.since(&before), Passed { asleep: Duration::ZERO, jumped: 0 });
    }
}
