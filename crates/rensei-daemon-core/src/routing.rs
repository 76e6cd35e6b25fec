//! Which sandbox and which agent runtime a session got, why, and how well they have done so far.
//!
//! Each outcome moves the Beta posteriors of the session's sandbox and runtime ([`posterior`]); each accept leaves a
//! decision with every stage that led to it ([`trace`]). The posteriors are on disk and survive a restart; the last
//! decisions are in memory.

mod posterior;
mod trace;

pub(crate) use trace::Facts;

use crate::state::write_atomic;
use posterior::Learned;
use rensei_proto::SessionId;
use rensei_proto::control::{
    LlmState, RoutingConfig, RoutingDecision, RoutingExplanation, RoutingWeights, SandboxState,
};
use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Decisions that are remembered.
pub(crate) const RING: usize = 50;
/// How much cost and latency lower a score.
pub(crate) const WEIGHTS: RoutingWeights = RoutingWeights { cost: 0.7, latency: 0.3 };
/// The one sandbox of a host.
const LOCAL: &str = "local";
/// Shortest time between two writes.
const WRITE_PAUSE: Duration = Duration::from_secs(1);
/// Largest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// The record.
#[derive(Debug)]
pub(crate) struct Routing {
    path: PathBuf,
    state: Mutex<State>,
    /// One write at a time.
    writing: Mutex<()>,
    /// Something was learned that is not on disk.
    unsaved: Notify,
}

#[derive(Debug, Default)]
struct State {
    learned: Learned,
    /// Oldest first.
    ring: VecDeque<RoutingExplanation>,
}

impl Routing {
    /// The record with what `path` says was learned. A file that cannot be read is logged, and learning begins anew.
    pub(crate) fn open(path: PathBuf) -> Arc<Self> {
        let learned = load(&path).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(path = %path.display(), %error, "what routing has learned cannot be read; it begins anew");
            }
            Learned::default()
        });
        let state = Mutex::new(State { learned, ring: VecDeque::new() });
        Arc::new(Self { path, state, writing: Mutex::default(), unsaved: Notify::new() })
    }

    fn with_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records the decision for a session that was just started, and how long its start took.
    pub(crate) fn record(&self, facts: &Facts<'_>, start: Duration) {
        self.with_state(|state| {
            let explanation = trace::decide(facts, &state.learned);
            if state.ring.len() == RING {
                state.ring.pop_front();
            }
            state.ring.push_back(explanation);
            state.learned.started(LOCAL, start);
        });
    }

    /// Learns from the end of a session that ran with `runtime`.
    pub(crate) fn learn(&self, runtime: &str, succeeded: bool) {
        self.with_state(|state| state.learned.outcome(LOCAL, runtime, succeeded));
        self.unsaved.notify_one();
    }

    /// The last decision for a session, while it is among the last [`RING`].
    pub(crate) fn explain(&self, id: &SessionId) -> Option<RoutingExplanation> {
        self.with_state(|state| state.ring.iter().rev().find(|explained| explained.session_id == *id).cloned())
    }

    /// Everything, with a row for each of `runtimes` and for each that was used.
    pub(crate) fn config(&self, runtimes: impl IntoIterator<Item = String>) -> RoutingConfig {
        self.with_state(|state| {
            let decisions: Vec<RoutingDecision> =
                state.ring.iter().map(|explained| explained.decision.clone()).collect();
            let chosen = |name: &str| decisions.iter().filter(|decision| decision.chosen_llm == name).count();
            let names: BTreeSet<String> = runtimes.into_iter().chain(state.learned.runtimes()).collect();
            let llm_providers = names.into_iter().map(|name| llm_row(&state.learned, chosen(&name), name)).collect();
            RoutingConfig {
                capability_filters: Vec::new(),
                weights: WEIGHTS,
                sandbox_providers: vec![sandbox_row(&state.learned, decisions.len())],
                llm_providers,
                recent_decisions: decisions,
                captured_at: rensei_proto::rfc3339_millis(jiff::Timestamp::now()),
            }
        })
    }

    /// Keeps the file up with what is learned, until dropped.
    pub(crate) async fn keep_saved(self: Arc<Self>) {
        loop {
            self.unsaved.notified().await;
            let record = Arc::clone(&self);
            // Waits for the disk.
            let _done = tokio::task::spawn_blocking(move || record.save()).await;
            tokio::time::sleep(WRITE_PAUSE).await;
        }
    }

    /// Writes what was learned, if anything was. What cannot be written is in the next write.
    pub(crate) fn save(&self) {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(content) = self.with_state(|state| state.learned.take_changes()) else { return };
        if let Err(error) = write_atomic(&self.path, &content) {
            tracing::warn!(path = %self.path.display(), %error, "what routing has learned could not be saved");
            self.with_state(|state| state.learned.changed());
        }
    }
}

