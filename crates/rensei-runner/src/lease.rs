//! Keeps the session's lease, and listens for a wish to stop it.

use crate::interrupt::Interrupt;
use crate::link::Link;
use crate::text;
use rensei_platform_client::ClientError;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// How long the control plane may hold the answer.
const WAIT: Duration = Duration::from_secs(20);
/// An answer that came sooner was not held: this control plane does not, so asking at once again would be a flood.
const HELD: Duration = Duration::from_secs(10);
/// Time between two questions to a control plane that does not hold them.
const CADENCE: Duration = Duration::from_secs(30);
/// Pauses after failures; well below the length of a lease.
const FIRST_DELAY: Duration = Duration::from_millis(500);
const MAX_DELAY: Duration = Duration::from_secs(15);

/// Renews the lease until the session is lost or is to be stopped.
///
/// A control plane that cannot be reached, or is in trouble itself, has taken nothing away: the session goes on and its
/// result is reported when it is back.
pub(crate) async fn keep(link: &Link) -> Interrupt {
    let mut delay = FIRST_DELAY;
    loop {
        let asked = Instant::now();
        match link.lock_refresh(WAIT).await {
            Ok(answer) if answer.stop => return Interrupt::Stop { reason: answer.stop_reason },
            Ok(answer) if !answer.refreshed => return lost("the lease was not renewed"),
            Ok(_) => {
                delay = FIRST_DELAY;
                if asked.elapsed() < HELD {
                    sleep_until(asked + CADENCE).await;
                }
            }
            Err(error) if is_loss(&error) => return lost(&text::chain(&error)),
            Err(error) => {
                tracing::warn!(error = text::chain(&error), "lease was not renewed; trying again");
                sleep(error.retry_after().unwrap_or(delay).min(MAX_DELAY)).await;
                delay = (delay * 2).min(MAX_DELAY);
            }
        }
    }
}

fn lost(reason: &str) -> Interrupt {
    Interrupt::LostOwnership { reason: reason.to_owned() }
}

fn is_loss(error: &ClientError) -> bool {
    matches!(error.status(), Some(403 | 404 | 409))
}
