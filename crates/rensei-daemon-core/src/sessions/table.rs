//! Who is here. Plain synchronous state; one lock around it makes admission atomic.

use super::output::Carried;
use super::token::TokenDigest;
use super::{FORGET_BATCH, KEPT_SESSIONS, Origin};
use crate::accept::AcceptError;
use crate::org::Org;
use rensei_proto::control::{SessionHandle, SessionState, SessionView};
use rensei_proto::outcome::StopNotice;
use rensei_proto::platform::HeldSession;
use rensei_proto::{Secret, SessionDetail, SessionId, SessionStatus};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::watch;

/// Why the daemon ends a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StopCause {
    /// Somebody asked for it.
    Operator { reason: Option<String> },
    /// The daemon itself is being stopped.
    DaemonStop,
    /// A drain ran out of time.
    DrainDeadline,
    /// The session ran as long as it may.
    TimeLimit { seconds: u64 },
    /// The control plane gave it to another host.
    LeaseLost,
}

impl StopCause {
    /// What the worker is told, and what is reported when it says nothing.
    pub(crate) fn notice(&self) -> StopNotice {
        let stopped =
            |reason: String| StopNotice { status: SessionStatus::Stopped, failure_mode: "stopped".to_owned(), reason };
        let failed = |mode: &str, reason: String| StopNotice {
            status: SessionStatus::Failed,
            failure_mode: mode.to_owned(),
            reason,
        };
        match self {
            Self::Operator { reason: Some(reason) } => stopped(format!("stopped by an operator: {reason}")),
            Self::Operator { reason: None } => stopped("stopped by an operator".to_owned()),
            Self::DaemonStop => stopped("stopped with the daemon".to_owned()),
            Self::DrainDeadline => stopped("stopped at the end of a drain".to_owned()),
            Self::TimeLimit { seconds } => failed("timeout", format!("ran longer than maxDurationSeconds ({seconds})")),
            Self::LeaseLost => {
                failed("lost-ownership", "the control plane gave the session to another host".to_owned())
            }
        }
    }
}

/// A live session, or one whose end is being wound up.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) view: SessionView,
    /// Without credentials: those are added when it is asked for.
    pub(crate) detail: SessionDetail,
    pub(crate) origin: Origin,
    pub(crate) max_duration_seconds: Option<u64>,
    /// Of what its worker shows to be told about it.
    pub(crate) token: Option<TokenDigest>,
    /// Lent by the control plane for this session. In memory only.
    pub(crate) git_token: Option<Secret>,
    pub(crate) carried: Carried,
    stop: watch::Sender<Option<StopCause>>,
}

impl Entry {
    pub(crate) fn new(view: SessionView, detail: SessionDetail, origin: Origin) -> Self {
        Self {
            view,
            detail,
            origin,
            max_duration_seconds: None,
            token: None,
            git_token: None,
            carried: Carried::default(),
            stop: watch::Sender::new(None),
        }
    }

    /// Leaves the first cause in place. False when the process has ended.
    pub(crate) fn request_stop(&self, cause: StopCause) -> bool {
        if self.view.state.is_ended() {
            return false;
        }
        self.stop.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(cause);
            }
            first
        });
        true
    }

    /// The detail with what the session was lent.
    pub(crate) fn full_detail(&self) -> SessionDetail {
        let mut detail = self.detail.clone();
        if self.git_token.is_some() {
            detail.git.get_or_insert_default().token.clone_from(&self.git_token);
        }
        detail
    }

    pub(crate) fn stop_requests(&self) -> watch::Receiver<Option<StopCause>> {
        self.stop.subscribe()
    }

    pub(crate) fn handle(&self) -> SessionHandle {
        SessionHandle {
            session_id: self.view.session_id.clone(),
            pid: self.view.pid,
            // The handle promises whole seconds; the view keeps milliseconds.
            accepted_at: self.view.accepted_at.get(..19).map_or_else(String::new, |text| format!("{text}Z")),
            state: self.view.state,
            resources: self.view.resources,
        }
    }
}

/// All sessions that the host knows.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Live, and ended ones until their reports are out and their workareas back.
    entries: HashMap<SessionId, Entry>,
    /// Wound up, oldest first.
    ended: VecDeque<Ended>,
}

/// A session that is only remembered.
#[derive(Debug)]
struct Ended {
    view: SessionView,
    /// Fencing number under which it ran last.
    attempt: Option<u64>,
}

