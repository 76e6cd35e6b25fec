//! Time and percentiles.

use std::time::Duration;

/// `CLOCK_MONOTONIC` in nanoseconds: the clock that the stamping worker reads too.
pub(crate) fn now_ns() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}

/// Durations in milliseconds, in ascending order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// The value below which `percent` of the samples are (nearest rank).
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or(f64::NAN)
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<I: IntoIterator<Item = Duration>>(durations: I) -> Self {
        let mut milliseconds: Vec<f64> = durations.into_iter().map(|d| d.as_secs_f64() * 1000.0).collect();
        milliseconds.sort_by(f64::total_cmp);
        Self(milliseconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let samples: Samples = (1..=200).rev().map(Duration::from_millis).collect();
        assert!((samples.percentile(50) - 100.0).abs() < 1e-9);
        assert!((samples.percentile(99) - 198.0).abs() < 1e-9);
        assert!(Samples::default().percentile(50).is_nan());
    }
}
