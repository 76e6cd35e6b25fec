//! `GET /api/daemon/events`: what happens on the host, as server-sent events.

use super::journal::{Journal, Reader};
use super::message::event_stream;
use super::reply::Refusal;
use super::routes::{Table, says};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use rensei_daemon_core::{DaemonHandle, Events, Phase, RegistrationChanges, SessionEvent, SessionEvents};
use rensei_proto::control::{HostChange, HostEvent, Organization, Registration, RegistrationState, UpdateResult};
use std::collections::{BTreeMap, BTreeSet};
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
    let (phase, changes) = (daemon.phase(), daemon.registration_changes());
    let known = standing(daemon.organizations());
    async move {
        let (daemon, journal) = (&daemon, &journal);
        let (sessions, updates) = (sessions(daemon, journal, events), self::updates(journal, updates));
        let (states, registrations) = (states(daemon, journal, phase), registrations(daemon, journal, changes, known));
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

async fn registrations(
    daemon: &DaemonHandle,
    journal: &Journal,
    mut changes: RegistrationChanges,
    mut known: Standing,
) {
    loop {
        changes.changed().await;
        let now = standing(daemon.organizations());
        news(&known, &now).for_each(|change| journal.publish(change));
        known = now;
    }
}

/// How it stands with each organisation at each control plane.
type Standing = BTreeMap<(String, String), Registration>;

/// An organisation may be there twice: in force, and leaving as long as sessions of it run. They are apart by their control
/// plane, and where that is the same one, what is in force counts.
fn standing(organizations: Vec<Organization>) -> Standing {
    let (leaving, in_force): (Vec<_>, Vec<_>) = organizations.into_iter().partition(|org| org.leaving);
    let entry = |Organization { name, registration, .. }| {
        ((name, registration.url.trim_end_matches('/').to_owned()), registration)
    };
    leaving.into_iter().chain(in_force).map(entry).collect()
}

/// What is gone, then with whose registration it stands otherwise than before. What is left of an organisation of which
/// something is gone is told again: the last word on each name is what holds.
fn news<'a>(known: &'a Standing, now: &'a Standing) -> impl Iterator<Item = HostChange> + use<'a> {
    let gone: Vec<_> = known.iter().filter(|(key, _)| !now.contains_key(*key)).collect();
    let lost: BTreeSet<_> = gone.iter().map(|((name, _url), _)| name).collect();
    let fresh = now.iter().filter(move |(key, registration)| {
        lost.contains(&key.0) || known.get(*key).is_none_or(|old| differs(old, registration))
    });
    let gone = gone.into_iter().map(|(key, last)| changed(&key.0, without_link(last)));
    gone.chain(fresh.map(|(key, registration)| changed(&key.0, registration.clone())))
}

fn changed(name: &str, registration: Registration) -> HostChange {
    let organization = Some(name.to_owned()).filter(|name| !name.is_empty());
    HostChange::RegistrationChanged { organization, registration: Box::new(registration) }
}

/// The host has nothing to do with that control plane any more.
fn without_link(last: &Registration) -> Registration {
    Registration {
        state: RegistrationState::Local,
        url: last.url.clone(),
        worker_id: String::new(),
        last_error: None,
        last_heartbeat_at: None,
        clock_skew_seconds: None,
        suspended: None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use RegistrationState::{Local, Refused, Registered};

    fn org(name: &str, url: &str, leaving: bool, state: RegistrationState) -> Organization {
        let any = Registration {
            state,
            url: url.to_owned(),
            worker_id: String::new(),
            last_error: None,
            last_heartbeat_at: None,
            clock_skew_seconds: None,
            suspended: None,
        };
        Organization {
            name: name.to_owned(),
            file: String::new(),
            projects_allowed: 0,
            active_sessions: 0,
            leaving,
            config_error: None,
            ignored_keys: Vec::new(),
            registration: any,
        }
    }

    fn told(known: &Standing, now: &Standing) -> Vec<(String, String, RegistrationState)> {
        let row = |change| match change {
            HostChange::RegistrationChanged { organization, registration } => {
                (organization.unwrap_or_default(), registration.url, registration.state)
            }
            other => panic!("{other:?}"),
        };
        news(known, now).map(row).collect()
    }

    fn row(name: &str, url: &str, state: RegistrationState) -> (String, String, RegistrationState) {
        (name.to_owned(), url.to_owned(), state)
    }

    #[test]
    fn one_that_is_there_twice_at_one_control_plane_is_what_is_in_force() {
        let before = standing(vec![org("", "http://a", false, Registered)]);
        let twice = standing(vec![org("", "http://a/", false, Refused), org("", "http://a", true, Registered)]);
        assert_eq!(told(&before, &twice), [row("", "http://a/", Refused)]);
        assert_eq!(told(&twice, &twice), [], "what is known is no news");
        let alone = standing(vec![org("", "http://a/", false, Refused)]);
        assert_eq!(told(&twice, &alone), []);
    }

    #[test]
    fn what_goes_away_is_told_and_what_is_left_of_it_last() {
        let partner = org("p", "http://p", false, Registered);
        let moved =
            vec![org("", "http://b", false, Registered), partner.clone(), org("", "http://a", true, Registered)];
        let (both, left) = (standing(moved), standing(vec![org("", "http://b", false, Registered), partner]));
        assert_eq!(told(&both, &left), [row("", "http://a", Local), row("", "http://b", Registered)]);
        let main = standing(vec![org("", "http://b", false, Registered)]);
        assert_eq!(told(&left, &main), [row("p", "http://p", Local)]);
    }
}
