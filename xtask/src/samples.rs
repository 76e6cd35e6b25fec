//! Times of the same thing, taken several times.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Milliseconds by name.
#[derive(Debug, Default)]
pub struct Samples(BTreeMap<String, Vec<f64>>);

impl Samples {
    /// Does something and notes how long that took.
    pub fn take<T>(&mut self, name: &str, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = work();
        self.put(name, milliseconds(begun.elapsed()));
        result
    }

    /// Notes a time.
    pub fn put(&mut self, name: &str, milliseconds: f64) {
        self.0.entry(name.to_owned()).or_default().push(milliseconds);
    }

    /// The sample that the neighbours disturbed least; NaN when there is none.
    #[must_use]
    pub fn best(&self, name: &str) -> f64 {
        self.0.get(name).into_iter().flatten().copied().fold(f64::NAN, f64::min)
    }

    /// The sample in the middle; NaN when there is none.
    #[must_use]
    pub fn median(&self, name: &str) -> f64 {
        let mut samples = self.0.get(name).cloned().unwrap_or_default();
        samples.sort_by(f64::total_cmp);
        samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// A duration as rows have it.
#[must_use]
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_and_the_middle() {
        let mut samples = Samples::default();
        [5.0, 1.0, 3.0].into_iter().for_each(|taken| samples.put("x", taken));
        assert_eq!(
            (samples.best("x").to_bits(), samples.median("x").to_bits()),
            (1.0_f64.to_bits(), 3.0_f64.to_bits())
        );
        assert!(samples.best("y").is_nan() && samples.median("y").is_nan());
        assert_eq!(samples.take("z", || 7), 7);
        assert!(samples.best("z") >= 0.0);
    }
}
