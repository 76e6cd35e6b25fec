//! The daemon that started this worker.

use rensei_control_api::{ControlClient, ControlError};
use rensei_proto::control::{KitSettings, Workarea};
use rensei_proto::{Secret, SessionDetail, SessionId};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a daemon may be away, as it is while a service manager restarts it, until its session gives up.
const AWAY: Duration = Duration::from_secs(60);
/// How long a refusal may last that a daemon in trouble answers with.
const TROUBLE: Duration = Duration::from_secs(1);
/// Time between two questions.
const PAUSE: Duration = Duration::from_millis(200);
/// An exchange that took longer than this and then broke off was with a daemon that was there until just now.
const BRIEF: Duration = Duration::from_secs(1);
/// How often that may happen. What takes its daemon down each time must not do so for ever.
const CUTS: u32 = 3;

/// What a worker asks of its daemon. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Daemon {
    client: ControlClient,
}

impl Daemon {
    /// `token` is what the daemon gave the worker for its session; older daemons give none.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub(crate) fn at(url: &str, token: Option<&Secret>) -> Result<Self, ControlError> {
        let client = ControlClient::new(url)?;
        Ok(Self { client: token.into_iter().fold(client, ControlClient::bearer) })
    }

    /// Everything about the session, with the credentials of this moment. Waits out a restart of the daemon.
    pub(crate) async fn detail(&self, id: &SessionId) -> Result<SessionDetail, ControlError> {
        wait_out(|| self.client.session_detail(id), detail_trouble).await
    }

    /// What is needed to find the kits of the host. Waits out a restart of the daemon. One that has none to tell of has no
    /// kits.
    pub(crate) async fn kits(&self) -> Option<KitSettings> {
        let answer = wait_out(|| self.client.kit_settings(), detail_trouble).await;
        answer.inspect_err(|error| tracing::warn!(event = "kit.settings", %error, "no kits are applied")).ok()
    }

    /// The session's workarea, made now unless it exists. Waits out a restart of the daemon.
    pub(crate) async fn workarea(&self, id: &SessionId) -> Result<Workarea, ControlError> {
        wait_out(|| self.client.workarea(id), workarea_trouble).await
    }
}

/// What a failed call says about the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// It lives and will be ready.
    Starting,
    /// It is not there.
    Away,
    /// It was there, and then the connection broke.
    CutOff,
    /// It is there and could not answer.
    Passing,
    /// The answer is final.
    Final,
}

fn detail_trouble(error: &ControlError) -> Trouble {
    match error {
        ControlError::TimedOut { .. } => Trouble::Away,
        _ if trouble(error) == Trouble::Final && error.is_retryable() => Trouble::Passing,
        _ => trouble(error),
    }
}

/// Most refusals of a workarea are final: they may be about the repository and its host, where the daemon has tried
/// already. So is one that did not come in its long time.
fn workarea_trouble(error: &ControlError) -> Trouble {
    trouble(error)
}

fn trouble(error: &ControlError) -> Trouble {
    match error {
        ControlError::NotRunning { .. } => Trouble::Away,
        ControlError::Transport { .. } => Trouble::CutOff,
        ControlError::Refused { status: 503, body } if body.status.as_deref() == Some("starting") => Trouble::Starting,
        // A busy daemon may fail to find out whose connection it is.
        ControlError::Refused { status: 403, .. } => Trouble::Passing,
        ControlError::Refused { .. }
        | ControlError::InvalidUrl { .. }
        | ControlError::TimedOut { .. }
        | ControlError::Decode { .. } => Trouble::Final,
    }
}

/// Asks until there is an answer that counts. A daemon that is away has its time from when it was first missed, not
/// from the first question: making a workarea may take minutes, and the daemon may go away at any of them.
async fn wait_out<T, F>(ask: impl Fn() -> F, judge: fn(&ControlError) -> Trouble) -> Result<T, ControlError>
where
    F: Future<Output = Result<T, ControlError>>,
{
    let (mut missed, mut troubled): (Option<Instant>, Option<Instant>) = (None, None);
    let mut cuts = 0;
    loop {
        let asked = Instant::now();
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let patient = match judge(&error) {
            Trouble::Final => false,
            Trouble::Starting => {
                missed = None;
                true
            }
            Trouble::CutOff if asked.elapsed() > BRIEF => {
                missed = Some(Instant::now());
                cuts += 1;
                cuts < CUTS
            }
            Trouble::CutOff | Trouble::Away => missed.get_or_insert(asked).elapsed() < AWAY,
            Trouble::Passing => troubled.get_or_insert(asked).elapsed() < TROUBLE,
        };
        if !patient {
            return Err(error);
        }
        tracing::debug!(%error, "waiting for the daemon");
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rensei_proto::ErrorBody;
    use std::cell::RefCell;

    fn gone() -> ControlError {
        ControlError::NotRunning { url: String::new() }
    }

    fn cut_off() -> ControlError {
        ControlError::Transport { url: String::new(), source: "reset".into() }
    }

    fn refused(status: u16, word: &str) -> ControlError {
        let body = ErrorBody { status: Some(word.to_owned()), ..ErrorBody::new("no") };
        ControlError::Refused { status, body: body.into() }
    }

    /// Asks a daemon that answers with what `at` says of the seconds since the start, each answer taking `takes`.
    async fn ask(
        judge: fn(&ControlError) -> Trouble,
        at: impl Fn(u64) -> (Duration, Option<ControlError>),
    ) -> (Result<(), ControlError>, u64) {
        let (start, asked) = (Instant::now(), RefCell::new(0_u32));
        let answer = wait_out(
            async || {
                *asked.borrow_mut() += 1;
                let (takes, error) = at(start.elapsed().as_secs());
                sleep(takes).await;
                error.map_or(Ok(()), Err)
            },
            judge,
        )
        .await;
        (answer, start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_is_waited_out_at_every_moment() {
        let now = Duration::ZERO;
        for judge in [detail_trouble, workarea_trouble] {
            // Away, then starting for longer than it may be away, as it is when it has much to take over.
            let (answer, _) = ask(judge, |second| match second {
                0..20 => (now, Some(gone())),
                20..200 => (now, Some(refused(503, "starting"))),
                _ => (now, None),
            })
            .await;
            answer.unwrap();
            let (answer, after) = ask(judge, |_| (now, Some(gone()))).await;
            assert!(matches!(answer, Err(ControlError::NotRunning { .. })));
            assert!((AWAY.as_secs()..AWAY.as_secs() + 2).contains(&after), "{after}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_goes_away_during_a_long_clone_has_its_time_from_then() {
        let clone = Duration::from_secs(300);
        let (answer, _) = ask(workarea_trouble, |second| match second {
            0 => (clone, Some(cut_off())),
            1..320 => (Duration::ZERO, Some(gone())),
            _ => (Duration::ZERO, None),
        })
        .await;
        answer.unwrap();
        let (answer, after) = ask(workarea_trouble, |_| (clone, Some(cut_off()))).await;
        assert!(answer.is_err() && after < 1000, "what takes the daemon down each time is given up");
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_final_and_trouble_is_short() {
        let at_once = |error: fn() -> ControlError| move |_| (Duration::ZERO, Some(error()));
        assert_eq!(ask(detail_trouble, at_once(|| refused(404, ""))).await.1, 0);
        assert_eq!(ask(workarea_trouble, at_once(|| refused(503, ""))).await.1, 0);
        assert_eq!(ask(detail_trouble, at_once(|| refused(500, ""))).await.1, 1);
        assert_eq!(ask(workarea_trouble, at_once(|| refused(403, ""))).await.1, 1);
    }
}
