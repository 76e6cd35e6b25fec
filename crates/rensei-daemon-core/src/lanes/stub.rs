//! Heartbeats of a host that is not to register: made like any other, shown, and sent nowhere.

use super::heartbeat::{compose, rest};
use crate::host::Host;
use crate::org::Org;
use std::time::Duration;

/// What a control plane asks for that asks for nothing.
const INTERVAL: Duration = Duration::from_secs(30);

/// Beats as `worker` until dropped.
pub(crate) async fn beat(host: &Host, org: &Org, worker: &str) {
    let mut told = None;
    loop {
        let phase = host.lifecycle.phase();
        let request = compose(host, org, |digest| told.as_deref().unwrap_or_default() != digest, told.is_none());
        org.last_beat.note(host, worker, &request);
        told = Some(request.allowlist_hash);
        rest(host, org, phase, INTERVAL).await;
    }
}
