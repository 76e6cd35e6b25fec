//! One session from its start to its end.

use super::brief::brief;
use super::record::{self, OUTPUT_FILE};
use super::report::Told;
use super::table::{Entry, StopCause, Table};
use super::{MARKER, Origin, STOP_GRACE, Sessions, output, report};
use crate::events::SessionEvent;
use crate::supervisor::{AbortOnDrop, or_else};
use rensei_process::{End, GroupChild, ProcessGroup, ProcessIdentity, Signal, kill_by_env, output_log};
use rensei_proto::control::{SessionState, SessionView};
use rensei_proto::outcome::SessionResult;
use rensei_proto::{SessionId, SessionStatus};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The process of a session.
#[derive(Debug)]
pub(super) enum Watched {
    /// Started by this daemon: its exit status will be known.
    Child(GroupChild),
    /// Started by a predecessor: only its disappearance can be seen.
    Adopted(ProcessIdentity),
}

impl Watched {
    fn identity(&self) -> &ProcessIdentity {
        match self {
            Self::Child(child) => child.identity(),
            Self::Adopted(identity) => identity,
        }
    }

    fn group(&self) -> ProcessGroup {
        ProcessGroup::of_leader(self.identity().pid)
    }

    /// How long it has run; the wall clock has no part in this.
    fn age(&self) -> Duration {
        match self {
            Self::Child(_) => Duration::ZERO,
            Self::Adopted(identity) => identity.age().unwrap_or_default(),
        }
    }

    /// Cancel-safe: waiting again continues where it was.
    async fn gone(&mut self) -> Option<End> {
        match self {
            Self::Child(child) => child.wait().await.ok(),
            Self::Adopted(identity) => {
                identity.wait_gone().await;
                None
            }
        }
    }
}

/// Supervises one session.
#[derive(Debug)]
pub(super) struct Monitor {
    sessions: Arc<Sessions>,
    id: SessionId,
    origin: Origin,
    stop: watch::Receiver<Option<StopCause>>,
    /// As configured; what is left of it depends on the process's age.
    limit: Option<Duration>,
}

/// Starts a monitor. Should it panic, another one adopts the process, so that neither the process nor its slot is lost.
pub(super) fn supervise(sessions: &Arc<Sessions>, monitor: Monitor, process: Watched) {
    let (owned, id, identity) = (Arc::clone(sessions), monitor.id.clone(), process.identity().clone());
    let replacement = move || {
        let monitor = owned.with_table(|table| table.entry(&id).map(|entry| Monitor::of(&owned, entry)));
        monitor.map(|monitor| monitor.run(Watched::Adopted(identity)))
    };
    let incidents = sessions.parts.incidents.clone();
    sessions.parts.tasks.spawn(or_else(incidents, "session", monitor.run(process), replacement));
}

/// How a session's process came to its end.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) end: Option<End>,
    pub(super) cause: Option<StopCause>,
    pub(super) adopted: bool,
}

impl Ended {
    /// Whether the worker ended by itself, and well. One that was told to end and obeys says 0, too.
    pub(super) fn success(&self) -> bool {
        self.cause.is_none() && self.end.is_some_and(End::success)
    }

    /// State on the wire: an end that somebody asked for is `terminated`, unless the worker says that it succeeded first.
    fn state(&self, status: SessionStatus) -> SessionState {
        match (&self.cause, status) {
            (_, SessionStatus::Completed) => SessionState::Completed,
            (Some(_), _) | (None, SessionStatus::Stopped) => SessionState::Terminated,
            (None, _) => SessionState::Failed,
        }
    }

    /// Whether sandbox and runtime did well. An end that somebody asked for says nothing about them.
    const fn lesson(&self, state: SessionState) -> Option<bool> {
        match (state, &self.cause) {
            (SessionState::Completed, _) => Some(true),
            (SessionState::Failed, _) | (SessionState::Terminated, Some(StopCause::TimeLimit { .. })) => Some(false),
            (SessionState::Starting | SessionState::Running | SessionState::Terminated, _) => None,
        }
    }

    /// Why, for people. `None` when the exit code says it all.
    pub(super) fn reason(&self) -> Option<String> {
        match &self.cause {
            Some(cause) => Some(cause.notice().reason),
            None if self.adopted => Some("ended after a restart of the daemon; its exit code is not known".to_owned()),
            None => None,
        }
    }
}

