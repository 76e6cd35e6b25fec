//! When to try again.

use rensei_platform_client::ClientError;
use std::time::Duration;

/// Shortest pause between two tries.
const MIN_DELAY: Duration = Duration::from_secs(1);
/// Longest pause between two tries.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(60);
/// Longest pause that a control plane may ask for.
const MAX_PATIENCE: Duration = Duration::from_secs(300);

/// The pause that the control plane asked for, within reason. Asking for no pause at all counts as not asking: a lane
/// must not spin.
pub(crate) fn patience(error: &ClientError) -> Option<Duration> {
    error.retry_after().filter(|asked| !asked.is_zero()).map(|asked| asked.min(MAX_PATIENCE))
}

/// Retry delays of all lanes: exponential with full jitter, 1 s to 60 s. Hosts that lost their control plane together come
/// back at any time in between.
pub(crate) fn backoff() -> impl Iterator<Item = Duration> + Send {
    use backon::BackoffBuilder as _;
    backon::ExponentialBuilder::default()
        .with_min_delay(2 * MIN_DELAY)
        .with_max_delay(MAX_DELAY)
        .without_max_times()
        .build()
        .map(|longest| MIN_DELAY + longest.saturating_sub(MIN_DELAY).mul_f64(fastrand::f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_fail_together_do_not_come_back_together() {
        let at = |nth| (0..1000).filter_map(move |_| backoff().nth(nth));
        for (nth, longest) in [(0, 2), (1, 4), (4, 32), (5, 60), (200, 60)] {
            let longest = Duration::from_secs(longest);
            assert!(at(nth).all(|delay| (MIN_DELAY..=longest).contains(&delay)), "{nth}");
            let middle = (MIN_DELAY + longest) / 2;
            let early = at(nth).filter(|delay| *delay < middle).count();
            assert!((300..700).contains(&early), "{early} of 1000 in the first half at {nth}");
        }
    }
}
