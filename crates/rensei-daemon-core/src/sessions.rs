//! Sessions on this host: admission, start, supervision, end, and what survives a crash.
//!
//! A session is in the [`table`] before its process exists and its [`record`] is on disk before that, so that at no
//! point a process runs that nobody knows of. [`monitor`] owns one session from its start (or adoption) to its end.

mod adopt;
mod archive;
mod brief;
mod caller;
mod environment;
mod monitor;
mod origin;
mod output;
mod record;
mod report;
mod sink;
mod start;
mod sweep;
mod table;
mod token;
mod workarea;

pub use caller::Caller;
pub(crate) use environment::{EnvironmentParts, holds};
pub(crate) use origin::Origin;
pub(crate) use sink::Feed;
pub use sink::{OutputLine, OutputSink};
use start::Decision;
pub(crate) use table::StopCause;
pub(crate) use workarea::pool_settings;

use crate::accept::AcceptError;
use crate::events::{EventBus, SessionEvent, SessionEvents};
use crate::hook::PreSpawnHook;
use crate::lifecycle::Lifecycle;
use crate::org::{Org, Orgs};
use crate::providers::Providers;
use crate::routing::Routing;
use crate::serving::Serving;
use crate::state::StateDir;
use crate::supervisor::Incidents;
use crate::tasks::Tasks;
use crate::workarea_provider::WorkareaProvider;
use rensei_proto::control::{SessionHandle, SessionView, StopResponse};
use rensei_proto::platform::HeldSession;
use rensei_proto::{SessionDetail, SessionId};
use rensei_workarea::Archives;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use table::Table;
use tokio::sync::{Notify, watch};

/// How long a stopped worker has between TERM and KILL.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(10);
/// Variable by which the processes of a session are found again: its directory, which no other daemon shares.
pub(crate) const MARKER: &str = "RENSEI_SESSION_DIR";
/// Ended sessions that the host remembers, with their output.
const KEPT_SESSIONS: usize = 500;
/// How many more there may be before the oldest are forgotten.
const FORGET_BATCH: usize = 50;

/// What sessions need from the rest of the daemon.
#[derive(Debug)]
pub(crate) struct SessionParts {
    pub(crate) feed: Feed,
    pub(crate) routing: Arc<Routing>,
    pub(crate) providers: Providers,
    pub(crate) state: StateDir,
    pub(crate) workareas: Arc<dyn WorkareaProvider>,
    pub(crate) archives: Archives,
    pub(crate) kits: Arc<rensei_kits::Registry>,
    /// What is done with workareas.
    pub(crate) workarea_policy: crate::config::Workarea,
    pub(crate) orgs: Arc<Orgs>,
    pub(crate) serving: Arc<Serving>,
    pub(crate) worker_command: Vec<OsString>,
    pub(crate) pre_spawn: Option<PreSpawnHook>,
    pub(crate) events: EventBus<SessionEvent>,
    pub(crate) environment: EnvironmentParts,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) tasks: Tasks,
    pub(crate) incidents: Incidents,
}

/// All sessions of the host.
#[derive(Debug)]
pub(crate) struct Sessions {
    parts: SessionParts,
    table: Mutex<Table>,
    directories: record::Directories,
    /// Live sessions, for those who wait for a slot or for the last end.
    live: watch::Sender<usize>,
    /// All sessions that are not wound up, for those who wait until nothing is left to report.
    open: watch::Sender<usize>,
    /// A session has ended.
    sweep: Notify,
    /// Workareas may have to be made ahead for something else.
    ahead: Notify,
}

/// What a heartbeat says of the host's sessions.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) active: usize,
    pub(crate) sessions: Vec<HeldSession>,
}

impl Sessions {
    pub(crate) fn new(parts: SessionParts) -> Arc<Self> {
        let (live, open) = (watch::Sender::new(0), watch::Sender::new(0));
        let (table, directories, sweep, ahead) = Default::default();
        Arc::new(Self { parts, table, directories, live, open, sweep, ahead })
    }

