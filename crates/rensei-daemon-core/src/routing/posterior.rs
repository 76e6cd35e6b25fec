//! What outcomes teach: one Beta posterior per sandbox and per agent runtime.

use super::WEIGHTS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

const VERSION: u32 = 1;
/// Outcomes that a posterior weighs. Older ones fade, so that it follows a provider that gets better or worse.
const MEMORY: f64 = 200.0;
/// Runtimes that are known. Their names come from sessions, so there may be any number.
const MAX_RUNTIMES: usize = 64;
/// Longest such name, in bytes.
const MAX_NAME: usize = 80;
/// Weight of the newest start in the average.
const LATEST: f64 = 0.2;
/// Start, in milliseconds, that costs half of the weight of latency.
const SLOW_START_MS: f64 = 1000.0;

/// Outcomes of one provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Posterior {
    successes: f64,
    failures: f64,
    /// Average time of the last starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    /// When it was last used, as a number that grows.
    #[serde(default)]
    used: u64,
}

impl Posterior {
    /// With the uniform prior.
    pub(super) fn alpha(&self) -> f64 {
        self.successes + 1.0
    }

    pub(super) fn beta(&self) -> f64 {
        self.failures + 1.0
    }

    pub(super) const fn latency_ms(&self) -> Option<f64> {
        self.latency_ms
    }

    pub(super) fn has_outcome(&self) -> bool {
        self.successes + self.failures > 0.0
    }

    /// Expected success, lowered by up to the weight of latency for slow starts.
    pub(super) fn score(&self) -> f64 {
        let slow = self.latency_ms.map_or(0.0, |ms| ms / (ms + SLOW_START_MS));
        self.alpha() / (self.alpha() + self.beta()) * (1.0 - WEIGHTS.latency * slow)
    }

    fn outcome(&mut self, succeeded: bool) {
        let seen = self.successes + self.failures;
        if seen >= MEMORY {
            let fade = (MEMORY - 1.0) / seen;
            self.successes *= fade;
            self.failures *= fade;
        }
        *(if succeeded { &mut self.successes } else { &mut self.failures }) += 1.0;
    }

    fn is_sound(&self) -> bool {
        let count = |number: f64| (0.0..=2.0 * MEMORY).contains(&number);
        count(self.successes) && count(self.failures) && self.latency_ms.is_none_or(|ms| ms.is_finite() && ms >= 0.0)
    }
}

/// What is on disk.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    version: u32,
    #[serde(default)]
    sandboxes: BTreeMap<String, Posterior>,
    #[serde(default)]
    runtimes: BTreeMap<String, Posterior>,
}

/// All posteriors.
#[derive(Debug, Default)]
pub(super) struct Learned {
    document: Document,
    changed: bool,
}

impl Learned {
    pub(super) fn parse(text: &[u8]) -> io::Result<Self> {
        let mut document: Document = serde_json::from_slice(text)?;
        let sound =
            |map: &BTreeMap<String, Posterior>| map.len() <= MAX_RUNTIMES && map.values().all(Posterior::is_sound);
        if document.version != VERSION || !sound(&document.sandboxes) || !sound(&document.runtimes) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a record of this version"));
        }
        document.runtimes.retain(|name, _| name.len() <= MAX_NAME);
        Ok(Self { document, changed: false })
    }

    pub(super) fn sandbox(&self, id: &str) -> Posterior {
        self.document.sandboxes.get(id).copied().unwrap_or_default()
    }

    pub(super) fn runtime(&self, name: &str) -> Posterior {
        self.document.runtimes.get(name).copied().unwrap_or_default()
    }

    pub(super) fn runtimes(&self) -> impl Iterator<Item = String> {
        self.document.runtimes.keys().cloned()
    }

    /// A session was started in this sandbox. Not worth a write of its own.
    pub(super) fn started(&mut self, sandbox: &str, took: Duration) {
        let known = self.document.sandboxes.entry(sandbox.to_owned()).or_default();
        let ms = took.as_secs_f64() * 1000.0;
        known.latency_ms = Some(known.latency_ms.map_or(ms, |average| average + LATEST * (ms - average)));
    }

    /// A session has ended.
    pub(super) fn outcome(&mut self, sandbox: &str, runtime: &str, succeeded: bool) {
        self.changed = true;
        self.document.sandboxes.entry(sandbox.to_owned()).or_default().outcome(succeeded);
        if runtime.is_empty() || runtime.len() > MAX_NAME {
            return;
        }
        let runtimes = &mut self.document.runtimes;
        let now = runtimes.values().map(|known| known.used).max().unwrap_or_default().saturating_add(1);
        if !runtimes.contains_key(runtime) && runtimes.len() >= MAX_RUNTIMES {
            let oldest = runtimes.iter().min_by_key(|(_, known)| known.used).map(|(name, _)| name.clone());
            oldest.map(|name| runtimes.remove(&name));
        }
        let known = runtimes.entry(runtime.to_owned()).or_default();
        known.used = now;
        known.outcome(succeeded);
    }

    /// The whole document, when it differs from what was taken last.
    pub(super) fn take_changes(&mut self) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        self.document.version = VERSION;
        // Nothing in the document can fail to be JSON.
        serde_json::to_vec_pretty(&self.document).ok()
    }

    /// What was taken has not arrived.
    pub(super) const fn changed(&mut self) {
        self.changed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_follows_the_outcomes_and_old_ones_fade() {
        let mut known = Posterior::default();
        assert_eq!((known.alpha(), known.beta(), known.score(), known.has_outcome()), (1.0, 1.0, 0.5, false));
        (0..8).for_each(|_| known.outcome(true));
        assert_eq!((known.alpha(), known.beta(), known.score()), (9.0, 1.0, 0.9));
        (0..10_000).for_each(|_| known.outcome(true));
        assert!(known.successes <= MEMORY && known.score() > 0.99);
        (0..1000).for_each(|_| known.outcome(false));
        assert!(known.score() < 0.02, "a provider that broke is soon known to be broken");
        assert!(known.is_sound());
    }

    #[test]
    fn slow_starts_lower_a_score_by_at_most_their_weight() {
        let with = |ms| Posterior { latency_ms: Some(ms), ..Posterior::default() }.score();
        assert!(with(2.0) > 0.49 && (with(1000.0) - 0.5 * 0.85).abs() < 1e-9);
        assert!(with(1e12) > 0.5 * 0.69 && with(1e12) < 0.5 * 0.71);
    }

    #[test]
    fn names_from_sessions_are_bounded() {
        let mut learned = Learned::default();
        learned.outcome("local", "kept", true);
        for n in 0..500 {
            learned.outcome("local", &format!("made-up-{n}"), false);
            learned.outcome("local", "kept", true);
        }
        learned.outcome("local", &"x".repeat(MAX_NAME + 1), true);
        learned.outcome("local", "", true);
        assert_eq!(learned.runtimes().count(), MAX_RUNTIMES);
        assert!(learned.runtime("kept").alpha() > 100.0 && !learned.runtime("made-up-0").has_outcome());
        let document = learned.take_changes().unwrap();
        assert_eq!(Learned::parse(&document).unwrap().runtime("kept"), learned.runtime("kept"));
        assert!(learned.take_changes().is_none());
    }
}
