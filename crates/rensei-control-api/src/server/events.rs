//! `GET /api/daemon/events`: what happens on the host, as server-sent events.

use super::journal::{Journal, Reader};
use super::message::event_stream;
use super::reply::Refusal;
use super::routes::{Table, says};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use rensei_daemon_core::{DaemonHandle, Events, Phase, SessionEvent, SessionEvents};
use rensei_proto::control::{HostChange, HostEvent, Organization, Registration, UpdateResult};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// Time between two signs of life on a stream on which nothing happens.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) fn routes<T: Table>(table: T) -> T {
    let about = says("events", "events", "What happens on the host, as server-sent events; `Last-Event-ID` resumes.");
    table.get("/api/daemon/events", events, |operation| event_stream::<HostEvent>(about(operation)))
}

async fn events(State(journal): State<Journal>, headers: HeaderMap) -> Result<Response, Refusal> {
    let last = match headers.get("last-event-id").map(|id| id.to_str()).transpose() {
        Ok(id) => id.filter(|id| !id.is_empty()),
        Err(_) => return Err(Refusal::bad_request("invalid header: Last-Event-ID is not text")),
    };
    let events = futures_util::stream::unfold(journal.read_after(last), next);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

async fn next(mut reader: Reader) -> Option<(Result<Event, Infallible>, Reader)> {
    let event = reader.next().await?;
    // One line: JSON escapes line breaks.
    let data = serde_json::to_string(event.as_ref()).unwrap_or_default();
    Some((Ok(Event::default().id(&event.id).event(event.change.name()).data(data)), reader))
}

/// Writes down what happens after this call, until dropped.
pub(super) fn write_down(daemon: DaemonHandle, journal: Journal) -> impl Future<Output = ()> + Send {
    let (events, updates) = (daemon.events(), daemon.update_events());
    let (phase, organizations) = (daemon.phase(), daemon.organizations());
    async move {
        let (daemon, journal) = (&daemon, &journal);
        let (sessions, updates) = (sessions(daemon, journal, events), self::updates(journal, updates));
        let (states, registrations) = (states(daemon, journal, phase), registrations(daemon, journal, organizations));
        tokio::join!(sessions, updates, states, registrations);
    }
}

async fn sessions(daemon: &DaemonHandle, journal: &Journal, mut events: SessionEvents) {
    let mut missed = 0;
    while let Some(event) = events.next().await {
        if events.missed() > missed {
            journal.publish(HostChange::Missed { missed: Some(events.missed() - missed) });
            missed = events.missed();
        }
        if let Some(change) = change(daemon, &event) {
            journal.publish(change);
        }
    }
}

fn change(daemon: &DaemonHandle, event: &Arc<SessionEvent>) -> Option<HostChange> {
    Some(match event.as_ref() {
        SessionEvent::Started { handle, .. } => {
            // Forgotten already only when it has ended, which is an event of its own.
            HostChange::SessionStarted { session: Box::new(daemon.session_view(&handle.session_id)?) }
        }
        SessionEvent::Ended { view } => HostChange::SessionEnded { session: Box::new(view.clone()) },
        SessionEvent::WorkareaAcquired { workarea } => {
            HostChange::WorkareaAcquired { workarea: Box::new(workarea.clone()) }
        }
        SessionEvent::WorkareaReleased { session_id } => {
            HostChange::WorkareaReleased { session_id: session_id.clone() }
        }
    })
}

async fn updates(journal: &Journal, mut events: Events<UpdateResult>) {
    while let Some(update) = events.next().await {
        journal.publish(HostChange::HostUpdate { update: update.as_ref().clone() });
    }
}

/// Sees to it that the end of an update, which ends the daemon, is in the journal before the stream ends.
pub(super) fn conclude(daemon: &DaemonHandle, journal: &Journal) {
    if let Some(update) = daemon.status().update.filter(|update| update.updated) {
        journal.publish_once(HostChange::HostUpdate { update });
    }
}

async fn states(daemon: &DaemonHandle, journal: &Journal, mut phase: Phase) {
    loop {
        let left = phase;
        phase = daemon.wait_for_phase(|phase| *phase != left).await;
        if phase.wire() != left.wire() {
            journal.publish(HostChange::HostState { status: phase.wire() });
        }
    }
}

async fn registrations(daemon: &DaemonHandle, journal: &Journal, mut known: Vec<Organization>) {
    loop {
        daemon.registrations_changed(|now| now.len() != known.len() || news(&known, now).next().is_some()).await;
        let now = daemon.organizations();
        for Organization { name, registration, .. } in news(&known, &now).cloned() {
            let organization = Some(name).filter(|name| !name.is_empty());
            journal.publish(HostChange::RegistrationChanged { organization, registration: Box::new(registration) });
        }
        known = now;
    }
}

/// Those with whose registration it stands otherwise than before. One that has moved may be there twice for a while, with
/// the control plane that it has left.
fn news<'a>(known: &'a [Organization], now: &'a [Organization]) -> impl Iterator<Item = &'a Organization> {
    let before = |org: &Organization| {
        known.iter().find(|old| (&old.file, &old.registration.url) == (&org.file, &org.registration.url))
    };
    now.iter().filter(move |org| before(org).is_none_or(|old| differs(&old.registration, &org.registration)))
}

/// Whether there is news: that a heartbeat went through as before is none.
fn differs(old: &Registration, new: &Registration) -> bool {
    let quiet = |registration: &Registration| Registration {
        last_heartbeat_at: None,
        clock_skew_seconds: None,
        ..registration.clone()
    };
    quiet(old) != quiet(new)
}
