//! Keeps the session's lease, and listens for a wish to stop it.

use crate::interrupt::Interrupt;
use crate::link::{Link, patience};
use rensei_platform_client::ClientError;
use rensei_proto::error_chain;
use rensei_proto::platform::LockRefreshResponse;
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
/// Refusals in a row that take the session away when they do not say that it is somebody else's: a proxy whose control
/// plane is being replaced refuses, too.
const VAGUE_REFUSALS: u32 = 3;

/// Renews the lease until the session is lost or is to be stopped.
///
/// A control plane that cannot be reached, or is in trouble itself, has taken nothing away: the session goes on and its
/// result is reported when it is back.
pub(crate) async fn keep(link: &Link) -> Interrupt {
    keep_with(|| link.lock_refresh(WAIT)).await
}

async fn keep_with<F>(refresh: impl Fn() -> F) -> Interrupt
where
    F: Future<Output = Result<LockRefreshResponse, ClientError>>,
{
    let mut delay = FIRST_DELAY;
    let mut vague = 0;
    loop {
        let asked = Instant::now();
        match refresh().await {
            Ok(answer) if answer.stop => return Interrupt::Stop { reason: answer.stop_reason },
            Ok(answer) if !answer.refreshed => return lost("the lease was not renewed"),
            Ok(_) => {
                (delay, vague) = (FIRST_DELAY, 0);
                if asked.elapsed() < HELD {
                    sleep_until(asked + CADENCE).await;
                }
            }
            Err(error) if error.status() == Some(409) => return lost(&error_chain(&error)),
            Err(error) => {
                vague = if matches!(error.status(), Some(403 | 404)) { vague + 1 } else { 0 };
                if vague == VAGUE_REFUSALS {
                    return lost(&error_chain(&error));
                }
                tracing::warn!(error = error_chain(&error), "lease was not renewed; trying again");
                sleep(patience(&error).unwrap_or(delay).min(MAX_DELAY)).await;
                delay = (delay * 2).min(MAX_DELAY);
            }
        }
    }
}

fn lost(reason: &str) -> Interrupt {
    Interrupt::LostOwnership { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rensei_platform_client::Operation;
    use rensei_proto::ErrorBody;
    use std::cell::RefCell;

    fn refused(status: u16) -> ClientError {
        ClientError::Status {
            operation: Operation::LockRefresh,
            status,
            body: ErrorBody::new("no").into(),
            retry_after: None,
        }
    }

    fn renewed() -> LockRefreshResponse {
        LockRefreshResponse { refreshed: true, ..LockRefreshResponse::default() }
    }

    /// When the control plane was asked, in milliseconds, until the answers were used up and the session was lost.
    async fn asked_at(held: Duration, answers: Vec<Result<LockRefreshResponse, ClientError>>) -> Vec<u128> {
        let start = Instant::now();
        let (asked, answers) = (RefCell::new(Vec::new()), RefCell::new(answers.into_iter()));
        let end = keep_with(async || {
            asked.borrow_mut().push(start.elapsed().as_millis());
            let answer = answers.borrow_mut().next();
            sleep(held).await;
            answer.unwrap_or_else(|| Err(refused(409)))
        })
        .await;
        assert!(matches!(end, Interrupt::LostOwnership { .. }));
        asked.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn a_control_plane_that_does_not_hold_is_asked_at_a_cadence() {
        let asked = asked_at(Duration::from_millis(300), vec![Ok(renewed()), Ok(renewed())]).await;
        assert_eq!(asked, [0, 30_000, 60_000]);
        let asked = asked_at(WAIT, vec![Ok(renewed()), Ok(renewed())]).await;
        assert_eq!(asked, [0, 20_000, 40_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_is_waited_out_and_never_a_loss() {
        let answers = [500, 503, 401, 429, 400, 502, 500].map(|status| Err(refused(status)));
        let asked = asked_at(Duration::ZERO, answers.into()).await;
        let pauses: Vec<u128> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn to_be_asked_for_no_pause_is_not_to_be_asked() {
        let hasty = || ClientError::Status {
            operation: Operation::LockRefresh,
            status: 503,
            body: ErrorBody::new("no").into(),
            retry_after: Some(Duration::ZERO),
        };
        let asked = asked_at(Duration::ZERO, vec![Err(hasty()), Err(hasty())]).await;
        assert_eq!(asked, [0, 500, 1500]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_that_does_not_last_is_no_loss() {
        let answers = [404, 403, 502, 404, 404].map(|status| Err(refused(status)));
        let asked = asked_at(Duration::ZERO, answers.into_iter().chain([Ok(renewed())]).collect()).await;
        assert_eq!(asked.len(), 7, "the last one was a loss, the others were not");
    }

    #[tokio::test(start_paused = true)]
    async fn stop_and_loss_are_told_apart() {
        let stop = LockRefreshResponse { refreshed: true, stop: true, stop_reason: Some("why".into()) };
        assert_eq!(keep_with(async || Ok(stop.clone())).await, Interrupt::Stop { reason: Some("why".into()) });
        for status in [403, 404, 409] {
            assert!(matches!(keep_with(async || Err(refused(status))).await, Interrupt::LostOwnership { .. }));
        }
        let not_renewed = keep_with(async || Ok(LockRefreshResponse::default())).await;
        assert!(matches!(not_renewed, Interrupt::LostOwnership { .. }));
    }
}