impl Table {
    pub(crate) fn live(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| !entry.view.state.is_ended())
    }

    pub(crate) fn live_count(&self) -> usize {
        self.live().count()
    }

    /// Those whose end is not wound up.
    pub(crate) fn open_count(&self) -> usize {
        self.entries.len()
    }

    /// Whether one of them came from `org`.
    pub(crate) fn has_any_of(&self, org: &Org) -> bool {
        self.entries.values().any(|entry| entry.origin.is_of(org))
    }

    pub(crate) fn entry(&self, id: &SessionId) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// The same, unless its process has ended.
    pub(crate) fn live_entry(&self, id: &SessionId) -> Option<&Entry> {
        self.entry(id).filter(|entry| !entry.view.state.is_ended())
    }

    pub(crate) fn entry_mut(&mut self, id: &SessionId) -> Option<&mut Entry> {
        self.entries.get_mut(id)
    }

    /// The checks that depend on who is here. An ended session whose end is still being wound up keeps its id.
    /// An attempt that has run here does not run again, however often it is delivered.
    pub(crate) fn check_admission(&self, id: &SessionId, attempt: Option<u64>, max: usize) -> Result<(), AcceptError> {
        let has_run = || attempt.is_some() && self.ended_entry(id).is_some_and(|ended| ended.attempt == attempt);
        if self.entries.contains_key(id) || has_run() {
            return Err(AcceptError::Duplicate { id: id.to_string() });
        }
        let active = self.live_count();
        if active >= max {
            return Err(AcceptError::Full { active, max });
        }
        Ok(())
    }

    pub(crate) fn insert(&mut self, entry: Entry) {
        let id = entry.view.session_id.clone();
        self.ended.retain(|ended| ended.view.session_id != id);
        self.entries.insert(id, entry);
    }

    pub(crate) fn remove(&mut self, id: &SessionId) -> Option<Entry> {
        self.entries.remove(id)
    }

    /// Moves a session to the ended ones; the answer is who must be forgotten for it.
    pub(crate) fn retire(&mut self, id: &SessionId) -> Vec<SessionId> {
        self.entries.remove(id).map_or_else(Vec::new, |entry| self.remember(entry.view, entry.detail.attempt))
    }

    /// Adds an ended session. Old ones are forgotten in batches, because forgetting means deleting files.
    pub(crate) fn remember(&mut self, view: SessionView, attempt: Option<u64>) -> Vec<SessionId> {
        self.ended.push_back(Ended { view, attempt });
        let surplus = self.ended.len().saturating_sub(KEPT_SESSIONS);
        let batch = if surplus < FORGET_BATCH { 0 } else { surplus };
        self.ended.drain(..batch).map(|ended| ended.view.session_id).collect()
    }

    pub(crate) fn view(&self, id: &SessionId) -> Option<SessionView> {
        let live = self.entries.get(id).map(|entry| &entry.view);
        live.or_else(|| self.ended_entry(id).map(|ended| &ended.view)).cloned()
    }

    fn ended_entry(&self, id: &SessionId) -> Option<&Ended> {
        self.ended.iter().rev().find(|ended| ended.view.session_id == *id)
    }

    /// Fencing number under which a session of `org` runs here, or ran last.
    pub(crate) fn attempt(&self, org: &Org, id: &SessionId) -> Option<Option<u64>> {
        if let Some(entry) = self.entries.get(id) {
            return entry.origin.is_of(org).then_some(entry.detail.attempt);
        }
        let of_org = |ended: &&Ended| ended.view.organization.as_deref() == org.name.slug();
        self.ended_entry(id).filter(of_org).map(|ended| ended.attempt)
    }

    /// Fencing number under which a session runs here, or ran last, whoever's it is.
    pub(crate) fn run_of(&self, id: &SessionId) -> Option<u64> {
        let known = self.entries.get(id).map(|entry| entry.detail.attempt);
        known.or_else(|| self.ended_entry(id).map(|ended| ended.attempt)).flatten()
    }

    pub(crate) fn views(&self) -> Vec<SessionView> {
        let mut views: Vec<_> = self
            .ended
            .iter()
            .map(|ended| &ended.view)
            .chain(self.entries.values().map(|entry| &entry.view))
            .cloned()
            .collect();
        views.sort_by(|a, b| (&a.accepted_at, &a.session_id).cmp(&(&b.accepted_at, &b.session_id)));
        views
    }

    pub(crate) fn handles(&self) -> Vec<SessionHandle> {
        let mut live: Vec<_> = self.live().collect();
        live.sort_by(|a, b| (&a.view.accepted_at, &a.view.session_id).cmp(&(&b.view.accepted_at, &b.view.session_id)));
        live.into_iter().map(Entry::handle).collect()
    }

    /// Sessions of an organisation that are not wound up, with their fencing numbers.
    pub(crate) fn held(&self, org: &Org) -> Vec<HeldSession> {
        let of_org = self.entries.values().filter(|entry| entry.origin.is_of(org));
        of_org
            .map(|entry| HeldSession { session_id: entry.view.session_id.to_string(), attempt: entry.detail.attempt })
            .collect()
    }

    /// Those whose output grows.
    pub(crate) fn running_output(&self) -> impl Iterator<Item = (SessionId, Carried)> {
        let running = self.entries.values().filter(|entry| entry.view.state == SessionState::Running);
        running.map(|entry| (entry.view.session_id.clone(), Arc::clone(&entry.carried)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(number: usize) -> SessionView {
        serde_json::from_value(serde_json::json!({"sessionId": format!("s-{number}"), "state": "completed", "pid": 0,
            "projectId": "app", "repository": "/srv/app", "acceptedAt": "2026-01-01T00:00:00.000Z", "adopted": false,
            "reported": true}))
        .unwrap()
    }

    #[test]
    fn a_long_history_is_forgotten_in_batches() {
        let mut table = Table::default();
        let forgotten: usize = (0..100_000).map(|number| table.remember(ended(number), Some(1)).len()).sum();
        let kept = table.views().len();
        assert!((KEPT_SESSIONS..KEPT_SESSIONS + FORGET_BATCH).contains(&kept), "{kept}");
        assert_eq!(forgotten + kept, 100_000, "what is not kept is deleted");
        let newest = SessionId::parse("s-99999").unwrap();
        assert!(table.view(&newest).is_some() && table.view(&SessionId::parse("s-0").unwrap()).is_none());
        assert!(matches!(table.check_admission(&newest, Some(1), 8), Err(AcceptError::Duplicate { .. })));
    }
}
