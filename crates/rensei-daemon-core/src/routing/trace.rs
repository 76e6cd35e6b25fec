//! How a decision comes about, stage by stage.
//!
//! A host has one sandbox, and a session brings its agent runtime along, so most stages have little to decide. They are
//! all written down nevertheless: whoever asks why a session ran as it did reads the same stages everywhere.

use super::LOCAL;
use super::posterior::Learned;
use rensei_proto::SessionId;
use rensei_proto::control::{
    EliminatedCandidate, Provider, ProviderStatus, RejectedCandidate, RejectionReason, RoutingDecision,
    RoutingDimension, RoutingExplanation, RoutingPhase, RoutingStep,
};

/// What a decision is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) session: &'a SessionId,
    /// Agent runtime that its worker will take.
    pub(crate) runtime: &'a str,
    /// Whether the session's profile names it.
    pub(crate) named: bool,
    /// Allowlisted project.
    pub(crate) project: &'a str,
    /// What the host knows, by id.
    pub(crate) candidates: &'a [Provider],
    /// Sessions that run, this one included.
    pub(crate) active: usize,
    pub(crate) max: usize,
}

/// Longest name of a runtime that is repeated, in characters.
const MAX_NAME: usize = 80;

pub(super) fn decide(facts: &Facts<'_>, learned: &Learned) -> RoutingExplanation {
    let chosen: String = facts.runtime.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    let (sandbox, runtime) = (learned.sandbox(LOCAL), learned.runtime(facts.runtime));
    let mut trace = Trace::default();
    sandbox_stages(&mut trace, facts, sandbox.score());
    runtime_stages(&mut trace, facts, &chosen, runtime.score());
    let decision = RoutingDecision {
        session_id: facts.session.clone(),
        chosen_sandbox: LOCAL.to_owned(),
        chosen_llm: chosen,
        rejected_candidates: trace.rejected,
        score: sandbox.score() * runtime.score(),
        estimated_cost_cents: None,
        estimated_latency_ms: sandbox.latency_ms(),
        decided_at: rensei_proto::rfc3339_millis(jiff::Timestamp::now()),
    };
    RoutingExplanation { session_id: facts.session.clone(), decision, trace: trace.steps }
}

fn sandbox_stages(trace: &mut Trace, facts: &Facts<'_>, score: f64) {
    let local = [LOCAL.to_owned()];
    let mut step = |phase, note| trace.step((RoutingDimension::Sandbox, phase), &local, Vec::new(), note);
    step(RoutingPhase::CapabilityFilter, "this host is the only candidate".to_owned());
    step(RoutingPhase::TenantPolicy, format!("the host serves project `{}`", facts.project));
    step(RoutingPhase::CapacityFilter, capacity(facts));
    step(RoutingPhase::Score, format!("score {score:.3}"));
}

fn runtime_stages(trace: &mut Trace, facts: &Facts<'_>, chosen: &str, score: f64) {
    let llm = RoutingDimension::Llm;
    let others = || facts.candidates.iter().filter(|candidate| candidate.id != facts.runtime);
    let unusable = |candidate: &&Provider| candidate.status != ProviderStatus::Ready;
    let mut remaining: Vec<String> =
        others().filter(|candidate| !unusable(candidate)).map(|candidate| candidate.id.clone()).collect();
    remaining.push(chosen.to_owned());
    remaining.sort();
    let gone = others().filter(unusable).map(|candidate| EliminatedCandidate {
        provider_id: candidate.id.clone(),
        reason: RejectionReason::CapabilityFilter,
        detail: candidate.status_reason.clone(),
    });
    trace.step((llm, RoutingPhase::CapabilityFilter), &remaining, gone.collect(), capability(facts));
    let (policy, detail) = if facts.named {
        ("the session's profile names its runtime", "the session's profile names another one")
    } else {
        ("the session names no runtime; its worker takes the default", "the worker's default is another one")
    };
    let left_out = remaining.iter().filter(|name| *name != chosen).map(|name| EliminatedCandidate {
        provider_id: name.clone(),
        reason: RejectionReason::TenantPolicy,
        detail: Some(detail.to_owned()),
    });
    let only = [chosen.to_owned()];
    trace.step((llm, RoutingPhase::TenantPolicy), &only, left_out.collect(), policy.to_owned());
    trace.step((llm, RoutingPhase::CapacityFilter), &only, Vec::new(), capacity(facts));
    trace.step((llm, RoutingPhase::Score), &only, Vec::new(), format!("score {score:.3}"));
}

fn capacity(facts: &Facts<'_>) -> String {
    format!("{} of {} slots taken, this one included", facts.active, facts.max)
}

