//! When to try again.

use rensei_platform_client::ClientError;
use std::time::Duration;

/// Longest pause between two tries.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(60);
/// Longest pause that a control plane may ask for.
const MAX_PATIENCE: Duration = Duration::from_secs(300);

/// The pause that the control plane asked for, within reason. Asking for no pause at all counts as not asking: a lane
/// must not spin.
pub(crate) fn patience(error: &ClientError) -> Option<Duration> {
    error.retry_after().filter(|asked| !asked.is_zero()).map(|asked| asked.min(MAX_PATIENCE))
}

/// Retry delays of all lanes: exponential with jitter, 1 s to 60 s.
pub(crate) fn backoff() -> impl Iterator<Item = Duration> + Send {
    use backon::BackoffBuilder as _;
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(MAX_DELAY)
        .with_jitter()
        .without_max_times()
        .build()
        // The jitter comes on top of the delay.
        .map(|delay| delay.min(MAX_DELAY))
}