fn load(path: &Path) -> io::Result<Learned> {
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES).read_to_end(&mut text)?;
    Learned::parse(&text)
}

fn sandbox_row(learned: &Learned, selection_count: usize) -> SandboxState {
    let known = learned.sandbox(LOCAL);
    SandboxState {
        provider_id: LOCAL.to_owned(),
        alpha: known.alpha(),
        beta: known.beta(),
        recent_score: known.has_outcome().then(|| known.score()),
        recent_cost_cents: None,
        recent_latency_ms: known.latency_ms(),
        selection_count,
    }
}

fn llm_row(learned: &Learned, selection_count: usize, provider_id: String) -> LlmState {
    let known = learned.runtime(&provider_id);
    LlmState {
        provider_id,
        model: None,
        alpha: known.alpha(),
        beta: known.beta(),
        recent_score: known.has_outcome().then(|| known.score()),
        selection_count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rensei_proto::control::Provider;

    fn id(text: &str) -> SessionId {
        SessionId::parse(text).unwrap()
    }

    fn facts<'a>(session: &'a SessionId, candidates: &'a [Provider]) -> Facts<'a> {
        Facts { session, runtime: "shell", named: true, project: "p", candidates, active: 1, max: 4 }
    }

    #[test]
    fn posteriors_survive_a_restart_and_a_damaged_file_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("routing.json");
        let routing = Routing::open(path.clone());
        for succeeded in [true, true, false] {
            routing.learn("shell", succeeded);
        }
        routing.learn("stub", true);
        routing.save();
        let again = Routing::open(path.clone()).config(["amp".to_owned()]);
        let sandbox = &again.sandbox_providers[0];
        assert_eq!((sandbox.alpha, sandbox.beta), (4.0, 2.0));
        let rows: Vec<_> =
            again.llm_providers.iter().map(|row| (row.provider_id.as_str(), row.alpha, row.beta)).collect();
        assert_eq!(rows, [("amp", 1.0, 1.0), ("shell", 3.0, 2.0), ("stub", 2.0, 1.0)]);
        for damage in ["", "{", "[]", r#"{"version":2}"#, r#"{"version":1,"sandboxes":{"local":{"successes":-4}}}"#] {
            std::fs::write(&path, damage).unwrap();
            let config = Routing::open(path.clone()).config([]);
            assert_eq!((config.sandbox_providers[0].alpha, config.llm_providers.len()), (1.0, 0), "{damage}");
        }
    }

    #[test]
    fn a_write_that_fails_is_made_up_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing/routing.json");
        let routing = Routing::open(path.clone());
        routing.learn("shell", true);
        routing.save();
        std::fs::create_dir(dir.path().join("missing")).unwrap();
        routing.save();
        assert_eq!(Routing::open(path.clone()).config([]).sandbox_providers[0].alpha, 2.0);
        std::fs::remove_file(&path).unwrap();
        routing.save();
        assert!(!path.exists(), "nothing new, nothing written");
    }

    #[test]
    fn the_last_fifty_decisions_are_explained_and_a_session_by_its_last() {
        let dir = tempfile::tempdir().unwrap();
        let routing = Routing::open(dir.path().join("routing.json"));
        for n in 0..RING + 5 {
            routing.record(&facts(&id(&format!("s{n}")), &[]), Duration::from_millis(2));
        }
        routing.record(&facts(&id("s30"), &[Provider::runtime("shell", "1")]), Duration::from_millis(2));
        let config = routing.config([]);
        assert_eq!(config.recent_decisions.len(), RING);
        assert_eq!(config.recent_decisions[0].session_id, id("s6"));
        assert_eq!((config.sandbox_providers[0].selection_count, config.llm_providers.len()), (RING, 0));
        assert!(routing.explain(&id("s5")).is_none() && routing.explain(&id("s6")).is_some());
        let latency = config.sandbox_providers[0].recent_latency_ms.unwrap();
        assert!((latency - 2.0).abs() < 1e-9);
        assert_eq!(routing.explain(&id("s30")).unwrap().decision.estimated_latency_ms, Some(2.0));
    }
}
