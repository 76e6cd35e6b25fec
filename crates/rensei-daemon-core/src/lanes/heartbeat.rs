//! Heartbeat lane: says what the host holds, hears what the control plane wants.

use super::mutation;
use crate::allowlist;
use crate::credentials::Credentials;
use crate::host::Host;
use crate::lifecycle::{Phase, UpdateStage};
use crate::link::{Link, MAX_DELAY, backoff, patience};
use crate::org::Org;
use rensei_platform_client::ClientError;
use rensei_proto::platform::{HeartbeatRequest, HeartbeatResponse, HostActivity, HostStatus, PendingMutation};
use rensei_proto::{SessionId, error_chain};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Pause after an early refresh that failed.
const REFRESH_PAUSE: Duration = Duration::from_secs(30);
/// Longest text of a mutation that is repeated in a beat, in bytes.
pub(super) const MAX_TEXT: usize = 256;

/// What the poll lane needs to know of the last beats.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pulse {
    /// The control plane has confirmed what this process holds, so nothing that it claims next can be mistaken for a
    /// predecessor's.
    pub(crate) resumed: bool,
    /// The control plane asked this host to claim nothing.
    pub(crate) suspended: bool,
}

/// State of the lane.
#[derive(Debug)]
pub(crate) struct HeartbeatLane {
    host: Arc<Host>,
    org: Arc<Org>,
    link: Arc<Link>,
    pulse: Arc<watch::Sender<Pulse>>,
    /// Identity and digest of the allowlist that the control plane has confirmed.
    transmitted: (u64, String),
    /// Since boot; an early refresh has failed shortly before.
    no_refresh_before: Duration,
}

impl HeartbeatLane {
    pub(crate) fn new(host: Arc<Host>, org: Arc<Org>, link: Arc<Link>, pulse: Arc<watch::Sender<Pulse>>) -> Self {
        Self { host, org, link, pulse, transmitted: Default::default(), no_refresh_before: Duration::ZERO }
    }

    /// Connects, then beats until dropped.
    pub(crate) async fn run(mut self) {
        self.link.connect().await;
        let mut delays = backoff();
        loop {
            let current = self.link.cell.available().await;
            // What changes while the beat is under way is not in it.
            let phase = self.host.lifecycle.phase();
            self.refresh_in_time(&current).await;
            if let Some(twin) = self.host.orgs.twin_of(&self.org) {
                self.keep_quiet(&twin);
                rest(&self.host, &self.org, phase, current.heartbeat_interval).await;
                continue;
            }
            match self.beat().await {
                Ok(()) => {
                    delays = backoff();
                    let pause = current.heartbeat_interval.min(self.until_refresh());
                    rest(&self.host, &self.org, phase, pause).await;
                }
                Err(error) => {
                    self.link.note_failure(&error);
                    tracing::warn!(error = error_chain(&error), "heartbeat failed");
                    // Our own patience must not cost leases; what the control plane asks for is its own choice.
                    let own = delays.next().unwrap_or(MAX_DELAY).min(current.heartbeat_interval);
                    self.recover(phase, own, patience(&error)).await;
                }
            }
        }
    }

    /// Replaces a token before it expires. A refresh that failed is not tried with every beat.
    async fn refresh_in_time(&mut self, current: &Arc<Credentials>) {
        let now = self.host.clock.since_boot();
        if now < current.refresh_at.max(self.no_refresh_before) {
            return;
        }
        if let Err(error) = self.link.refresh_ahead(current).await {
            tracing::warn!(
                event = "runtime-token",
                error = error_chain(&error),
                "[runtime-token] early refresh failed"
            );
            self.no_refresh_before = now.saturating_add(patience(&error).unwrap_or(REFRESH_PAUSE));
        }
    }

    /// How long the token is still good enough.
    fn until_refresh(&self) -> Duration {
        let due = self.link.cell.current().map_or(Duration::MAX, |current| current.refresh_at);
        due.max(self.no_refresh_before).saturating_sub(self.host.clock.since_boot())
    }

    /// Two files for one organisation: what one of them said of its sessions would be wrong for the other's.
    fn keep_quiet(&self, twin: &Org) {
        let (file, other) = (self.org.file.path().display(), twin.file.path().display());
        self.link.note_trouble(format!("{file} leads to the same worker as {other}; remove one of them"));
        self.pulse.send_if_modified(|pulse| !std::mem::replace(&mut pulse.suspended, true));
    }

