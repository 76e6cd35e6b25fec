//! Replacing the program by a newer version, by means of an embedder's updater.
//!
//! Looking for a version, fetching and verifying it disturbs nobody, and mostly ends there. Only with a newer version in
//! hand the host finishes what runs, bounded as any drain is, has it installed, and ends to be started again. Nothing of it
//! is on the host's own disk: a host that is killed on the way is what it was before, or what it was to become.

mod hook;

pub(crate) use hook::Updater;
pub use hook::{Fetched, FetchedUpdate, UpdateFuture, UpdateHook};

use crate::events::{EventBus, Events};
use crate::handle::DaemonHandle;
use crate::host::Host;
use crate::lifecycle::{Action, Lifecycle, Phase, TransitionError, UpdateStage, deadline_in};
use rensei_proto::control::{UpdateOutcome, UpdateResult};
use rensei_proto::error_chain;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Longest text of an updater that is passed on, in characters.
const LONGEST_TEXT: usize = 500;

/// Why no update was started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The daemon was built without an updater.
    #[error("this host cannot update itself")]
    NoUpdater,
    /// It is not possible now; one at a time is.
    #[error(transparent)]
    Transition(TransitionError),
}

/// An update that was started. It goes on when this is dropped.
#[derive(Debug)]
pub struct RunningUpdate(oneshot::Receiver<UpdateResult>);

impl RunningUpdate {
    /// How it ended; `None` when the daemon was gone before.
    pub async fn ended(self) -> Option<UpdateResult> {
        self.0.await.ok()
    }
}

/// What the host knows of its updates.
#[derive(Debug)]
pub(crate) struct Updates {
    updater: Option<Updater>,
    latest: Mutex<Latest>,
    events: EventBus<UpdateResult>,
}

#[derive(Debug, Default)]
struct Latest {
    running: bool,
    result: Option<UpdateResult>,
}

impl Updates {
    pub(crate) fn new(updater: Option<Updater>) -> Self {
        Self { updater, latest: Mutex::default(), events: EventBus::new() }
    }

    fn latest(&self) -> std::sync::MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that runs, or the last one.
    pub(crate) fn last(&self) -> Option<UpdateResult> {
        self.latest().result.clone()
    }

    fn note(&self, result: &UpdateResult) {
        self.latest().result = Some(result.clone());
        self.events.publish(result.clone());
    }

    /// Takes the place of the one update that may run.
    fn begin(&self, lifecycle: &Lifecycle) -> Result<(), TransitionError> {
        let mut latest = self.latest();
        if latest.running {
            // Overtaken, but not over.
            return Err(TransitionError { action: "update", state: "updating" });
        }
        lifecycle.apply(Action::Update)?;
        latest.running = true;
        Ok(())
    }
}

/// Makes room for the next update, however this one ends.
struct Place(Arc<Host>);

impl Drop for Place {
    fn drop(&mut self) {
        // Changes something only when the updater's own clean-up has panicked.
        let _phase = self.0.lifecycle.apply(Action::UpdateEnded);
        self.0.updates.latest().running = false;
    }
}

impl DaemonHandle {
    /// Looks for a newer version of the program and, if there is one, finishes what runs, installs it and ends the daemon
    /// with [`Finished::restart`](crate::Finished::restart).
    ///
    /// # Errors
    /// [`UpdateError`] without an updater, or when this is not the moment.
    pub fn update(&self) -> Result<RunningUpdate, UpdateError> {
        let updater = self.host.updates.updater.clone().ok_or(UpdateError::NoUpdater)?;
        self.host.updates.begin(&self.host.lifecycle).map_err(UpdateError::Transition)?;
        let place = Place(Arc::clone(&self.host));
        let (ended, running) = oneshot::channel();
        self.host.tasks.spawn(async move {
            let result = Attempt { host: &place.0, updater }.run().await;
            drop(place);
            let _nobody_waits = ended.send(result);
        });
        Ok(RunningUpdate(running))
    }

