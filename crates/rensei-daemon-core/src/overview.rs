//! What the host says of itself beside its status.

use crate::handle::DaemonHandle;
use crate::host::Host;
use crate::lifecycle::Phase;
use crate::org::Org;
use rensei_proto::control::{
    Capabilities, CapacityStats, Doctor, Heartbeat, MachineStats, OrganizationHeartbeat, OrganizationStats,
    RegistrationStats, Stats,
};
use rensei_proto::platform::{AllowlistEntry, HeartbeatRequest, HostActivity};
use rensei_workarea::redact;
use std::sync::{Mutex, PoisonError};

/// The heartbeat that a control plane was sent last.
#[derive(Debug, Default)]
pub(crate) struct LastBeat(Mutex<Option<Heartbeat>>);

impl LastBeat {
    /// Remembers what is being sent.
    pub(crate) fn note(&self, host: &Host, worker_id: &str, request: &HeartbeatRequest) {
        let beat = Heartbeat {
            worker_id: worker_id.to_owned(),
            hostname: host.config.machine.id.clone(),
            status: request.status.map_or("", activity).to_owned(),
            active_sessions: request.active_count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default(),
            max_sessions: request.max_sessions,
            region: host.config.machine.region.clone().unwrap_or_default(),
            sent_at: now(),
            allowlist_hash: request.allowlist_hash.clone(),
            allowlist: request.allowlist.iter().flatten().map(shown).collect(),
            organizations: Vec::new(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(beat);
    }

    fn get(&self) -> Option<Heartbeat> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why a capacity is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapacityError {
    /// Not a non-negative whole number that this machine can count.
    #[error("value must be non-negative integer")]
    Value,
    /// Not one of the keys that change in a running host.
    #[error("unknown key")]
    Key,
}

impl DaemonHandle {
    /// Answer to `GET /api/daemon/stats`.
    #[must_use]
    pub fn stats(&self, pool: bool, by_machine: bool) -> Stats {
        let (host, main) = (&self.host, self.host.orgs.main());
        Stats {
            capacity: self.capacity(),
            active_sessions: host.sessions.live_count(),
            queue_depth: 0,
            pool: pool.then(|| self.pool_stats()),
            by_machine: by_machine.then(|| vec![self.machine()]),
            timestamp: now(),
            worker_id: self.registration().worker_id,
            registration: self.registration_stats(&main),
            allowed_projects: allowed_projects(&main),
            organizations: host.orgs.all().iter().map(|org| self.organization_stats(org)).collect(),
        }
    }

    fn capacity(&self) -> CapacityStats {
        let capacity = &self.host.config.capacity;
        CapacityStats {
            max_concurrent_sessions: self.host.serving.max_sessions(),
            max_vcpu_per_session: capacity.max_vcpu_per_session,
            max_memory_mb_per_session: capacity.max_memory_mb_per_session,
            reserved_vcpu: capacity.reserved_for_system.vcpu,
            reserved_memory_mb: capacity.reserved_for_system.memory_mb,
        }
    }

    fn machine(&self) -> MachineStats {
        let status = self.status();
        MachineStats {
            id: status.machine_id,
            region: self.host.config.machine.region.clone().unwrap_or_default(),
            status: status.status,
            version: status.version,
            active_sessions: status.active_sessions,
            capacity: self.capacity(),
            uptime_seconds: status.uptime_seconds,
            last_seen_at: status.timestamp,
        }
    }

    fn organization_stats(&self, org: &Org) -> OrganizationStats {
        OrganizationStats {
            name: org.name.slug().unwrap_or_default().to_owned(),
            active_sessions: self.host.sessions.live_count_of(org),
            worker_id: org.registration().worker_id,
            registration: self.registration_stats(org),
            allowed_projects: allowed_projects(org),
        }
    }

    fn registration_stats(&self, org: &Org) -> RegistrationStats {
        let (phase, beat) = (self.host.lifecycle.phase(), org.last_beat.get().unwrap_or_default());
        let connected = is_connected(org);
        RegistrationStats {
            status: registration_status(phase, &beat.status, connected),
            last_heartbeat_at: beat.sent_at,
            heartbeat_running: is_beating(org),
            poll_running: connected && phase.accepts() && !org.is_leaving(),
        }
    }

    /// Answer to `GET /api/daemon/heartbeat`.
    #[must_use]
    pub fn heartbeat(&self) -> Heartbeat {
        let mut orgs = self.host.orgs.all().into_iter();
        let main = orgs.next().and_then(|main| main.last_beat.get()).unwrap_or_default();
        Heartbeat { organizations: orgs.map(|org| organization_heartbeat(&org)).collect(), ..main }
    }

    /// Answer to `GET /api/daemon/doctor`.
    #[must_use]
    pub fn doctor(&self) -> Doctor {
        let (host, registration) = (&self.host, self.registration());
        Doctor {
            state: host.lifecycle.phase().name().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_loaded: host.orgs.main().file.is_used(),
            machine_id: host.config.machine.id.clone(),
            worker_id: registration.worker_id.clone(),
            project_count: host.orgs.main().allowlist.projects().len(),
            orchestrator_url: registration.url.clone(),
            heartbeat: is_beating(&host.orgs.main()),
            timestamp: now(),
            registration: Some(registration),
            restart_needed: host.serving.stale(),
            incident: host.incidents.last(),
            organizations: self.organizations(),
        }
    }

    /// Answer to `GET /api/daemon/capabilities`.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        let machine = self.host.orgs.capabilities();
        Capabilities { provides: machine.provides().to_vec(), git: machine.git().to_owned(), timestamp: now() }
    }

    /// Changes a capacity of the running host. The configuration stays as it is.
    ///
    /// # Errors
    /// [`CapacityError`]; the value is looked at first.
    pub fn set_capacity(&self, key: &str, value: &str) -> Result<(), CapacityError> {
        let value = value.trim().parse::<u32>().map_err(|_| CapacityError::Value)?;
        match key {
            "capacity.maxConcurrentSessions" => self.set_max_sessions(value as usize),
            "capacity.poolMaxDiskGb" => self.host.sessions.set_pool_limit(value),
            _ => return Err(CapacityError::Key),
        }
        Ok(())
    }
}

/// Whether its control plane has given the host an identity, so that its lanes run.
fn is_connected(org: &Org) -> bool {
    org.link().is_some_and(|link| link.cell.current().is_some())
}

/// Whether it has heartbeats, be they heard by somebody or not.
fn is_beating(org: &Org) -> bool {
    is_connected(org) || org.stub().is_some()
}

fn allowed_projects(org: &Org) -> Vec<String> {
    org.allowlist.projects().iter().map(|project| redact(&project.repository)).collect()
}

/// Who may see this may not see how the host gets at the repository.
fn shown(entry: &AllowlistEntry) -> AllowlistEntry {
    AllowlistEntry { id: entry.id.clone(), repository: redact(&entry.repository) }
}

fn organization_heartbeat(org: &Org) -> OrganizationHeartbeat {
    let Heartbeat { worker_id, status, active_sessions, sent_at, allowlist_hash, .. } =
        org.last_beat.get().unwrap_or_default();
    let name = org.name.slug().unwrap_or_default().to_owned();
    OrganizationHeartbeat { name, worker_id, status, active_sessions, sent_at, allowlist_hash }
}

/// What the control plane was told last, else what it would be told; a host that takes nothing is never idle or busy.
fn registration_status(phase: Phase, told: &str, connected: bool) -> String {
    let status = match (told, phase) {
        ("", Phase::Running) if !connected => "unregistered",
        ("", Phase::Running) => "idle",
        ("", phase) => phase.name(),
        (told, _) => told,
    };
    match (status, phase) {
        ("idle" | "busy", Phase::Paused | Phase::Updating { paused: true, .. }) => "paused".to_owned(),
        (status, _) => status.to_owned(),
    }
}

const fn activity(activity: HostActivity) -> &'static str {
    match activity {
        HostActivity::Idle => "idle",
        HostActivity::Busy => "busy",
        HostActivity::Draining => "draining",
    }
}

fn now() -> String {
    rensei_proto::rfc3339_seconds(jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_takes_nothing_is_not_idle() {
        for (phase, told, connected, shown) in [
            (Phase::Running, "", false, "unregistered"),
            (Phase::Running, "", true, "idle"),
            (Phase::Running, "busy", true, "busy"),
            (Phase::Paused, "idle", true, "paused"),
            (Phase::Paused, "draining", true, "draining"),
            (Phase::Paused, "", false, "paused"),
            (Phase::Stopping { restart: false }, "", false, "stopping"),
        ] {
            assert_eq!(registration_status(phase, told, connected), shown, "{phase:?} {told:?}");
        }
    }
}
