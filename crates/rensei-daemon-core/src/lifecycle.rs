//! States of the daemon and the moves between them.
//!
//! | from \ action | pause | resume | drain | stop | emptied | update |
//! |---|---|---|---|---|---|---|
//! | starting | refused | refused | draining | stopping | – | refused |
//! | running | paused | – | draining | stopping | – | updating |
//! | paused | – | running | draining | stopping | – | updating |
//! | draining | refused | running | new deadline | stopping | stopping, or paused with keep-alive | refused |
//! | updating | paused afterwards | see below | draining | stopping | see below | refused |
//! | stopping | refused | refused | refused | – | stopped | refused |
//! | stopped | refused | refused | refused | – | – | refused |
//!
//! An update has stages. The host looks for a newer version and fetches it without anybody noticing: it takes work, unless
//! it was paused. With that in hand it finishes what runs, as in a drain, then installs, then stops and wants to be started
//! again. Whenever it comes to nothing, the host is what it was before.
//!
//! | stage \ action | resume | emptied | found | ended | installed |
//! |---|---|---|---|---|---|
//! | fetching | not paused afterwards | – | draining | running or paused | – |
//! | draining | running, without the update | installing | – | running or paused | – |
//! | installing | refused | – | – | running or paused | stopping, to be started again |

use rensei_proto::control::HostState;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Where the daemon stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Taking over what a predecessor left; nothing is accepted yet.
    Starting,
    /// Accepts work.
    Running,
    /// Accepts nothing, keeps what runs.
    Paused,
    /// Accepts nothing and ends, or pauses, when the last session has ended.
    Draining {
        /// When what is left is forced.
        deadline: Instant,
        /// Pause instead of ending.
        keep_alive: bool,
    },
    /// Replaces its own program by a newer version.
    Updating {
        /// How far it is.
        stage: UpdateStage,
        /// Pause instead of taking work, when it comes to nothing.
        paused: bool,
    },
    /// Ends what runs, then itself.
    Stopping {
        /// It was updated, and wants to be started again.
        restart: bool,
    },
    /// Ended.
    Stopped,
}

/// How far an update is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateStage {
    /// Looks for a newer version and fetches it. Everything goes on as before.
    Fetching,
    /// Has a newer version; accepts nothing and waits for the last session.
    Draining {
        /// When what is left is forced.
        deadline: Instant,
    },
    /// Puts it in place; nothing runs.
    Installing,
}

/// What can be asked of the daemon, or happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start-up is complete.
    Started,
    /// Take no more work.
    Pause,
    /// Take work again.
    Resume,
    /// Finish what runs.
    Drain {
        /// When what is left is forced.
        deadline: Instant,
        /// Pause instead of ending.
        keep_alive: bool,
    },
    /// End now.
    Stop,
    /// The last session has ended.
    Emptied,
    /// Look for a newer version.
    Update,
    /// There is one, fetched and verified.
    UpdateFound {
        /// When the sessions that are left are forced.
        deadline: Instant,
    },
    /// The update has come to nothing.
    UpdateEnded,
    /// The newer version is in place.
    UpdateInstalled,
}

/// A move that the current phase does not allow. Answered with 409.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {action} while the daemon is {state}")]
pub struct TransitionError {
    /// What was asked for.
    pub action: &'static str,
    /// Current state.
    pub state: &'static str,
}

impl Phase {
    /// The internal state word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Draining { .. } => "draining",
            Self::Updating { .. } => "updating",
            Self::Stopping { .. } => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// The state that the wire has for it.
    #[must_use]
    pub const fn wire(self) -> HostState {
        match self {
            Self::Running => HostState::Ready,
            Self::Paused => HostState::Paused,
            Self::Updating { .. } => HostState::Updating,
            Self::Draining { .. } | Self::Stopping { .. } => HostState::Draining,
            Self::Starting | Self::Stopped => HostState::Stopped,
        }
    }

    /// Whether sessions are accepted.
    #[must_use]
    pub const fn accepts(self) -> bool {
        matches!(self, Self::Running | Self::Updating { stage: UpdateStage::Fetching, paused: false })
    }

