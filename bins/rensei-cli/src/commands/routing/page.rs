//! The record for people.

use super::heat;
use crate::output::rows::Rows;
use crate::output::table::{Value, table};
use crate::output::text::{clean, indented, shorten};
use crate::output::time::{clock, parse_ms};
use crate::output::{Output, Tone};
use rensei_proto::control::{LlmState, RoutingConfig, RoutingDecision, RoutingExplanation, RoutingStep, SandboxState};

/// Below the first a score is bad, below the second it is worth a look: it is the share of sessions that go well.
const LEVELS: (f64, f64) = (0.33, 0.67);

pub(super) fn tone(score: f64) -> Tone {
    match score {
        _ if score < LEVELS.0 => Tone::Bad,
        _ if score < LEVELS.1 => Tone::Notice,
        _ => Tone::Good,
    }
}

/// Longest id of a provider in a table.
const MAX_PROVIDER: usize = 16;
/// Longest id of a session.
const MAX_SESSION: usize = 12;

/// A session as the table of decisions shows it.
pub(super) fn shown(session: &str) -> String {
    shorten(session, MAX_SESSION)
}

/// `routing show`.
pub(super) fn config(output: &Output, config: &RoutingConfig) -> String {
    let RoutingConfig { weights, sandbox_providers, llm_providers, recent_decisions, .. } = config;
    let weights = format!("  cost {:.0} %, latency {:.0} %", weights.cost * 100.0, weights.latency * 100.0);
    let sections = [
        ("Weights", weights),
        ("Sandbox providers", sandboxes(output, sandbox_providers)),
        ("LLM providers", runtimes(output, llm_providers)),
        ("Mean scores", heat::map(output, config)),
        ("Recent decisions", decisions(output, recent_decisions)),
    ];
    let sections = sections.map(|(name, body)| {
        format!("{}\n{}", heading(output, name), if body.is_empty() { "  none" } else { body.as_str() })
    });
    sections.join("\n\n")
}

/// A heading that stands out without colour, too.
fn heading(output: &Output, name: &str) -> String {
    if output.out_is_coloured() { output.heading(name) } else { format!("=== {name} ===") }
}

fn sandboxes(output: &Output, providers: &[SandboxState]) -> String {
    let rows = providers.iter().map(|row| -> [Value; 6] {
        let [cost, latency] = [row.recent_cost_cents, row.recent_latency_ms].map(number);
        let [id, alpha, beta, score] = provider(&row.provider_id, (row.alpha, row.beta), row.recent_score);
        [id, alpha, beta, score, cost, latency]
    });
    let headings = ["PROVIDER", "ALPHA", "BETA", "SCORE", "COST(¢)", "LATENCY(ms)"];
    filled(providers, || table(output, headings, &["COST(¢)", "LATENCY(ms)", "BETA", "ALPHA"], rows))
}

fn runtimes(output: &Output, providers: &[LlmState]) -> String {
    let rows = providers.iter().map(|row| -> [Value; 5] {
        let model = row.model.as_deref().map_or_else(|| "-".into(), |model| clean(model).into());
        let [id, alpha, beta, score] = provider(&row.provider_id, (row.alpha, row.beta), row.recent_score);
        [id, model, alpha, beta, score]
    });
    let headings = ["PROVIDER", "MODEL", "ALPHA", "BETA", "SCORE"];
    filled(providers, || table(output, headings, &["MODEL", "BETA", "ALPHA"], rows))
}

/// Newest first.
fn decisions(output: &Output, decisions: &[RoutingDecision]) -> String {
    let rows = decisions.iter().rev().map(|decision| -> [Value; 6] {
        [
            shown(decision.session_id.as_str()).into(),
            parse_ms(&decision.decided_at).map_or_else(|| "-".to_owned(), clock).into(),
            shorten(&decision.chosen_sandbox, MAX_PROVIDER).into(),
            shorten(&decision.chosen_llm, MAX_PROVIDER).into(),
            Value::toned(tone(decision.score), format!("{:.3}", decision.score)),
            number(decision.estimated_cost_cents),
        ]
    });
    let headings = ["SESSION", "DECIDED", "SANDBOX", "LLM", "SCORE", "COST(¢)"];
    filled(decisions, || table(output, headings, &["COST(¢)", "SANDBOX", "DECIDED"], rows))
}

/// Nothing for an empty list.
fn filled<T>(items: &[T], table: impl FnOnce() -> String) -> String {
    if items.is_empty() { String::new() } else { indented(&table()) }
}

fn number(value: Option<f64>) -> Value {
    value.map_or_else(|| "-".into(), |value| format!("{value:.1}").into())
}

fn provider(id: &str, (alpha, beta): (f64, f64), score: Option<f64>) -> [Value; 4] {
    let score = score.map_or_else(|| "-".into(), |score| Value::toned(tone(score), format!("{score:.3}")));
    [shorten(id, MAX_PROVIDER).into(), format!("{alpha:.2}").into(), format!("{beta:.2}").into(), score]
}

