//! Numbers for Prometheus, described in `docs/operating.md`.
//!
//! What can be looked up is looked up when it is asked for; only what would be gone by then is counted as it happens.

mod endpoint;
mod format;

pub(super) use endpoint::serve;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use rensei_daemon_core::{DaemonHandle, Events, SessionEvent, SessionEvents};
use rensei_proto::control::{
    HostState, PoolMemberStatus, RegistrationState, SessionState, SessionView, UpdateOutcome, UpdateResult,
};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// One label.
type By = [(&'static str, &'static str); 1];
/// Labels of a series that is told apart by two.
type ByTwo = [(&'static str, &'static str); 2];

/// All metrics of a host.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    looked_up: LookedUp,
    counted: Counted,
}

/// What is looked up when it is asked for.
#[derive(Debug, Default)]
struct LookedUp {
    start_time: Gauge,
    state: Family<By, Gauge>,
    sessions: Family<By, Gauge>,
    slots: Gauge,
    accepted: Counter,
    refused: Family<By, Counter>,
    registered: Gauge,
    lanes: Family<By, Gauge>,
    heartbeat: Gauge,
    pool: Family<By, Gauge>,
    pool_disk: Gauge,
}

/// What is counted as it happens.
#[derive(Debug, Clone)]
struct Counted {
    ended: Family<By, Counter>,
    updates: Family<By, Counter>,
    duration: Histogram,
    workareas: Family<By, Histogram, fn() -> Histogram>,
    requests: Family<ByTwo, Histogram, fn() -> Histogram>,
}

/// States that are always shown, so that a missing one is no missing series.
const ENDS: [SessionState; 3] = [SessionState::Completed, SessionState::Failed, SessionState::Terminated];

const POOL: [(PoolMemberStatus, &str); 6] = [
    (PoolMemberStatus::Warming, "warming"),
    (PoolMemberStatus::Ready, "ready"),
    (PoolMemberStatus::Acquired, "acquired"),
    (PoolMemberStatus::Releasing, "releasing"),
    (PoolMemberStatus::Invalid, "invalid"),
    (PoolMemberStatus::Retired, "retired"),
];

impl Metrics {
    pub(super) fn new(version: String) -> Arc<Self> {
        let (looked_up, counted) = (LookedUp::default(), Counted::new());
        let mut registry = Registry::with_prefix("rensei");
        registry.register("build", "Version of the daemon", Info::new([("version", version)]));
        looked_up.register(&mut registry);
        counted.register(&mut registry);
        Arc::new(Self { registry, looked_up, counted })
    }

    /// All of them, as OpenMetrics text.
    pub(super) fn render(&self, daemon: &DaemonHandle) -> String {
        self.looked_up.refresh(daemon);
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _infallible = encode(&mut text, &self.registry);
        text
    }

    /// Counts a request of the control API.
    pub(super) fn request(&self, method: &axum::http::Method, status: u16, took: Duration) {
        let method = match method.as_str() {
            "GET" => "GET",
            "POST" => "POST",
            _ => "other",
        };
        let code = match status {
            ..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            500.. => "5xx",
        };
        self.counted.requests.get_or_create(&[("method", method), ("code", code)]).observe(took.as_secs_f64());
    }

    /// Counts what happens, until dropped.
    pub(super) async fn count(self: Arc<Self>, sessions: SessionEvents, updates: Events<UpdateResult>) {
        tokio::join!(self.count_sessions(sessions), self.count_updates(updates));
    }

    async fn count_updates(&self, mut events: Events<UpdateResult>) {
        while let Some(update) = events.next().await {
            if UpdateOutcome::ENDS.contains(&update.outcome) {
                self.counted.updates.get_or_create(&[("result", update.outcome.name())]).inc();
            }
        }
    }

    async fn count_sessions(&self, mut events: SessionEvents) {
        while let Some(event) = events.next().await {
            match event.as_ref() {
                SessionEvent::Ended { view } => self.counted.end(view),
                SessionEvent::WorkareaAcquired { workarea } => {
                    let took = Duration::from_millis(workarea.duration_ms).as_secs_f64();
                    self.counted.workareas.get_or_create(&[("path", path(&workarea.acquire_path))]).observe(took);
                }
                SessionEvent::Started { .. } | SessionEvent::WorkareaReleased { .. } => {}
            }
        }
    }
}

impl LookedUp {
    fn register(&self, registry: &mut Registry) {
        let seconds = || Unit::Seconds;
        registry.register_with_unit(
            "start_time",
            "When the daemon started, Unix time",
            seconds(),
            self.start_time.clone(),
        );
        registry.register("host_state", "1 for the state that the host is in", self.state.clone());
        registry.register("sessions", "Live sessions by state", self.sessions.clone());
        registry.register("session_slots", "Sessions that may run at once", self.slots.clone());
        registry.register("sessions_accepted", "Sessions whose worker was started", self.accepted.clone());
        registry.register("sessions_refused", "Sessions that were not accepted, by reason", self.refused.clone());
        registry.register("registered", "1 while the control plane knows this host", self.registered.clone());
        registry.register("lane_up", "1 while the lane to the control plane works", self.lanes.clone());
        let help = "When the control plane accepted a heartbeat last, Unix time; 0: never";
        registry.register_with_unit("last_heartbeat_time", help, seconds(), self.heartbeat.clone());
        registry.register("pool_members", "Members of the workarea pool by status", self.pool.clone());
        let help = "Disk that the workarea pool took when it was measured last";
        registry.register_with_unit("pool_disk", help, Unit::Bytes, self.pool_disk.clone());
    }

