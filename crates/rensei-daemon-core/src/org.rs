//! An organisation that the host works for: its control plane, its identity there, and what it may run here.
//!
//! `daemon.yaml` is the first one; each `daemon-<org>.yaml` beside it is another. All of them are this one type, and
//! nothing of one is known to another: each has its own [`Link`] with token, identity and cache, its own lanes, and its
//! own list of projects. They share the capacity of the host.

mod connector;
mod files;
mod name;
mod registry;
mod serve;
mod turns;

pub(crate) use connector::Connector;
pub(crate) use files::{OrgFiles, follow};
pub(crate) use name::OrgName;
pub(crate) use registry::Orgs;
pub use registry::RegistrationChanges;
pub(crate) use serve::serve_all;
pub(crate) use turns::{Turn, Turns};

use crate::allowlist::Allowlist;
use crate::config::ConfigWriter;
use crate::lanes::acks::Acks;
use crate::link::Link;
use crate::overview::LastBeat;
use rensei_proto::control::{Organization, Registration};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Shortest time between two beats because of sessions of others alone.
const OCCUPANCY_PAUSE: Duration = Duration::from_millis(100);
/// What the file of a further organisation may say. The rest is for `daemon.yaml`.
const OWN_KEYS: [&str; 4] = ["apiVersion", "kind", "projects", "orchestrator"];

/// One organisation at one control plane. An organisation that moves to another control plane is another one: sessions
/// hold on to the one that they came from.
#[derive(Debug)]
pub(crate) struct Org {
    pub(crate) name: OrgName,
    /// Its file.
    pub(crate) file: ConfigWriter,
    /// Its control plane, as its workers hear of it; empty for none.
    pub(crate) orchestrator_url: String,
    /// What it may run.
    pub(crate) allowlist: Arc<Allowlist>,
    connection: Connection,
    /// Its control plane should hear of the host at once.
    pub(crate) beat: Notify,
    /// Sessions of others have come or gone.
    occupancy: Notify,
    /// Nothing new is taken; what runs is reported.
    leaving: watch::Sender<bool>,
    /// Counts up with every turn that anybody takes to ask for work.
    last_turn: AtomicU64,
    /// Outcomes that its control plane has not heard of yet.
    pub(crate) acks: Acks,
    /// What it was told last.
    pub(crate) last_beat: LastBeat,
    /// Why what its file says by now cannot be used.
    trouble: Mutex<Option<String>>,
}

/// How the host reaches a control plane.
#[derive(Debug)]
enum Connection {
    Link(Arc<Link>),
    /// Not at all, and why.
    None(Registration),
}

impl Org {
    /// The link to its control plane; none without one.
    pub(crate) const fn link(&self) -> Option<&Arc<Link>> {
        match &self.connection {
            Connection::Link(link) => Some(link),
            Connection::None(_) => None,
        }
    }

    /// The worker that the host plays where it is not to register; none elsewhere.
    pub(crate) fn stub(&self) -> Option<&str> {
        match &self.connection {
            Connection::None(stands) if !stands.worker_id.is_empty() => Some(&stands.worker_id),
            Connection::None(_) | Connection::Link(_) => None,
        }
    }

    /// How registration stands.
    pub(crate) fn registration(&self) -> Registration {
        match &self.connection {
            Connection::Link(link) => link.registration(),
            Connection::None(registration) => registration.clone(),
        }
    }

    /// Whether the host no longer works for it, but still has sessions of it.
    pub(crate) fn is_leaving(&self) -> bool {
        *self.leaving.borrow()
    }

    /// Waits until the host works for it, if it does not.
    pub(crate) async fn in_force(&self) {
        let mut leaving = self.leaving.subscribe();
        let _sender_is_ours = leaving.wait_for(|leaving| !leaving).await;
    }

    fn set_leaving(&self, leaving: bool) {
        self.leaving.send_replace(leaving);
        if let Some(link) = self.link() {
            link.cache.seal(leaving);
        }
        self.beat.notify_one();
    }

    /// Which turn was its last one.
    fn last_turn(&self) -> u64 {
        self.last_turn.load(Relaxed)
    }

    fn note_turn(&self, turn: u64) {
        self.last_turn.store(turn, Relaxed);
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What its file says cannot be used, and why; none: it can.
    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Keys that mean nothing in the file of a further organisation.
    fn ignored_keys(&self) -> Vec<String> {
        match self.name.slug() {
            None => Vec::new(),
            Some(_) => self.file.keys().into_iter().filter(|key| !OWN_KEYS.contains(&key.as_str())).collect(),
        }
    }

    /// What people see of it.
    pub(crate) fn shown(&self, active_sessions: usize) -> Organization {
        Organization {
            name: self.name.slug().unwrap_or_default().to_owned(),
            file: self.file.path().display().to_string(),
            projects_allowed: self.allowlist.projects().len(),
            active_sessions,
            leaving: self.is_leaving(),
            config_error: self.file.complaint().or_else(|| self.trouble()).filter(|_| !self.is_leaving()),
            ignored_keys: self.ignored_keys(),
            registration: self.registration(),
        }
    }

    /// The control plane counts on what it heard last, and other sessions than its own have come or gone.
    pub(crate) fn note_occupancy(&self) {
        self.occupancy.notify_one();
    }

    /// Waits for that, and a moment longer, so that many of them are told of at once.
    pub(crate) async fn occupancy_changed(&self) {
        self.occupancy.notified().await;
        tokio::time::sleep(OCCUPANCY_PAUSE).await;
    }
}
