//! Taking over what a predecessor left behind.
//!
//! | record says | process | then |
//! |---|---|---|
//! | ended, reported or refused | – | remembered |
//! | ended, not reported | – | reported |
//! | running | same pid, start time and boot | supervised as before, exit code unknown |
//! | starting | found by its marker | supervised as before |
//! | starting | not found | never ran: forgotten; the first heartbeat gives it back to the queue |
//! | running | gone | leftovers killed by their marker; ended with what the worker left, else as failed |
//!
//! Nothing is signalled by a pid alone: a pid may be somebody else's by now.

use super::monitor::{Ended, Monitor, Watched, conclude, forget, kill_marked, wind_up};
use super::record::{self, Record, Sender};
use super::table::Entry;
use super::{MARKER, Origin, Sessions, monitor};
use crate::org::OrgName;
use rensei_process::output_log::OutputLog;
use rensei_process::{ProcessIdentity, find_by_env};
use rensei_proto::SessionId;
use rensei_proto::control::SessionState;
use std::sync::Arc;

pub(super) async fn adopt(sessions: &Arc<Sessions>) {
    record::remove_set_aside(&sessions.parts.state.sessions());
    let mut records = record::load_all(&sessions.parts.state.sessions(), |directory| {
        // Nothing is known of such a session, so nobody would look after its processes.
        let _killed = rensei_process::kill_by_env(MARKER, &directory.to_string_lossy());
    });
    records.sort_by(|a, b| a.view.accepted_at.cmp(&b.view.accepted_at));
    for record in records {
        adopt_one(sessions, record).await;
    }
    sessions.discard_strays();
    sessions.sweep.notify_one();
    let adopted = sessions.live_count();
    if adopted > 0 {
        tracing::info!(event = "sessions-adopted", count = adopted, "sessions of an earlier daemon taken over");
    }
}

async fn adopt_one(sessions: &Arc<Sessions>, record: Record) {
    let id = record.view.session_id.clone();
    if record.view.state.is_ended() {
        take_over_ended(sessions, record).await;
    } else if let Some(identity) = surviving(sessions, &id, record.process.as_ref()).await {
        supervise(sessions, record, identity);
    } else if record.process.is_none() && record::read_outcome(&sessions.directory(&id), &id).is_none() {
        kill_marked(sessions, &id).await;
        tracing::info!(session_id = %id, "session never started; forgotten");
        record::remove(&sessions.directory(&id));
    } else {
        kill_marked(sessions, &id).await;
        insert(sessions, record);
        conclude(sessions, &id, &Ended { end: None, cause: None, adopted: true });
        wind_up_later(sessions, id);
    }
}

/// The worker's process, if it is alive.
async fn surviving(sessions: &Sessions, id: &SessionId, recorded: Option<&ProcessIdentity>) -> Option<ProcessIdentity> {
    if let Some(identity) = recorded {
        return identity.is_alive().then(|| identity.clone());
    }
    // The daemon died between spawn and record: the worker is the marked process that leads its own group.
    let directory = sessions.directory(id);
    let pids = tokio::task::spawn_blocking(move || find_by_env(MARKER, &directory.to_string_lossy())).await.ok()?;
    pids.into_iter()
        .filter(|pid| rensei_process::leads_its_group(*pid))
        .find_map(|pid| ProcessIdentity::of(pid).ok().filter(ProcessIdentity::is_alive))
}

async fn take_over_ended(sessions: &Arc<Sessions>, record: Record) {
    if record.view.reported || record.refused || origin(sessions, &record).link().is_none() {
        forget(sessions, |table| table.remember(record.view, record.detail.attempt)).await;
        return;
    }
    let id = record.view.session_id.clone();
    insert(sessions, record);
    wind_up_later(sessions, id);
}

fn supervise(sessions: &Arc<Sessions>, mut record: Record, identity: ProcessIdentity) {
    record.view.adopted = true;
    record.view.state = SessionState::Running;
    record.view.pid = identity.pid;
    let id = record.view.session_id.clone();
    tracing::info!(event = "session-adopted", session_id = %id, pid = identity.pid, "session adopted");
    let output = sessions.directory(&id).join(record::OUTPUT_FILE);
    // What was written before is the predecessor's sink's.
    let written = OutputLog::open(&output).and_then(|log| log.size()).unwrap_or_default();
    sessions.parts.feed.follow(&id, output, written);
    insert(sessions, record);
    let monitor = sessions.with_table(|table| table.entry(&id).map(|entry| Monitor::of(sessions, entry)));
    if let Some(monitor) = monitor {
        monitor::supervise(sessions, monitor, Watched::Adopted(identity));
    }
}

/// Who sent it. A name that cannot be one is nobody's whom we could tell.
fn origin(sessions: &Sessions, record: &Record) -> Origin {
    match (record.origin, OrgName::of(record.view.organization.as_deref())) {
        (Sender::Platform, Some(name)) => {
            Origin::Platform(sessions.parts.orgs.of_record(&name, record.control_plane.as_deref()))
        }
        (Sender::Platform, None) | (Sender::Local, _) => Origin::Local,
    }
}

fn insert(sessions: &Sessions, record: Record) {
    let origin = origin(sessions, &record);
    let mut entry = Entry::new(record.view, record.detail, origin);
    entry.max_duration_seconds = record.max_duration_seconds;
    entry.token = record.token;
    sessions.with_table(|table| table.insert(entry));
}

fn wind_up_later(sessions: &Arc<Sessions>, id: SessionId) {
    let owned = Arc::clone(sessions);
    sessions.parts.tasks.spawn(async move { wind_up(&owned, &id).await });
}
