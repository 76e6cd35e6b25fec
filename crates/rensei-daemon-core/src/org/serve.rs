//! The lanes of all organisations.

use super::Org;
use crate::host::Host;
use crate::lanes::heartbeat::{HeartbeatLane, Pulse};
use crate::lanes::poll::PollLane;
use crate::lanes::stub;
use crate::link::Link;
use crate::supervisor::keep_running;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Keeps the lanes of every organisation that comes running until it is gone again. Ends when dropped, and they with it.
pub(crate) async fn serve_all(host: Arc<Host>) {
    let mut changes = host.orgs.changes();
    let mut served: Vec<Arc<Org>> = Vec::new();
    let mut lanes = JoinSet::new();
    loop {
        let present = changes.borrow_and_update().clone();
        let among = |list: &[Arc<Org>], org: &Arc<Org>| list.iter().any(|other| Arc::ptr_eq(other, org));
        served.retain(|org| among(&present, org));
        for org in present {
            if among(&served, &org) {
                continue;
            }
            if let Some(link) = org.link() {
                lanes.spawn(serve(Arc::clone(&host), Arc::clone(&org), Arc::clone(link)));
            } else if org.stub().is_some() {
                lanes.spawn(play(Arc::clone(&host), Arc::clone(&org)));
            }
            served.push(org);
        }
        // Both only wait; what has changed is seen above.
        tokio::select! {
            _sender_is_ours = changes.changed() => {}
            Some(_ended) = lanes.join_next() => {}
        }
    }
}

/// Works for one organisation until it has left and nothing of it is left to report.
async fn serve(host: Arc<Host>, org: Arc<Org>, link: Arc<Link>) {
    let pulse = Arc::new(watch::Sender::new(Pulse::default()));
    let poll = {
        let (host, org, link, receiver) = (Arc::clone(&host), Arc::clone(&org), Arc::clone(&link), pulse.subscribe());
        keep_running(host.incidents.clone(), "poll", move || {
            PollLane {
                host: Arc::clone(&host),
                org: Arc::clone(&org),
                link: Arc::clone(&link),
                pulse: receiver.clone(),
            }
            .run()
        })
    };
    let heartbeat = {
        let (host, org) = (Arc::clone(&host), Arc::clone(&org));
        keep_running(host.incidents.clone(), "heartbeat", move || {
            HeartbeatLane::new(Arc::clone(&host), Arc::clone(&org), Arc::clone(&link), Arc::clone(&pulse)).run()
        })
    };
    // The lanes never end by themselves.
    tokio::select! {
        _never = async { tokio::join!(poll, heartbeat) } => {}
        () = gone(&host, &org) => {}
    }
}

/// Plays a worker until the organisation is replaced or gone.
async fn play(host: Arc<Host>, org: Arc<Org>) {
    let mut changes = host.orgs.changes();
    let beats = {
        let (host, org) = (Arc::clone(&host), Arc::clone(&org));
        keep_running(host.incidents.clone(), "heartbeat", move || {
            let (host, org) = (Arc::clone(&host), Arc::clone(&org));
            async move { stub::beat(&host, &org, org.stub().unwrap_or_default()).await }
        })
    };
    // The lane never ends by itself.
    tokio::select! {
        _never = beats => {}
        _gone = changes.wait_for(|orgs| !orgs.iter().any(|other| Arc::ptr_eq(other, &org))) => {}
    }
}

/// Waits until the organisation was given up, its last session is reported, and nobody took it up again meanwhile.
async fn gone(host: &Host, org: &Arc<Org>) {
    let mut changes = host.orgs.changes();
    loop {
        if org.is_leaving() {
            host.sessions.emptied_of(org).await;
            if host.orgs.forget(org) {
                tracing::info!(event = "organization", org = %org.name, "nothing is left of an organisation");
                return;
            }
        }
        let _sender_is_ours = changes.changed().await;
    }
}