    /// Waits after a failure. Sessions that come and go are no reason to try earlier, and none is one where the control
    /// plane has said when to come again.
    async fn recover(&self, told: Phase, own: Duration, asked: Option<Duration>) {
        if let Some(asked) = asked {
            return tokio::time::sleep(asked).await;
        }
        tokio::select! {
            () = tokio::time::sleep(own) => {}
            _changed = self.host.lifecycle.changed_from(told) => {}
            () = self.org.beat.notified() => {}
        }
    }

    async fn beat(&mut self) -> Result<(), ClientError> {
        let current = self.link.cell.available().await;
        let identity = current.generation;
        // A registration tells the list of the start, which may be an old one, also under the same worker id.
        let (told_as, told) = &self.transmitted;
        let is_news = |digest: &str| told != digest || (*told_as != identity && !digest.is_empty());
        let request = compose(&self.host, &self.org, is_news, !self.pulse.borrow().resumed);
        self.org.last_beat.note(&self.host, &current.worker_id, &request);
        let link = Arc::clone(&self.link);
        let answer = link
            .call(|credentials| {
                let (link, request) = (Arc::clone(&self.link), &request);
                async move { link.client.heartbeat(&credentials.token, &credentials.worker_id, request).await }
            })
            .await?;
        self.confirmed(identity, &request, &answer).await;
        Ok(())
    }

    async fn confirmed(&mut self, identity: u64, request: &HeartbeatRequest, answer: &HeartbeatResponse) {
        self.link.note_heartbeat(&answer.server_time);
        if request.allowlist.is_some() {
            self.transmitted = (identity, request.allowlist_hash.clone());
        }
        let suspension = answer.host_status.as_ref().filter(|status| suspends(status)).map(described);
        let suspended = suspension.is_some();
        self.link.note_suspended(suspension);
        self.pulse.send_if_modified(|pulse| {
            let next = Pulse { resumed: true, suspended };
            let changed = *pulse != next;
            *pulse = next;
            changed
        });
        let (host, org) = (&self.host, &self.org);
        for lost in &answer.lost_sessions {
            if let (Ok(id), Some(attempt)) = (SessionId::parse(&lost.session_id), lost.attempt) {
                host.sessions.claim_lapsed(org, &id, attempt);
            }
        }
        let perform = |mutation: PendingMutation| async move { mutation::apply(host, org, &mutation).await };
        org.acks.answered(request, answer, perform).await;
    }
}

/// What the host says of itself. The list of projects goes along when `is_news` says so of its digest, and as long as the
/// host works for the organisation.
pub(super) fn compose(host: &Host, org: &Org, is_news: impl Fn(&str) -> bool, resumed: bool) -> HeartbeatRequest {
    let entries = org.allowlist.entries();
    let digest = allowlist::digest(&entries);
    let held = host.sessions.held(org);
    let phase = host.lifecycle.phase();
    let max = host.serving.max_sessions();
    let busy = held.active >= max;
    let (applied_mutations, mutation_failures) = org.acks.outcomes();
    HeartbeatRequest {
        active_count: Some(i64::try_from(held.active).unwrap_or(i64::MAX)),
        active_sessions: None,
        max_sessions: u32::try_from(max).unwrap_or(u32::MAX),
        status: Some(match phase {
            _ if org.is_leaving() => HostActivity::Draining,
            Phase::Draining { .. }
            | Phase::Updating { stage: UpdateStage::Draining { .. } | UpdateStage::Installing, .. }
            | Phase::Stopping { .. }
            | Phase::Stopped => HostActivity::Draining,
            _ if busy && phase.accepts() => HostActivity::Busy,
            Phase::Starting | Phase::Running | Phase::Paused | Phase::Updating { .. } => HostActivity::Idle,
        }),
        allowlist: (is_news(&digest) && !org.is_leaving()).then_some(entries),
        allowlist_hash: digest,
        applied_mutations,
        mutation_failures,
        sessions: Some(held.sessions),
        resumed,
    }
}

/// Sleeps, but wakes when the host's state is not `told` any more, so that a drain or a slot that is free again is known at
/// once.
pub(super) async fn rest(host: &Host, org: &Org, told: Phase, pause: Duration) {
    // The arms only wait, and whichever ends, a beat follows that tells of all.
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        _changed = host.lifecycle.changed_from(told) => {}
        () = org.beat.notified() => {}
        () = org.occupancy_changed() => {}
    }
}

/// For people: the status and what to do about it.
fn described(status: &HostStatus) -> String {
    let advice = status.recommended_action.as_deref().map(|advice| format!(": {advice}")).unwrap_or_default();
    format!("{}{advice}", status.status)
}

/// Any `pool_*` status means: claim nothing for now.
fn suspends(status: &HostStatus) -> bool {
    status.status.starts_with("pool_")
}