impl Monitor {
    pub(super) fn of(sessions: &Arc<Sessions>, entry: &Entry) -> Self {
        Self {
            sessions: Arc::clone(sessions),
            id: entry.view.session_id.clone(),
            origin: entry.origin.clone(),
            stop: entry.stop_requests(),
            limit: entry.max_duration_seconds.map(Duration::from_secs),
        }
    }

    /// Runs to the very end: process gone, leftovers gone, end reported, workarea back, record final.
    pub(super) async fn run(mut self, mut process: Watched) {
        self.note_process(process.identity());
        let announced = self.origin.org().cloned().map(|org| {
            let (sessions, id) = (Arc::clone(&self.sessions), self.id.clone());
            AbortOnDrop(tokio::spawn(async move { report::announce_running(&sessions, &org, &id).await }))
        });
        let yielding = AbortOnDrop(tokio::spawn(give_way(process.group())));
        let ended = self.supervise(&mut process).await;
        drop((announced, yielding));
        clear_leftovers(&self.sessions, &self.id, process.group(), &ended).await;
        conclude(&self.sessions, &self.id, &ended);
        wind_up(&self.sessions, &self.id).await;
    }

    /// A disk that is full must not end sessions, here and below: what cannot be noted is only logged.
    fn note_process(&self, process: &ProcessIdentity) {
        if let Err(error) = record::note_process(&self.sessions.directory(&self.id), process) {
            tracing::warn!(session_id = %self.id, %error, "session journal could not be written");
        }
    }

    async fn supervise(&mut self, process: &mut Watched) -> Ended {
        let adopted = matches!(process, Watched::Adopted(_));
        let limit = self.limit;
        let left = limit.map(|limit| limit.saturating_sub(process.age()));
        // All three arms only wait; what they wait for stays observable when another one wins.
        let cause = tokio::select! {
            biased;
            // First, so that a process that ended by itself is not called stopped.
            end = process.gone() => return Ended { end, cause: None, adopted },
            cause = stop_requested(&mut self.stop) => cause,
            () = expired(left) => StopCause::TimeLimit { seconds: limit.unwrap_or_default().as_secs() },
        };
        tracing::info!(session_id = %self.id, ?cause, "stopping session");
        let group = process.group();
        record::leave_stop_notice(&self.sessions.directory(&self.id), &cause.notice());
        let end = stop_process(process, group).await;
        Ended { end, cause: Some(cause), adopted }
    }
}

/// How long a worker competes with the host as an equal: until its program has started.
const HEAD_START: Duration = Duration::from_millis(10);

/// On a busy machine heartbeats must go out whatever the sessions do.
async fn give_way(group: ProcessGroup) {
    tokio::time::sleep(HEAD_START).await;
    if let Err(error) = group.give_way() {
        tracing::debug!(?group, %error, "a session competes with its host for the processor");
    }
}

async fn stop_requested(stop: &mut watch::Receiver<Option<StopCause>>) -> StopCause {
    let cause = stop.wait_for(Option::is_some).await.ok().and_then(|cause| cause.clone());
    match cause {
        Some(cause) => cause,
        // The entry outlives its monitor; if it did not, nobody could ask for a stop any more.
        None => std::future::pending().await,
    }
}