    /// The phase after `action`.
    ///
    /// # Errors
    /// [`TransitionError`] when `action` is not possible now.
    pub const fn after(self, action: Action) -> Result<Self, TransitionError> {
        if let Self::Updating { stage, paused } = self {
            return stage.after(action, paused);
        }
        Ok(match (self, action) {
            (Self::Starting, Action::Started) => Self::Running,
            (Self::Running | Self::Paused, Action::Pause) => Self::Paused,
            (Self::Running | Self::Paused | Self::Draining { .. }, Action::Resume) => Self::Running,
            (
                Self::Starting | Self::Running | Self::Paused | Self::Draining { .. },
                Action::Drain { deadline, keep_alive },
            ) => Self::Draining { deadline, keep_alive },
            (Self::Running, Action::Update) => Self::Updating { stage: UpdateStage::Fetching, paused: false },
            (Self::Paused, Action::Update) => Self::Updating { stage: UpdateStage::Fetching, paused: true },
            (Self::Stopped, Action::Stop) | (Self::Stopping { .. }, Action::Emptied) => Self::Stopped,
            (Self::Draining { keep_alive: true, .. }, Action::Emptied) => Self::Paused,
            (_, Action::Stop) | (Self::Draining { .. }, Action::Emptied) => Self::Stopping { restart: false },
            (_, Action::Pause) => return Err(self.refuses("pause")),
            (_, Action::Resume) => return Err(self.refuses("resume")),
            (_, Action::Drain { .. }) => return Err(self.refuses("drain")),
            (_, Action::Update) => return Err(self.refuses("update")),
            // What an update says after it was overtaken changes nothing.
            (_, Action::UpdateFound { .. } | Action::UpdateEnded | Action::UpdateInstalled) => self,
            (_, Action::Started | Action::Emptied) => self,
        })
    }

    const fn refuses(self, action: &'static str) -> TransitionError {
        TransitionError { action, state: self.name() }
    }
}

impl UpdateStage {
    /// The phase after `action` during an update.
    const fn after(self, action: Action, paused: bool) -> Result<Phase, TransitionError> {
        let now = Phase::Updating { stage: self, paused };
        Ok(match (self, action) {
            (_, Action::Drain { deadline, keep_alive }) => Phase::Draining { deadline, keep_alive },
            (_, Action::Stop) => Phase::Stopping { restart: false },
            (_, Action::Pause) => Phase::Updating { stage: self, paused: true },
            (Self::Fetching, Action::Resume) => Phase::Updating { stage: self, paused: false },
            (Self::Draining { .. }, Action::Resume) => Phase::Running,
            (Self::Installing, Action::Resume) => return Err(now.refuses("resume")),
            (_, Action::Update) => return Err(now.refuses("update")),
            (Self::Fetching, Action::UpdateFound { deadline }) => {
                Phase::Updating { stage: Self::Draining { deadline }, paused }
            }
            (Self::Draining { .. }, Action::Emptied) => Phase::Updating { stage: Self::Installing, paused },
            (Self::Installing, Action::UpdateInstalled) => Phase::Stopping { restart: true },
            (_, Action::UpdateEnded) if paused => Phase::Paused,
            (_, Action::UpdateEnded) => Phase::Running,
            (_, Action::Started | Action::Emptied | Action::UpdateFound { .. } | Action::UpdateInstalled) => now,
        })
    }
}

/// The daemon's phase, shared by all its parts.
#[derive(Debug, Clone)]
pub(crate) struct Lifecycle {
    phase: Arc<watch::Sender<Phase>>,
}