/// `routing explain`.
pub(super) fn explanation(output: &Output, explained: &RoutingExplanation) -> String {
    let decision = &explained.decision;
    let mut rows = Rows::new();
    rows.add("Session", &explained.session_id);
    rows.add("Sandbox", clean(&decision.chosen_sandbox));
    rows.add("Runtime", clean(&decision.chosen_llm));
    rows.add("Score", output.paint(tone(decision.score), format_args!("{:.3}", decision.score)));
    rows.add_some("Cost", decision.estimated_cost_cents.map(|cents| format!("about {cents:.1} ct")));
    rows.add_some("Start", decision.estimated_latency_ms.map(|ms| format!("about {ms:.1} ms")));
    rows.add("Decided", clean(&decision.decided_at));
    let steps: String = explained.trace.iter().map(step).collect();
    format!("{rows}\n\n{}\n{}", heading(output, "Stages"), steps.trim_end())
}

fn step(step: &RoutingStep) -> String {
    let left: Vec<_> = step.remaining.iter().map(|name| clean(name)).collect();
    let (number, dimension, phase) = (step.step, step.dimension, step.phase);
    let mut text = format!("  {number}. {dimension:<7}  {phase:<17}  left: {}\n", left.join(", "));
    if !step.note.is_empty() {
        text.push_str(&format!("       {}\n", clean(&step.note)));
    }
    for candidate in &step.eliminated {
        let why = candidate.detail.as_deref().map(|detail| format!(": {}", clean(detail))).unwrap_or_default();
        text.push_str(&format!("       without {}{why}\n", clean(&candidate.provider_id)));
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::env::Environment;
    use crate::output::ColorChoice;
    use serde_json::json;

    pub(in super::super) fn sample_config() -> RoutingConfig {
        let row = json!({"providerId": "shell", "alpha": 4, "beta": 2, "recentScore": 0.6667, "selectionCount": 1});
        serde_json::from_value(json!({
            "capabilityFilters": [], "weights": {"cost": 0.7, "latency": 0.3},
            "sandboxProviders": [{"providerId": "local", "alpha": 4, "beta": 2, "recentScore": 0.666, "recentLatencyMs": 1.8,
                "selectionCount": 1}],
            "llmProviders": [{"providerId": "claude", "alpha": 1, "beta": 1, "selectionCount": 0}, row],
            "recentDecisions": [sample_explanation().decision],
            "capturedAt": "2026-06-02T14:00:00.000Z"
        }))
        .unwrap()
    }

    pub(in super::super) fn sample_explanation() -> RoutingExplanation {
        let gone =
            json!({"providerId": "claude", "reason": "capability-filter", "detail": "no program `claude` in PATH"});
        let mut rejected = gone.clone();
        rejected["dimension"] = "llm".into();
        serde_json::from_value(json!({
            "sessionId": "s1",
            "decision": {"sessionId": "s1", "chosenSandbox": "local", "chosenLLM": "shell", "score": 0.4444,
                "estimatedLatencyMs": 1.8, "rejectedCandidates": [rejected], "decidedAt": "2026-06-02T13:59:00.000Z"},
            "trace": [
                {"step": 1, "phase": "capability-filter", "dimension": "sandbox", "remaining": ["local"],
                    "note": "this host is the only candidate"},
                {"step": 2, "phase": "capability-filter", "dimension": "llm", "remaining": ["shell", "stub"],
                    "eliminated": [gone]}
            ]
        }))
        .unwrap()
    }

    fn output() -> Output {
        Output::new(ColorChoice::Never, &Environment::default())
    }

    #[test]
    fn the_record_as_a_page() {
        let page = config(&output(), &sample_config());
        let expected = "=== Weights ===\n  cost 70 %, latency 30 %\n\n\
            === Sandbox providers ===\n  PROVIDER  ALPHA  BETA  SCORE  COST(¢)  LATENCY(ms)\n  \
            local     4.00   2.00  0.666  -        1.8\n\n\
            === LLM providers ===\n  PROVIDER  MODEL  ALPHA  BETA  SCORE\n  \
            claude    -      1.00   1.00  -\n  shell     -      4.00   2.00  0.667\n\n\
            === Mean scores ===\n  LLM     local\n  claude  —\n  shell   0.444\n\n\
            === Recent decisions ===\n  SESSION  DECIDED   SANDBOX  LLM    SCORE  COST(¢)\n  \
            s1       13:59:00  local    shell  0.444  -";
        assert_eq!(page, expected);
        let empty = RoutingConfig { llm_providers: Vec::new(), recent_decisions: Vec::new(), ..sample_config() };
        let expected =
            "=== LLM providers ===\n  none\n\n=== Mean scores ===\n  none\n\n=== Recent decisions ===\n  none";
        assert!(config(&output(), &empty).ends_with(expected));
    }

    #[test]
    fn long_ids_are_shortened() {
        let mut long = sample_config();
        long.sandbox_providers[0].provider_id = "0123456789abcdefg".to_owned();
        long.recent_decisions[0].session_id = rensei_proto::SessionId::parse("0123456789abcdef").unwrap();
        let page = config(&output(), &long);
        assert!(page.contains("\n  0123456789abcde…  4.00") && page.contains("\n  0123456789a…  13:59:00"), "{page}");
    }

    #[test]
    fn a_decision_as_a_page() {
        let page = explanation(&output(), &sample_explanation());
        let expected = "=== Stages ===\n  1. sandbox  capability-filter  left: local\n       this host is the only candidate\n  \
            2. llm      capability-filter  left: shell, stub\n       without claude: no program `claude` in PATH";
        assert!(page.ends_with(expected), "{page}");
        assert!(page.contains("  Runtime:   shell\n"), "{page}");
    }
}