async fn expired(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// TERM to the group, grace, KILL to the group. A process that the kernel cannot end just now is not waited for: its
/// marker finds it when it can.
async fn stop_process(process: &mut Watched, group: ProcessGroup) -> Option<End> {
    signal(group, Signal::Terminate);
    match tokio::time::timeout(STOP_GRACE, process.gone()).await {
        Ok(end) => end,
        Err(_elapsed) => {
            signal(group, Signal::Kill);
            tokio::time::timeout(STOP_GRACE, process.gone()).await.unwrap_or_else(|_elapsed| {
                tracing::error!(?group, "a killed process does not end");
                None
            })
        }
    }
}

fn signal(group: ProcessGroup, signal: Signal) {
    if let Err(error) = group.signal(signal) {
        tracing::warn!(?group, ?signal, %error, "process group could not be signalled");
    }
}

/// Ends what the worker left running. Its group is looked at here; what moved out of the group is searched for at once
/// when the worker did not end by itself, else by the next sweep, because it costs a walk over all processes.
async fn clear_leftovers(sessions: &Sessions, id: &SessionId, group: ProcessGroup, ended: &Ended) {
    if !group.is_empty() {
        signal(group, Signal::Kill);
    }
    let ended_by_itself = ended.cause.is_none() && !ended.adopted && ended.end.is_some_and(|end| end.code().is_some());
    if !ended_by_itself {
        kill_marked(sessions, id).await;
    }
}

/// Kills every process that carries the session's marker. A few rounds: one may be forking just now.
pub(super) async fn kill_marked(sessions: &Sessions, id: &SessionId) {
    for _round in 0..20 {
        let directory = sessions.directory(id);
        let found = tokio::task::spawn_blocking(move || kill_by_env(MARKER, &directory.to_string_lossy())).await;
        if found.unwrap_or_default() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tracing::warn!(session_id = %id, "processes of an ended session are still there");
}

/// Frees the slot: from here on the session counts as ended.
pub(super) fn conclude(sessions: &Sessions, id: &SessionId, ended: &Ended) {
    let directory = sessions.directory(id);
    output::carry_rest(sessions, id);
    let left = record::read_outcome(&directory, id);
    let tail = if left.is_none() && !ended.success() { tail(sessions, id) } else { Vec::new() };
    let ended_view = sessions.with_table(|table| {
        let entry = table.entry_mut(id)?;
        let origin = entry.origin.clone();
        let outcome = left.unwrap_or_else(|| report::derived_outcome(entry, ended, tail));
        // After a lost lease the session is somebody else's: whatever is said of it here would be wrong.
        let lost = matches!(ended.cause, Some(StopCause::LeaseLost));
        let view = &mut entry.view;
        view.state = ended.state(outcome.status);
        view.ended_at = Some(rensei_proto::rfc3339_millis(jiff::Timestamp::now()));
        view.exit_code = ended.end.and_then(End::code);
        view.signal = ended.end.and_then(End::signal);
        view.reason = if view.state == SessionState::Completed { None } else { ended.reason() };
        view.reported = origin.is_local() || lost || outcome.reported;
        view.outcome = Some(brief(outcome));
        Some((view.clone(), origin, entry.detail.provider().to_owned()))
    });
    let Some((view, origin, runtime)) = ended_view else { return };
    sessions.note_occupancy(&origin);
    note_end(sessions, &view, Told::Nothing);
    tracing::info!(event = "session-completed", session_id = %id, result = %view.state, "session ended");
    if let Some(succeeded) = ended.lesson(view.state) {
        sessions.parts.routing.learn(&runtime, succeeded);
    }
    // A sink that is behind reads it first.
    if !sessions.parts.feed.ended(id) {
        output::bound_ended(id, &directory.join(OUTPUT_FILE));
    }
    sessions.parts.events.publish(SessionEvent::Ended { view });
    sessions.sweep.notify_one();
}

/// Reports the end until it is accepted, gives the workarea back and closes the record.
pub(super) async fn wind_up(sessions: &Arc<Sessions>, id: &SessionId) {
    let (told, ()) = tokio::join!(report::terminal(sessions, id), sessions.release_workarea(id));
    if told != Told::Nothing
        && let Some(view) = sessions.view(id)
    {
        note_end(sessions, &view, told);
    }
    forget(sessions, |table| table.retire(id)).await;
}

/// Deletes what is left of the sessions that the host remembers no longer after `change`. Their ids are free at once: one
/// that has come again by now keeps its directory.
pub(super) async fn forget(sessions: &Arc<Sessions>, change: impl FnOnce(&mut Table) -> Vec<SessionId>) {
    let forgotten = sessions.with_table(change);
    if forgotten.is_empty() {
        return;
    }
    let owned = Arc::clone(sessions);
    let delete = move || {
        for id in forgotten {
            let aside = owned.directories.alone(|| {
                let comes_again = owned.view(&id).is_some();
                if comes_again { None } else { record::set_aside(&owned.directory(&id)) }
            });
            aside.iter().for_each(|path| record::remove(path));
        }
    };
    // All of it waits for the disk.
    let _done = tokio::task::spawn_blocking(delete).await;
}

fn tail(sessions: &Sessions, id: &SessionId) -> Vec<String> {
    let path = sessions.directory(id).join(OUTPUT_FILE);
    output_log::tail_lines(&path, SessionResult::TAIL_LINES, SessionResult::TAIL_LINE_BYTES).unwrap_or_default()
}

fn note_end(sessions: &Sessions, view: &SessionView, told: Told) {
    if let Err(error) = record::note_end(&sessions.directory(&view.session_id), view, told == Told::Refused) {
        tracing::warn!(session_id = %view.session_id, %error, "session journal could not be written");
    }
}
