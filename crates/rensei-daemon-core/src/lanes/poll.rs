//! Poll lane: takes work when there is room for it.

use super::git_token::token_for;
use super::heartbeat::Pulse;
use crate::accept::AcceptError;
use crate::clock::woken;
use crate::host::Host;
use crate::link::{Link, backoff, patience};
use crate::org::{Org, Turn};
use jiff::Timestamp;
use rensei_platform_client::ClientError;
use rensei_proto::platform::{ClaimRequest, GitCredential, NackRequest, PollItem, PollResponse};
use rensei_proto::{GitAccess, SessionId, error_chain, lenient};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long the control plane may hold a poll.
const LONG_POLL: Duration = Duration::from_secs(25);
/// Tries to give a refused item back; after that the control plane's accept deadline does it.
const NACK_TRIES: usize = 4;

/// State of the lane.
#[derive(Debug)]
pub(crate) struct PollLane {
    pub(crate) host: Arc<Host>,
    pub(crate) org: Arc<Org>,
    pub(crate) link: Arc<Link>,
    pub(crate) pulse: watch::Receiver<Pulse>,
}

/// A poll that was answered sooner than this, with nothing, was not held.
const HELD: Duration = Duration::from_secs(1);

/// Longest pause after polls that brought nothing but refusals.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

/// Urgency of work that says nothing of it: in the middle.
const USUAL: i64 = 3;

/// 1 is the most urgent. Work that says nothing of it is neither pushed ahead nor held back.
const fn urgency(priority: i64) -> i64 {
    if priority < 1 { USUAL } else { priority }
}

/// What became of the items of one poll.
#[derive(Debug, Default)]
struct Taken {
    /// Whether this host could not start one, for reasons of its own.
    trouble: bool,
    /// Whether at least one runs here now.
    accepted: bool,
    /// Whether at least one goes back, or could not be claimed.
    refused: bool,
    /// Whether one goes back because somebody else took the slot.
    full: bool,
    /// Whether the machine slept meanwhile, so that there was no answer.
    woken: bool,
}

impl Taken {
    /// Whether there was no work.
    const fn nothing(&self) -> bool {
        !self.accepted && !self.refused
    }
}

/// An item that goes back.
#[derive(Debug)]
struct Refused {
    id: SessionId,
    attempt: Option<u64>,
    work: Box<RawValue>,
    reason: String,
    host_fault: bool,
}

/// The id of an item that is otherwise unreadable.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BareItem {
    session_id: SessionId,
    #[serde(default, deserialize_with = "lenient::or_default")]
    attempt: Option<u64>,
}

impl PollLane {
    /// Polls until dropped.
    pub(crate) async fn run(self) {
        let mut delays = backoff();
        let mut suspended = self.host.suspended.subscribe();
        loop {
            let asked = Instant::now();
            let pause = match self.ask().await {
                Ok(taken) if taken.woken => None,
                // A host that cannot start anything would only hold the queue up.
                Ok(taken) if taken.trouble => delays.next(),
                // What was refused may come straight back; a control plane and its host must not play ball. A host that
                // was full in the meantime waits for a slot anyway.
                Ok(taken) if taken.refused && !taken.accepted && !taken.full => {
                    delays.next().map(|delay| delay.min(REFUSED_PAUSE))
                }
                Ok(taken) => {
                    delays = backoff();
                    self.pause_after(taken.nothing(), asked).await
                }
                Err(error) => {
                    tracing::warn!(org = %self.org.name, error = error_chain(&error), "poll failed");
                    self.link.note_failure(&error);
                    patience(&error).or_else(|| delays.next())
                }
            };
            // Both only wait.
            tokio::select! {
                () = tokio::time::sleep(pause.unwrap_or_default()) => {}
                () = woken(&mut suspended) => delays = backoff(),
            }
        }
    }

    /// Asks for work when it is wanted. Where others ask, too, first in turn and for what is there, and then for what
    /// may come, which reserves nothing.
    async fn ask(&self) -> Result<Taken, ClientError> {
        let turn = self.turn().await;
        let shared = self.host.orgs.are_many();
        let taken = self.round(!shared).await?;
        drop(turn);
        let may_wait = self.link.cell.current().is_some_and(|credentials| credentials.long_poll);
        if shared && taken.nothing() && may_wait && self.is_work_wanted() { self.round(true).await } else { Ok(taken) }
    }

    /// One poll, and what becomes of its answer.
    async fn round(&self, may_be_held: bool) -> Result<Taken, ClientError> {
        let mut suspended = self.host.suspended.subscribe();
        // A poll that was held while the machine slept will not be answered any more. Should it be, what it brings is
        // offered again.
        let answer = tokio::select! {
            answer = self.poll(may_be_held) => answer?,
            () = woken(&mut suspended) => return Ok(Taken { woken: true, ..Taken::default() }),
        };
        Ok(self.take(answer).await)
    }

    /// Without long polls the interval paces the lane; with them only an empty answer that came at once does.
    async fn pause_after(&self, nothing: bool, asked: Instant) -> Option<Duration> {
        let current = self.link.cell.available().await;
        let held = current.long_poll && asked.elapsed() >= HELD;
        (nothing && !held).then(|| if current.long_poll { HELD } else { current.poll_interval })
    }