    fn refresh(&self, daemon: &DaemonHandle) {
        let (status, stats, registration) = (daemon.status(), daemon.stats(false, false), daemon.registration());
        // Once only: whole seconds of both would make it move, which means a restart to those who look.
        if self.start_time.get() == 0 {
            let uptime = i64::try_from(status.uptime_seconds).unwrap_or_default();
            self.start_time.set(jiff::Timestamp::now().as_second() - uptime);
        }
        for (state, name) in [
            (HostState::Ready, "ready"),
            (HostState::Paused, "paused"),
            (HostState::Draining, "draining"),
            (HostState::Stopped, "stopped"),
            (HostState::Updating, "updating"),
        ] {
            self.state.get_or_create(&[("state", name)]).set((status.status == state).into());
        }
        let live = daemon.live_sessions();
        for (state, name) in [(SessionState::Starting, "starting"), (SessionState::Running, "running")] {
            let count = live.iter().filter(|session| session.state == state).count();
            self.sessions.get_or_create(&[("state", name)]).set(number(count));
        }
        self.slots.set(number(status.max_sessions));
        let admissions = daemon.admissions();
        self.accepted.inner().store(admissions.accepted, Relaxed);
        for (reason, count) in admissions.refused {
            self.refused.get_or_create(&[("reason", reason)]).inner().store(count, Relaxed);
        }
        let pool = daemon.pool_stats();
        for (status, name) in POOL {
            let count = pool.members.iter().filter(|member| member.status == status).count();
            self.pool.get_or_create(&[("status", name)]).set(number(count));
        }
        self.pool_disk.set(i64::try_from(pool.total_disk_usage_mb).unwrap_or(i64::MAX).saturating_mul(1 << 20));
        let registered = registration.state == RegistrationState::Registered;
        self.registered.set((registered || registration.state == RegistrationState::Unreachable).into());
        let (heartbeat, poll) = (stats.registration.heartbeat_running, stats.registration.poll_running);
        self.lanes.get_or_create(&[("lane", "heartbeat")]).set((registered && heartbeat).into());
        self.lanes.get_or_create(&[("lane", "poll")]).set((registered && poll).into());
        let beat = registration.last_heartbeat_at.and_then(|at| at.parse::<jiff::Timestamp>().ok());
        self.heartbeat.set(beat.map_or(0, jiff::Timestamp::as_second));
    }
}

impl Counted {
    fn new() -> Self {
        let fast: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_25, 4.0, 9));
        let slow: fn() -> Histogram = || Histogram::new(exponential_buckets(0.01, 3.0, 10));
        let counted = Self {
            ended: Family::default(),
            updates: Family::default(),
            // 1 s to some 18 hours.
            duration: Histogram::new(exponential_buckets(1.0, 4.0, 9)),
            workareas: Family::new_with_constructor(slow),
            requests: Family::new_with_constructor(fast),
        };
        for state in ENDS {
            drop(counted.ended.get_or_create(&[("state", end(state))]));
        }
        for outcome in UpdateOutcome::ENDS {
            drop(counted.updates.get_or_create(&[("result", outcome.name())]));
        }
        drop(counted.requests.get_or_create(&[("method", "GET"), ("code", "2xx")]));
        for path in ["cold", "pool-fresh", "pool-warm"] {
            drop(counted.workareas.get_or_create(&[("path", path)]));
        }
        counted
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("sessions_ended", "Sessions that have ended, by state", self.ended.clone());
        let help = "Updates of the daemon's own program that have ended, by result";
        registry.register("updates", help, self.updates.clone());
        let help = "Time from the acceptance of a session to its end";
        registry.register("session_duration_seconds", help, self.duration.clone());
        let help = "Time that it took to make a session's workarea, by how it came about";
        registry.register("workarea_acquire_duration_seconds", help, self.workareas.clone());
        let help = "Time to the head of an answer of the control API";
        registry.register("control_request_duration_seconds", help, self.requests.clone());
    }

    fn end(&self, view: &SessionView) {
        self.ended.get_or_create(&[("state", end(view.state))]).inc();
        let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
        if let (Some(from), Some(to)) = (time(&view.accepted_at), view.ended_at.as_deref().and_then(time)) {
            self.duration.observe(Duration::try_from(to - from).unwrap_or_default().as_secs_f64());
        }
    }
}

const fn end(state: SessionState) -> &'static str {
    match state {
        SessionState::Completed => "completed",
        SessionState::Failed => "failed",
        SessionState::Terminated => "terminated",
        SessionState::Starting | SessionState::Running => "running",
    }
}

fn path(acquired: &str) -> &'static str {
    match acquired {
        "cold" => "cold",
        "pool-fresh" => "pool-fresh",
        "pool-warm" => "pool-warm",
        _ => "other",
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
