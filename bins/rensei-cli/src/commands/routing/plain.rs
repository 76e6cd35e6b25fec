//! The record as lines that scripts can read.

use crate::output::text::clean;
use rensei_proto::control::{RoutingConfig, RoutingExplanation, RoutingStep};
use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};

/// `routing show --plain`.
pub(super) fn config(config: &RoutingConfig) -> String {
    let mut lines = Lines::default();
    lines.add(format_args!("captured: {}", clean(&config.captured_at)));
    lines.add(format_args!("weights: cost={:.2} latency={:.2}", config.weights.cost, config.weights.latency));
    lines.some("capability-filters:", &config.capability_filters, |filter| {
        format!("  - field={} op={} value={}", clean(&filter.field), clean(&filter.op), clean(&filter.value))
    });
    lines.section("sandbox-providers:", &config.sandbox_providers, |row| {
        posterior(&row.provider_id, row.alpha, row.beta, row.selection_count)
    });
    lines.section("llm-providers:", &config.llm_providers, |row| {
        posterior(&row.provider_id, row.alpha, row.beta, row.selection_count)
    });
    lines.section("recent-decisions:", &config.recent_decisions, |decision| {
        format!(
            "  - session={} sandbox={} llm={} score={:.3} decided={}",
            decision.session_id,
            clean(&decision.chosen_sandbox),
            clean(&decision.chosen_llm),
            decision.score,
            clean(&decision.decided_at)
        )
    });
    lines.0
}

fn posterior(id: &str, alpha: f64, beta: f64, selections: usize) -> String {
    format!("  - id={} alpha={alpha:.2} beta={beta:.2} selections={selections}", clean(id))
}

/// `routing explain --plain`.
pub(super) fn explanation(explained: &RoutingExplanation) -> String {
    let decision = &explained.decision;
    let mut lines = Lines::default();
    lines.add(format_args!("session: {}", explained.session_id));
    lines.add(format_args!("chosen-sandbox: {}", clean(&decision.chosen_sandbox)));
    lines.add(format_args!("chosen-llm: {}", clean(&decision.chosen_llm)));
    lines.add(format_args!("score: {:.3}", decision.score));
    if let Some(cents) = decision.estimated_cost_cents {
        lines.add(format_args!("est-cost-cents: {cents:.2}"));
    }
    if let Some(ms) = decision.estimated_latency_ms {
        lines.add(format_args!("est-latency-ms: {ms:.0}"));
    }
    lines.some("rejected:", &decision.rejected_candidates, |candidate| {
        let (id, dimension, reason) = (clean(&candidate.provider_id), candidate.dimension, candidate.reason);
        format!("  - id={id} dim={dimension} reason={reason} detail={}", detail(candidate.detail.as_deref()))
    });
    if explained.trace.is_empty() {
        lines.add("trace: (empty)");
    } else {
        lines.add("trace:");
        explained.trace.iter().for_each(|step| lines.step(step));
    }
    lines.0
}

/// The last of its line, so that it needs no quotes.
fn detail(detail: Option<&str>) -> Cow<'_, str> {
    detail.map_or(Cow::Borrowed("-"), clean)
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, line: impl Display) {
        // Writing to a string cannot fail.
        let _infallible: fmt::Result = writeln!(self.0, "{line}");
    }

    /// A list with its heading.
    fn section<T>(&mut self, heading: &str, items: &[T], line: impl Fn(&T) -> String) {
        self.add(heading);
        items.iter().for_each(|item| self.add(line(item)));
    }

    /// The same, or nothing for an empty list.
    fn some<T>(&mut self, heading: &str, items: &[T], line: impl Fn(&T) -> String) {
        if !items.is_empty() {
            self.section(heading, items, line);
        }
    }

    fn step(&mut self, step: &RoutingStep) {
        let remaining: Vec<_> = step.remaining.iter().map(|name| clean(name)).collect();
        let note = if step.note.is_empty() { String::new() } else { format!(" note={:?}", clean(&step.note)) };
        let (number, phase, dimension) = (step.step, step.phase, step.dimension);
        self.add(format_args!(
            "  step={number} phase={phase} dim={dimension} remaining=[{}]{note}",
            remaining.join(",")
        ));
        for candidate in &step.eliminated {
            let (id, reason) = (clean(&candidate.provider_id), candidate.reason);
            self.add(format_args!(
                "    eliminated={id} reason={reason} detail={}",
                detail(candidate.detail.as_deref())
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::tests::{sample_config, sample_explanation};
    use super::*;

    #[test]
    fn a_record_as_lines() {
        let expected = "captured: 2026-06-02T14:00:00.000Z\nweights: cost=0.70 latency=0.30\nsandbox-providers:\n  \
            - id=local alpha=4.00 beta=2.00 selections=1\nllm-providers:\n  - id=claude alpha=1.00 beta=1.00 selections=0\n  \
            - id=shell alpha=4.00 beta=2.00 selections=1\nrecent-decisions:\n  \
            - session=s1 sandbox=local llm=shell score=0.444 decided=2026-06-02T13:59:00.000Z\n";
        assert_eq!(config(&sample_config()), expected);
        let empty = RoutingConfig {
            sandbox_providers: Vec::new(),
            llm_providers: Vec::new(),
            recent_decisions: Vec::new(),
            ..sample_config()
        };
        assert!(config(&empty).ends_with("\nsandbox-providers:\nllm-providers:\nrecent-decisions:\n"));
    }

    #[test]
    fn a_decision_as_lines() {
        let mut explained = sample_explanation();
        let expected = "session: s1\nchosen-sandbox: local\nchosen-llm: shell\nscore: 0.444\nest-latency-ms: 2\n\
            rejected:\n  - id=claude dim=llm reason=capability-filter detail=no program `claude` in PATH\ntrace:\n  \
            step=1 phase=capability-filter dim=sandbox remaining=[local] note=\"this host is the only candidate\"\n  \
            step=2 phase=capability-filter dim=llm remaining=[shell,stub]\n    \
            eliminated=claude reason=capability-filter detail=no program `claude` in PATH\n";
        assert_eq!(explanation(&explained), expected);
        explained.trace[1].eliminated[0].detail = None;
        assert!(explanation(&explained).ends_with("eliminated=claude reason=capability-filter detail=-\n"));
        explained.trace.clear();
        assert!(explanation(&explained).ends_with("trace: (empty)\n"));
    }
}
