//! The running daemon.

use crate::builder::DaemonBuilder;
use crate::clock;
use crate::handle::DaemonHandle;
use crate::host::Host;
use crate::lifecycle::{Action, Phase, UpdateStage};
use crate::org;
use crate::sessions::{STOP_GRACE, StopCause};
use crate::state::StateLock;
use crate::supervisor::keep_running;
use crate::workareas::keep_archives_bounded;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long reports and clean-up of the last sessions may take after a stop. What is not reported by then is reported
/// by the next daemon.
const WIND_UP: Duration = Duration::from_secs(5);

/// A daemon that is ready to run.
#[derive(Debug)]
pub struct Daemon {
    host: Arc<Host>,
    _lock: StateLock,
}

/// How a daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Sessions that did not end by themselves.
    pub forced: usize,
    /// The program was replaced by a newer version, which wants to be started: [`EXIT_RESTART`].
    pub restart: bool,
}

/// Exit code of a program whose daemon [wants to be started again](Finished::restart). Service managers are told to.
pub const EXIT_RESTART: u8 = 3;

impl Daemon {
    /// Starts to put a daemon together on the state directory `state_root`.
    #[must_use]
    pub fn builder(state_root: PathBuf) -> DaemonBuilder {
        DaemonBuilder::new(state_root)
    }

    pub(crate) const fn new(host: Arc<Host>, lock: StateLock) -> Self {
        Self { host, _lock: lock }
    }

    /// A front for others to use while the daemon runs.
    #[must_use]
    pub fn handle(&self) -> DaemonHandle {
        DaemonHandle { host: Arc::clone(&self.host) }
    }

    /// Runs until a stop, or a drain without keep-alive, is complete. The control API should be served until this
    /// returns: workers use it to the end.
    ///
    /// Dropped before that, it leaves its sessions and its state directory as a crash would: to the next daemon.
    pub async fn run(self) -> Finished {
        let _ended = self.host.tasks.abort_on_drop();
        self.host.sessions.adopt().await;
        self.host.adopted.store(true, Ordering::Release);
        // Refused only when a stop came first, which the loop below then sees.
        let _phase = self.host.lifecycle.apply(Action::Started);
        let mut lanes = self.start_lanes();
        let forced = self.until_stopping().await;
        // Heartbeats go on until the last process is gone, so that no lease ends under a session that is winding up.
        let forced = forced + self.host.sessions.stop_all(&StopCause::DaemonStop);
        self.host.sessions.emptied(|| ()).await;
        if tokio::time::timeout(WIND_UP, self.host.tasks.finished()).await.is_err() {
            tracing::warn!("some ends are not reported yet; the next start of this host will");
        }
        lanes.shutdown().await;
        let _bounded = tokio::time::timeout(WIND_UP, self.host.sessions.interrupt_pool()).await;
        let _bounded = tokio::time::timeout(WIND_UP, self.host.sessions.output_delivered()).await;
        let routing = Arc::clone(&self.host.routing);
        let _saved = tokio::task::spawn_blocking(move || routing.save()).await;
        // A stop that came after the update wins.
        let restart = self.host.lifecycle.phase() == Phase::Stopping { restart: true };
        let _phase = self.host.lifecycle.apply(Action::Emptied);
        Finished { forced, restart }
    }

    fn start_lanes(&self) -> JoinSet<()> {
        let mut lanes = JoinSet::new();
        let (host, incidents) = (&self.host, || self.host.incidents.clone());
        let sessions = Arc::clone(&host.sessions);
        lanes.spawn(keep_running(incidents(), "output", move || Arc::clone(&sessions).follow_output()));
        let sessions = Arc::clone(&host.sessions);
        lanes.spawn(keep_running(incidents(), "sweep", move || Arc::clone(&sessions).sweep()));
        let sessions = Arc::clone(&host.sessions);
        lanes.spawn(keep_running(incidents(), "prewarming", move || Arc::clone(&sessions).keep_ahead()));
        let owner = Arc::clone(host);
        lanes.spawn(keep_running(incidents(), "archives", move || keep_archives_bounded(Arc::clone(&owner))));
        let routing = Arc::clone(&host.routing);
        lanes.spawn(keep_running(incidents(), "routing", move || Arc::clone(&routing).keep_saved()));
        lanes.spawn(keep_running(incidents(), "clock", {
            let host = Arc::clone(host);
            move || watch_clock(Arc::clone(&host))
        }));
        let following = Arc::clone(host);
        lanes.spawn(keep_running(incidents(), "configuration", move || org::follow(Arc::clone(&following))));
        let serving = Arc::clone(host);
        lanes.spawn(keep_running(incidents(), "organizations", move || org::serve_all(Arc::clone(&serving))));
        lanes
    }

    /// Follows the life cycle up to the stop. The answer is how many sessions a drain had to force.
    async fn until_stopping(&self) -> usize {
        let lifecycle = &self.host.lifecycle;
        let mut forced = 0;
        loop {
            let phase = lifecycle.phase();
            match phase {
                Phase::Draining { deadline, .. }
                | Phase::Updating { stage: UpdateStage::Draining { deadline }, .. } => {
                    forced += self.drain(phase, deadline).await;
                }
                Phase::Stopping { .. } | Phase::Stopped => return forced,
                Phase::Starting | Phase::Running | Phase::Paused | Phase::Updating { .. } => {
                    lifecycle.changed_from(phase).await;
                }
            }
        }
    }

    /// Waits for the last end, the deadline, or another phase.
    async fn drain(&self, phase: Phase, deadline: Instant) -> usize {
        let sessions = &self.host.sessions;
        // All arms only wait; what they wait for is read again by the caller's loop.
        tokio::select! {
            _phase = sessions.emptied(|| self.host.lifecycle.apply(Action::Emptied)) => 0,
            _phase = self.host.lifecycle.changed_from(phase) => 0,
            () = tokio::time::sleep_until(deadline) => {
                let forced = sessions.stop_all(&StopCause::DrainDeadline);
                tracing::warn!(forced, "drain deadline: stopping what is left");
                // The monitors kill after their grace, so this ends.
                let _bounded = tokio::time::timeout(STOP_GRACE * 2, sessions.emptied(|| ())).await;
                forced
            }
        }
    }
}

/// Tells all control planes of the host, and asks those for an identity that had none, after a suspend or a jump of the
/// clock.
async fn watch_clock(host: Arc<Host>) {
    let changed = || {
        for org in host.orgs.all() {
            org.beat.notify_one();
            if let Some(link) = org.link() {
                link.retry_now();
            }
        }
    };
    clock::watch(host.clock.as_ref(), &host.suspended, changed).await;
}
