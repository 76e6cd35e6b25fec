//! Clocks that a test can set.

use rensei_daemon_core::{Clock, SystemClock};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The machine's clocks, and what a test has done to them.
#[derive(Debug, Default)]
pub struct SetClock {
    shifted: Mutex<Shifted>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Shifted {
    asleep: Duration,
    wall_seconds: i64,
}

impl SetClock {
    fn shifted<T>(&self, change: impl FnOnce(&mut Shifted) -> T) -> T {
        change(&mut self.shifted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// As if the machine had been suspended for so long until now.
    pub fn suspend(&self, duration: Duration) {
        self.shifted(|shifted| shifted.asleep += duration);
    }

    /// Sets the wall clock by so many seconds.
    pub fn jump(&self, seconds: i64) {
        self.shifted(|shifted| shifted.wall_seconds += seconds);
    }
}

impl Clock for SetClock {
    fn wall(&self) -> SystemTime {
        let Shifted { asleep, wall_seconds } = self.shifted(|shifted| *shifted);
        let now = SystemClock.wall() + asleep;
        let jump = Duration::from_secs(wall_seconds.unsigned_abs());
        if wall_seconds < 0 { now - jump } else { now + jump }
    }

    fn since_boot(&self) -> Duration {
        SystemClock.since_boot() + self.shifted(|shifted| shifted.asleep)
    }
}