impl Lifecycle {
    pub(crate) fn new() -> Self {
        Self { phase: Arc::new(watch::Sender::new(Phase::Starting)) }
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Performs `action`; watchers wake only when the phase really changed.
    pub(crate) fn apply(&self, action: Action) -> Result<Phase, TransitionError> {
        let mut outcome = Ok(Phase::Stopped);
        self.phase.send_if_modified(|phase| {
            outcome = phase.after(action);
            match outcome {
                Ok(next) if next != *phase => {
                    tracing::info!(event = "state", from = phase.name(), to = next.name(), "daemon is {}", next.name());
                    *phase = next;
                    true
                }
                _ => false,
            }
        });
        outcome
    }

    /// Waits until `wanted` holds.
    pub(crate) async fn wait_for(&self, wanted: impl FnMut(&Phase) -> bool) -> Phase {
        let mut receiver = self.phase.subscribe();
        match receiver.wait_for(wanted).await {
            Ok(phase) => *phase,
            // Unreachable: `self` holds the sender.
            Err(_closed) => Phase::Stopped,
        }
    }

    /// Waits until the phase is no longer `known`.
    pub(crate) async fn changed_from(&self, known: Phase) -> Phase {
        self.wait_for(|phase| *phase != known).await
    }
}

/// Deadline `timeout` from now, at most a week away so that no sum overflows.
pub(crate) fn deadline_in(timeout: Duration) -> Instant {
    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
    Instant::now() + timeout.min(WEEK)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a phase by each of the actions.
    type Row = (Phase, [Option<Phase>; 10]);

    fn actions(deadline: Instant) -> [Action; 10] {
        [
            Action::Started,
            Action::Pause,
            Action::Resume,
            Action::Drain { deadline, keep_alive: false },
            Action::Stop,
            Action::Emptied,
            Action::Update,
            Action::UpdateFound { deadline },
            Action::UpdateEnded,
            Action::UpdateInstalled,
        ]
    }

    fn check(deadline: Instant, rows: impl IntoIterator<Item = Row>) {
        for (from, expected) in rows {
            for (action, next) in actions(deadline).into_iter().zip(expected) {
                assert_eq!(from.after(action).ok(), next, "{from:?} {action:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_phase_against_every_action() {
        use Phase::{Paused, Running, Starting, Stopped};
        let deadline = deadline_in(Duration::from_secs(60));
        let draining = Phase::Draining { deadline, keep_alive: false };
        let keeping = Phase::Draining { deadline, keep_alive: true };
        let (stopping, again) = (Phase::Stopping { restart: false }, Phase::Stopping { restart: true });
        let fetching = |paused| Some(Phase::Updating { stage: UpdateStage::Fetching, paused });
        let (drain, stop) = (Some(draining), Some(stopping));
        // What an update says changes nothing when there is none any more.
        let row = |phase: Phase, [a, b, c, d, e, f, update]: [Option<Phase>; 7]| -> Row {
            (phase, [a, b, c, d, e, f, update, Some(phase), Some(phase), Some(phase)])
        };
        let (running, paused, stopped) = (Some(Running), Some(Paused), Some(Stopped));
        check(
            deadline,
            [
                row(Starting, [running, None, None, drain, stop, Some(Starting), None]),
                row(Running, [running, paused, running, drain, stop, running, fetching(false)]),
                row(Paused, [paused, paused, running, drain, stop, paused, fetching(true)]),
                row(draining, [drain, None, running, drain, stop, stop, None]),
                row(keeping, [Some(keeping), None, running, drain, stop, paused, None]),
                row(stopping, [stop, None, None, None, stop, stopped, None]),
                row(again, [Some(again), None, None, None, stop, stopped, None]),
                row(Stopped, [stopped, None, None, None, stopped, stopped, None]),
            ],
        );
    }

    #[tokio::test(start_paused = true)]
    async fn every_stage_of_an_update_against_every_action() {
        let deadline = deadline_in(Duration::from_secs(60));
        let drain = Some(Phase::Draining { deadline, keep_alive: false });
        let (stop, again) = (Some(Phase::Stopping { restart: false }), Some(Phase::Stopping { restart: true }));
        let running = Some(Phase::Running);
        for (paused, before) in [(false, Phase::Running), (true, Phase::Paused)] {
            let phase = |stage, paused| Phase::Updating { stage, paused };
            let fetch = |paused| Some(phase(UpdateStage::Fetching, paused));
            let empty = |paused| Some(phase(UpdateStage::Draining { deadline }, paused));
            let install = |paused| Some(phase(UpdateStage::Installing, paused));
            let (f, e, i, over) = (fetch(paused), empty(paused), install(paused), Some(before));
            check(
                deadline,
                [
                    (f.unwrap(), [f, fetch(true), fetch(false), drain, stop, f, None, e, over, f]),
                    (e.unwrap(), [e, empty(true), running, drain, stop, i, None, e, over, e]),
                    (i.unwrap(), [i, install(true), None, drain, stop, i, None, i, over, again]),
                ],
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_host_that_is_running_takes_work_also_while_it_looks_for_an_update() {
        let deadline = deadline_in(Duration::from_secs(60));
        let updating = |stage, paused| Phase::Updating { stage, paused };
        for (phase, accepts) in [
            (Phase::Starting, false),
            (Phase::Running, true),
            (Phase::Paused, false),
            (Phase::Draining { deadline, keep_alive: true }, false),
            (updating(UpdateStage::Fetching, false), true),
            (updating(UpdateStage::Fetching, true), false),
            (updating(UpdateStage::Draining { deadline }, false), false),
            (updating(UpdateStage::Installing, false), false),
            (Phase::Stopping { restart: true }, false),
            (Phase::Stopped, false),
        ] {
            assert_eq!(phase.accepts(), accepts, "{phase:?}");
        }
    }
}