/// What is to be said of the runtime that was asked for.
fn capability(facts: &Facts<'_>) -> String {
    match facts.candidates.iter().find(|candidate| candidate.id == facts.runtime) {
        Some(candidate) if candidate.status == ProviderStatus::Ready => String::new(),
        Some(candidate) => {
            let why = candidate.status_reason.as_deref().unwrap_or("no reason is known");
            format!("what the session asks for is {} and tried nevertheless: {why}", candidate.status)
        }
        None if facts.candidates.is_empty() => "the host does not say what its worker can run".to_owned(),
        None => "what the session asks for is not known here and tried nevertheless".to_owned(),
    }
}

#[derive(Default)]
struct Trace {
    steps: Vec<RoutingStep>,
    rejected: Vec<RejectedCandidate>,
}

impl Trace {
    fn step(
        &mut self,
        (dimension, phase): (RoutingDimension, RoutingPhase),
        remaining: &[String],
        eliminated: Vec<EliminatedCandidate>,
        note: String,
    ) {
        self.rejected.extend(eliminated.iter().map(|candidate| RejectedCandidate {
            provider_id: candidate.provider_id.clone(),
            dimension,
            reason: candidate.reason,
            detail: candidate.detail.clone(),
        }));
        let step = self.steps.len() + 1;
        self.steps.push(RoutingStep { step, phase, dimension, remaining: remaining.to_vec(), eliminated, note });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates() -> Vec<Provider> {
        vec![
            Provider::runtime("claude", "1").inactive("no program `claude` in PATH"),
            Provider::runtime("shell", "1"),
            Provider::runtime("stub", "1"),
        ]
    }

    fn explained(runtime: &str, named: bool, candidates: &[Provider]) -> RoutingExplanation {
        let session = SessionId::parse("s1").unwrap();
        let facts = Facts { session: &session, runtime, named, project: "p", candidates, active: 1, max: 8 };
        decide(&facts, &Learned::default())
    }

    #[test]
    fn every_stage_is_written_down_for_both_dimensions_also_with_one_candidate() {
        use RoutingDimension::{Llm, Sandbox};
        use RoutingPhase::{CapabilityFilter, CapacityFilter, Score, TenantPolicy};
        for candidates in [candidates(), Vec::new(), vec![Provider::runtime("shell", "1")]] {
            let explained = explained("shell", true, &candidates);
            let stages: Vec<_> = explained.trace.iter().map(|step| (step.step, step.dimension, step.phase)).collect();
            let phases = [CapabilityFilter, TenantPolicy, CapacityFilter, Score];
            let expected = [Sandbox, Llm].into_iter().flat_map(|dimension| phases.map(|phase| (dimension, phase)));
            let expected: Vec<_> =
                expected.enumerate().map(|(n, (dimension, phase))| (n + 1, dimension, phase)).collect();
            assert_eq!(stages, expected);
            assert_eq!(explained.trace[7].remaining, ["shell"]);
            assert_eq!(explained.decision.score, 0.25);
        }
    }

    #[test]
    fn whoever_is_left_out_is_named_with_stage_and_reason() {
        let explained = explained("shell", true, &candidates());
        let rejected: Vec<_> = explained
            .decision
            .rejected_candidates
            .iter()
            .map(|candidate| (candidate.provider_id.as_str(), candidate.reason, candidate.detail.as_deref().unwrap()))
            .collect();
        assert_eq!(
            rejected,
            [
                ("claude", RejectionReason::CapabilityFilter, "no program `claude` in PATH"),
                ("stub", RejectionReason::TenantPolicy, "the session's profile names another one"),
            ]
        );
        assert_eq!(explained.trace[4].remaining, ["shell", "stub"]);
    }

    #[test]
    fn what_is_asked_for_is_tried_also_when_it_is_not_usable_or_not_known() {
        let inactive = explained("claude", false, &candidates());
        assert_eq!(inactive.decision.chosen_llm, "claude");
        assert!(inactive.trace[4].note.contains("no program `claude`"), "{}", inactive.trace[4].note);
        assert!(inactive.trace[5].note.contains("names no runtime"));
        assert!(inactive.decision.rejected_candidates.iter().all(|candidate| candidate.provider_id != "claude"));
        let odd = explained(&format!("ev\u{1b}il{}", "x".repeat(500)), true, &candidates());
        assert!(odd.decision.chosen_llm.starts_with("evilx") && odd.decision.chosen_llm.len() == MAX_NAME);
        assert!(odd.trace[4].note.contains("not known"));
    }
}