    /// Waits for an identity, a confirmed first beat, the running phase, a free slot and the turn, all at once.
    async fn turn(&self) -> Turn<'_> {
        let mut pulse = self.pulse.clone();
        loop {
            self.org.in_force().await;
            self.link.cell.available().await;
            if pulse.wait_for(|pulse| pulse.resumed && !pulse.suspended).await.is_err() {
                std::future::pending::<()>().await;
            }
            self.host.lifecycle.wait_for(|phase| phase.accepts()).await;
            let turn = self.host.turns.next(&self.host.sessions, &self.org).await;
            if self.is_work_wanted() {
                return turn;
            }
        }
    }

    fn is_work_wanted(&self) -> bool {
        let pulse = self.pulse.borrow();
        self.host.lifecycle.phase().accepts()
            && !self.org.is_leaving()
            && pulse.resumed
            && !pulse.suspended
            && self.host.sessions.has_free_slot()
    }

    async fn poll(&self, may_be_held: bool) -> Result<PollResponse, ClientError> {
        self.link
            .call(|credentials| async move {
                let wait = (may_be_held && credentials.long_poll).then_some(LONG_POLL);
                self.link.client.poll(&credentials.token, &credentials.worker_id, wait).await
            })
            .await
    }

    async fn take(&self, answer: PollResponse) -> Taken {
        let mut taken = Taken::default();
        let offered = answer.work.len();
        let readable = self.by_urgency(answer.work);
        taken.refused = readable.len() < offered;
        for (item, raw) in readable {
            if answer.pre_claimed || self.claim(&item).await {
                self.accept(&item, raw, &answer.git_credentials, &mut taken).await;
            } else {
                taken.refused = true;
            }
        }
        taken
    }

    /// The readable items, the most urgent first and else in their order: when there is room for some only, it is for
    /// those. The others go back.
    fn by_urgency(&self, work: Vec<Box<RawValue>>) -> Vec<(PollItem, Box<RawValue>)> {
        let mut items = Vec::with_capacity(work.len());
        for raw in work {
            match lenient::from_str::<PollItem>(raw.get()) {
                Ok(item) => items.push((item, raw)),
                Err(error) => self.refuse_unreadable(raw, &error),
            }
        }
        items.sort_by_key(|(item, _)| urgency(item.priority));
        items
    }

    async fn claim(&self, item: &PollItem) -> bool {
        let outcome = self
            .link
            .call(|credentials| async move {
                let request = ClaimRequest { worker_id: credentials.worker_id.clone() };
                self.link.client.claim(&credentials.token, item.session_id.as_str(), &request).await
            })
            .await;
        match outcome {
            Ok(answer) => answer.claimed,
            Err(error) => {
                tracing::warn!(session_id = %item.session_id, error = error_chain(&error), "claim failed");
                false
            }
        }
    }

    async fn accept(&self, item: &PollItem, raw: Box<RawValue>, credentials: &[GitCredential], taken: &mut Taken) {
        let named = [item.repository.as_str(), item.project_name.as_str()];
        let project = named.iter().find_map(|value| self.org.allowlist.find(value));
        let repository = match &project {
            Some(project) => project.repository.clone(),
            None => named.into_iter().find(|value| !value.is_empty()).unwrap_or_default().to_owned(),
        };
        let mut detail = item.detail();
        let token = project.as_ref().and_then(|project| token_for(credentials, &project.repository, Timestamp::now()));
        detail.git = token.map(|token| GitAccess { token: Some(token), ..GitAccess::default() });
        detail.repository.clone_from(&repository);
        detail.project_name = project.map_or_else(|| item.project_name.clone(), |project| project.id);
        tracing::info!(event = "claimed", sessionId = %item.session_id, attempt = item.attempt, "claimed");
        match self.host.accept_polled(&self.org, item.spec(&repository), detail).await {
            Ok(_handle) => taken.accepted = true,
            Err(error) => {
                taken.refused = true;
                taken.trouble |= error.is_trouble();
                taken.full |= matches!(error, AcceptError::Full { .. });
                self.refuse(item, raw, &error);
            }
        }
    }

    fn refuse(&self, item: &PollItem, raw: Box<RawValue>, error: &AcceptError) {
        tracing::warn!(session_id = %item.session_id, error = error_chain(error), "session refused");
        if matches!(error, AcceptError::Duplicate { .. }) {
            if self.host.sessions.last_attempt(&self.org, &item.session_id) == Some(item.attempt) {
                // The same claim delivered twice: the session runs, or has run, as it should.
                return;
            }
            self.host.sessions.lease_lost(&self.org, &item.session_id);
        }
        self.give_back(Refused {
            id: item.session_id.clone(),
            attempt: item.attempt,
            work: raw,
            reason: format!("accept work failed: {}", error_chain(error)),
            host_fault: error.is_host_fault(),
        });
    }

    fn refuse_unreadable(&self, raw: Box<RawValue>, error: &serde_json::Error) {
        tracing::warn!(%error, "unreadable work item");
        if let Ok(bare) = lenient::from_str::<BareItem>(raw.get()) {
            let reason = format!("unreadable work item: {error}");
            let (id, attempt) = (bare.session_id, bare.attempt);
            self.give_back(Refused { id, attempt, work: raw, reason, host_fault: false });
        }
    }

    /// Nacks in the background: the next poll need not wait for it.
    fn give_back(&self, refused: Refused) {
        let link = Arc::clone(&self.link);
        let Refused { id, attempt, work, reason, host_fault } = refused;
        self.host.tasks.spawn(async move {
            for delay in backoff().take(NACK_TRIES) {
                let outcome = link
                    .call(|credentials| {
                        let request = NackRequest {
                            worker_id: credentials.worker_id.clone(),
                            reason: reason.clone(),
                            work: work.clone(),
                            attempt,
                            host_fault,
                        };
                        let (link, id) = (&link, &id);
                        async move { link.client.nack(&credentials.token, id.as_str(), &request).await }
                    })
                    .await;
                match outcome {
                    Ok(()) => return,
                    Err(error) if error.is_retryable() => tokio::time::sleep(delay).await,
                    Err(error) => {
                        tracing::warn!(session_id = %id, error = error_chain(&error), "nack refused");
                        return;
                    }
                }
            }
        });
    }
}