    /// Runs `change` on the table and tells waiters when the number of live sessions changed.
    fn with_table<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        // The table is changed by small total functions; a panic in one leaves it as it was.
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = change(&mut table);
        // Under the lock: the number that is published last must be the one that is true last.
        for (published, count) in [(&self.live, table.live_count()), (&self.open, table.open_count())] {
            published.send_if_modified(|known| std::mem::replace(known, count) != count);
        }
        drop(table);
        outcome
    }

    /// Sessions whose process has not ended, oldest first.
    pub(crate) fn handles(&self) -> Vec<SessionHandle> {
        self.with_table(|table| table.handles())
    }

    /// All that the host remembers, oldest first.
    pub(crate) fn views(&self) -> Vec<SessionView> {
        self.with_table(|table| table.views())
    }

    pub(crate) fn view(&self, id: &SessionId) -> Option<SessionView> {
        self.with_table(|table| table.view(id))
    }

    pub(crate) fn events(&self) -> SessionEvents {
        self.parts.events.subscribe()
    }

    pub(crate) fn live_count(&self) -> usize {
        *self.live.borrow()
    }

    /// What the control plane of `org` hears.
    pub(crate) fn held(&self, org: &Org) -> Held {
        self.with_table(|table| Held { active: table.live_count(), sessions: table.held(org) })
    }

    /// Attempt under which a live session was claimed; `None` when there is no such session.
    pub(crate) fn attempt(&self, id: &SessionId) -> Option<Option<u64>> {
        self.with_table(|table| table.entry(id).map(|entry| entry.detail.attempt))
    }

    /// Who sent a session that is not wound up, and its attempt.
    pub(crate) fn sender(&self, id: &SessionId) -> Option<(Origin, Option<u64>)> {
        self.with_table(|table| table.entry(id).map(|entry| (entry.origin.clone(), entry.detail.attempt)))
    }

    /// Whether the session's process runs, or is about to.
    pub(crate) fn is_live(&self, id: &SessionId) -> bool {
        self.with_table(|table| table.live_entry(id).is_some())
    }

    /// Attempt under which a session of `org` runs here, or ran last; `None` when none of that id is known.
    pub(crate) fn last_attempt(&self, org: &Org, id: &SessionId) -> Option<Option<u64>> {
        self.with_table(|table| table.attempt(org, id))
    }

    pub(crate) fn has_free_slot(&self) -> bool {
        self.live_count() < self.parts.serving.max_sessions()
    }

    /// Waits until a session could be accepted.
    pub(crate) async fn free_slot(&self) {
        let (mut live, mut capacity) = (self.live.subscribe(), self.parts.serving.capacity_changes());
        while !self.has_free_slot() {
            // Both only wait, and a change that came before the look above is seen by it.
            tokio::select! {
                _sender_is_ours = live.changed() => {}
                _sender_is_ours = capacity.changed() => {}
            }
        }
    }

    /// Waits until no session is live, then does what follows from that, before another one can be accepted: one that was
    /// being let in a moment ago is counted by then, and one that comes later sees what was done.
    pub(crate) async fn emptied<T>(&self, then: impl Fn() -> T) -> T {
        let mut live = self.live.subscribe();
        loop {
            // Not kept: the number may change below.
            drop(live.wait_for(|count| *count == 0).await);
            if let Some(done) = self.with_table(|table| (table.live_count() == 0).then(&then)) {
                return done;
            }
        }
    }

    /// Waits until nothing of an organisation runs, or waits to be reported.
    pub(crate) async fn emptied_of(&self, org: &Org) {
        let mut open = self.open.subscribe();
        while self.with_table(|table| table.has_any_of(org)) {
            let _sender_is_ours = open.changed().await;
        }
    }

    /// Live sessions of an organisation.
    pub(crate) fn live_count_of(&self, org: &Org) -> usize {
        self.with_table(|table| table.live().filter(|entry| entry.origin.is_of(org)).count())
    }

    /// Wakes when a session comes or goes.
    pub(crate) fn live_changes(&self) -> watch::Receiver<usize> {
        self.live.subscribe()
    }

    /// Tells the control planes, but that of `origin`, that a session has come or gone: they count on what they heard last.
    fn note_occupancy(&self, origin: &Origin) {
        self.parts.orgs.all().iter().filter(|org| !origin.is_of(org)).for_each(|org| org.note_occupancy());
    }

    /// The worker's view of a live session, with the current credentials.
    pub(crate) fn detail(&self, id: &SessionId) -> Option<SessionDetail> {
        let (mut detail, origin) =
            self.with_table(|table| table.live_entry(id).map(|entry| (entry.full_detail(), entry.origin.clone())))?;
        if let Some(link) = origin.link() {
            detail.platform_url.clone_from(&link.url);
            if let Some(credentials) = link.cell.current() {
                detail.worker_id.clone_from(&credentials.worker_id);
                detail.auth_token = Some(credentials.token.clone());
            }
        }
        Some(detail)
    }

    /// Whether `token` is what the worker of this live session was given.
    pub(crate) fn is_token_of(&self, id: &SessionId, token: &str) -> bool {
        let digest = self.with_table(|table| table.live_entry(id).and_then(|entry| entry.token.clone()));
        digest.is_some_and(|digest| digest.is_of(token))
    }

    /// Asks one session to end. `None`: no session of that id is known.
    pub(crate) fn stop(&self, id: &SessionId, reason: Option<String>) -> Option<StopResponse> {
        let known = self.with_table(|table| table.view(id).is_some());
        if !known {
            return None;
        }
        let stopped = self.signal_stop(id, StopCause::Operator { reason });
        Some(StopResponse {
            session_id: id.clone(),
            stopped,
            mode: stopped.then(|| "operator-cancelled".to_owned()),
            reason: (!stopped).then(|| "already ended".to_owned()),
        })
    }

    /// The control plane of `org` wants one of its sessions to end.
    pub(crate) fn stop_of(&self, org: &Org, id: &SessionId, reason: Option<String>) {
        if self.is_of(org, id) {
            self.signal_stop(id, StopCause::Operator { reason });
        }
    }

    /// The control plane of `org` gave one of its sessions to somebody else.
    pub(crate) fn lease_lost(&self, org: &Org, id: &SessionId) {
        if self.is_of(org, id) {
            self.signal_stop(id, StopCause::LeaseLost);
        }
    }

    /// The control plane of `org` named a claim that has lapsed. A later claim of the same session stays.
    pub(crate) fn claim_lapsed(&self, org: &Org, id: &SessionId, attempt: u64) {
        self.with_table(|table| {
            let lapsed = |entry: &&table::Entry| entry.origin.is_of(org) && entry.detail.attempt == Some(attempt);
            table.entry(id).filter(lapsed).is_some_and(|entry| entry.request_stop(StopCause::LeaseLost))
        });
    }

    /// Whether the session came from `org`. What another organisation, or somebody on this machine, calls by the same
    /// id is none of its business.
    fn is_of(&self, org: &Org, id: &SessionId) -> bool {
        self.with_table(|table| table.entry(id).is_some_and(|entry| entry.origin.is_of(org)))
    }

    fn signal_stop(&self, id: &SessionId, cause: StopCause) -> bool {
        self.with_table(|table| table.entry(id).is_some_and(|entry| entry.request_stop(cause)))
    }

    /// Asks every live session to end; the answer is how many.
    pub(crate) fn stop_all(&self, cause: &StopCause) -> usize {
        self.with_table(|table| table.live().filter(|entry| entry.request_stop(cause.clone())).count())
    }

    pub(crate) fn output_path(&self, id: &SessionId) -> Option<PathBuf> {
        self.with_table(|table| table.view(id).map(|_| ()))?;
        Some(self.directory(id).join(record::OUTPUT_FILE))
    }

    pub(crate) fn directory(&self, id: &SessionId) -> PathBuf {
        self.parts.state.sessions().join(id.as_str())
    }

    /// Accepts and starts a session.
    pub(crate) fn accept(
        self: &Arc<Self>,
        spec: rensei_proto::SessionSpec,
        detail: SessionDetail,
        origin: Origin,
    ) -> Result<(SessionHandle, Decision), AcceptError> {
        start::accept(self, spec, detail, origin)
    }

    /// Waits until an embedder's sink has everything of the sessions that have ended.
    pub(crate) async fn output_delivered(&self) {
        self.parts.feed.delivered().await;
    }

    /// Bytes that it was too slow for.
    pub(crate) fn output_missed(&self) -> u64 {
        self.parts.feed.missed()
    }

    /// Whether an accept may take as long as somebody else's code does.
    pub(crate) const fn has_hook(&self) -> bool {
        self.parts.pre_spawn.is_some()
    }

    /// Takes over what a predecessor left. Must be complete before the first accept.
    pub(crate) async fn adopt(self: &Arc<Self>) {
        adopt::adopt(self).await;
    }

    /// Ends what outlives its session, until dropped.
    pub(crate) async fn sweep(self: Arc<Self>) {
        sweep::sweep(&self).await;
    }

    /// Carries output into the log and keeps it within bounds, until dropped.
    pub(crate) async fn follow_output(self: Arc<Self>) {
        output::follow(&self).await;
    }
}