    /// What updates come to from now on, their starts included.
    #[must_use]
    pub fn update_events(&self) -> Events<UpdateResult> {
        self.host.updates.events.subscribe()
    }
}

/// One update.
struct Attempt<'a> {
    host: &'a Arc<Host>,
    updater: Updater,
}

impl Attempt<'_> {
    async fn run(self) -> UpdateResult {
        tracing::info!(event = "update", version = self.host.version, "looking for a newer version");
        self.host.updates.note(&self.result(UpdateOutcome::Started, ""));
        let result = self.pursue().await;
        let (outcome, reason) = (result.outcome.name(), &result.reason);
        tracing::info!(event = "update", outcome, reason, version = result.version, "update: {outcome}");
        // Whoever hears of the end of an update that came to nothing may post the next session, and of one that did not must
        // hear before the daemon ends.
        if result.updated {
            self.host.updates.note(&result);
            let _phase = self.host.lifecycle.apply(Action::UpdateInstalled);
        } else {
            let _phase = self.host.lifecycle.apply(Action::UpdateEnded);
            self.host.updates.note(&result);
        }
        result
    }

    async fn pursue(&self) -> UpdateResult {
        let fetched = tokio::select! {
            // What it had begun is dropped with it.
            phase = self.overtaken() => return self.overtaken_by(phase),
            fetched = self.updater.fetch(&self.host.version) => fetched,
        };
        match fetched {
            Ok(Fetched::Nothing { reason }) => self.result(UpdateOutcome::NoOp, &reason),
            Ok(Fetched::Refused { reason }) => self.result(UpdateOutcome::Refused, &reason),
            Ok(Fetched::Ready(update)) => self.install(update).await,
            Err(error) => self.result(UpdateOutcome::Failed, &error_chain(&error)),
        }
    }

    /// Finishes what runs, then installs.
    async fn install(&self, update: Box<dyn FetchedUpdate>) -> UpdateResult {
        let version = match self.updater.version_of(update.as_ref()) {
            Ok(version) => clipped(&version),
            Err(error) => return self.result(UpdateOutcome::Failed, &error_chain(&error)),
        };
        let (began, limit) = (Instant::now(), self.host.config.auto_update.drain_timeout_seconds);
        let deadline = deadline_in(Duration::from_secs(limit));
        let _phase = self.host.lifecycle.apply(Action::UpdateFound { deadline });
        match self.host.lifecycle.wait_for(|phase| !is_before_installing(phase)).await {
            Phase::Updating { .. } => {}
            overtaken => return self.overtaken_by(overtaken),
        }
        let drained = began.elapsed();
        // From here on nobody interferes: whoever asks for something else gets it afterwards.
        if let Err(error) = self.updater.install(update).await {
            return self.result(UpdateOutcome::Failed, &error_chain(&error));
        }
        tracing::info!(
            event = "auto-update-applied",
            from_version = self.host.version,
            to_version = version,
            drain_duration_s = drained.as_secs(),
            "version {version} is in place"
        );
        UpdateResult { updated: true, version, ..self.result(UpdateOutcome::Replaced, "update-applied") }
    }

    /// Waits until somebody has asked for something else.
    async fn overtaken(&self) -> Phase {
        self.host.lifecycle.wait_for(|phase| !matches!(phase, Phase::Updating { .. })).await
    }

    fn overtaken_by(&self, phase: Phase) -> UpdateResult {
        self.result(UpdateOutcome::Failed, &format!("given up: the daemon is {}", phase.name()))
    }

    fn result(&self, outcome: UpdateOutcome, reason: &str) -> UpdateResult {
        UpdateResult {
            updated: false,
            version: self.host.version.clone(),
            reason: clipped(reason),
            outcome,
            at: rensei_proto::rfc3339_seconds(jiff::Timestamp::now()),
        }
    }
}

const fn is_before_installing(phase: &Phase) -> bool {
    matches!(phase, Phase::Updating { stage: UpdateStage::Fetching | UpdateStage::Draining { .. }, .. })
}

/// Texts of an updater may be somebody else's.
fn clipped(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}
