//! The record for people.

use crate::output::rows::Rows;
use crate::output::table::{Value, table};
use crate::output::{Output, Tone, text::clean};
use rensei_proto::control::{RoutingConfig, RoutingExplanation, RoutingStep};

/// Below the first a score is bad, below the second it is worth a look.
const LEVELS: (f64, f64) = (0.33, 0.67);

fn tone(score: f64) -> Tone {
    match score {
        _ if score < LEVELS.0 => Tone::Bad,
        _ if score < LEVELS.1 => Tone::Notice,
        _ => Tone::Good,
    }
}

/// `routing show`.
pub(super) fn config(output: &Output, config: &RoutingConfig) -> String {
    let sandboxes = config.sandbox_providers.iter().map(|row| -> [Value; 7] {
        let [cost, latency] = [row.recent_cost_cents, row.recent_latency_ms].map(number);
        let [id, alpha, beta, score] = provider(&row.provider_id, (row.alpha, row.beta), row.recent_score);
        [id, alpha, beta, score, cost, latency, row.selection_count.to_string().into()]
    });
    let runtimes = config.llm_providers.iter().map(|row| -> [Value; 6] {
        let model = row.model.as_deref().map_or_else(|| "-".into(), |model| clean(model).into());
        let [id, alpha, beta, score] = provider(&row.provider_id, (row.alpha, row.beta), row.recent_score);
        [id, model, alpha, beta, score, row.selection_count.to_string().into()]
    });
    let decisions = config.recent_decisions.iter().rev().map(|decision| -> [Value; 6] {
        [
            decision.session_id.as_str().into(),
            clean(&decision.decided_at).into(),
            clean(&decision.chosen_sandbox).into(),
            clean(&decision.chosen_llm).into(),
            Value::toned(tone(decision.score), format!("{:.3}", decision.score)),
            number(decision.estimated_cost_cents),
        ]
    });
    let headings = ["PROVIDER", "ALPHA", "BETA", "SCORE", "COST(¢)", "LATENCY(ms)", "CHOSEN"];
    let sandboxes = table(output, headings, &["COST(¢)", "LATENCY(ms)", "BETA", "ALPHA"], sandboxes);
    let headings = ["PROVIDER", "MODEL", "ALPHA", "BETA", "SCORE", "CHOSEN"];
    let runtimes = table(output, headings, &["MODEL", "BETA", "ALPHA"], runtimes);
    let headings = ["SESSION", "DECIDED", "SANDBOX", "LLM", "SCORE", "COST(¢)"];
    let decisions = table(output, headings, &["COST(¢)", "SANDBOX", "DECIDED"], decisions);
    let sections = [("Sandboxes", sandboxes), ("Agent runtimes", runtimes), ("Last decisions", decisions)];
    let empty =
        [config.sandbox_providers.is_empty(), config.llm_providers.is_empty(), config.recent_decisions.is_empty()];
    let sections = sections.into_iter().zip(empty).map(|((heading, table), empty)| {
        let body = if empty { "  none".to_owned() } else { indented(&table) };
        format!("{}\n{body}", output.heading(heading))
    });
    let weights = config.weights;
    let weights = format!("  cost {:.0} %, latency {:.0} %", weights.cost * 100.0, weights.latency * 100.0);
    let weights = format!("{}\n{weights}", output.heading("Weights"));
    [weights].into_iter().chain(sections).collect::<Vec<_>>().join("\n\n")
}

fn number(value: Option<f64>) -> Value {
    value.map_or_else(|| "-".into(), |value| format!("{value:.1}").into())
}

fn provider(id: &str, (alpha, beta): (f64, f64), score: Option<f64>) -> [Value; 4] {
    let score = score.map_or_else(|| "-".into(), |score| Value::toned(tone(score), format!("{score:.3}")));
    [clean(id).into(), format!("{alpha:.2}").into(), format!("{beta:.2}").into(), score]
}

fn indented(table: &str) -> String {
    table.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
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
    format!("{rows}\n\n{}\n{}", output.heading("Stages"), steps.trim_end())
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
        let expected = "Weights\n  cost 70 %, latency 30 %\n\n\
            Sandboxes\n  PROVIDER  ALPHA  BETA  SCORE  COST(¢)  LATENCY(ms)  CHOSEN\n  \
            local     4.00   2.00  0.666  -        1.8          1\n\n\
            Agent runtimes\n  PROVIDER  MODEL  ALPHA  BETA  SCORE  CHOSEN\n  \
            claude    -      1.00   1.00  -      0\n  shell     -      4.00   2.00  0.667  1\n\n\
            Last decisions\n  SESSION  DECIDED                   SANDBOX  LLM    SCORE  COST(¢)\n  \
            s1       2026-06-02T13:59:00.000Z  local    shell  0.444  -";
        assert_eq!(page, expected);
        let empty = RoutingConfig { llm_providers: Vec::new(), recent_decisions: Vec::new(), ..sample_config() };
        assert!(config(&output(), &empty).ends_with("Agent runtimes\n  none\n\nLast decisions\n  none"));
    }

    #[test]
    fn a_decision_as_a_page() {
        let page = explanation(&output(), &sample_explanation());
        let expected = "Stages\n  1. sandbox  capability-filter  left: local\n       this host is the only candidate\n  \
            2. llm      capability-filter  left: shell, stub\n       without claude: no program `claude` in PATH";
        assert!(page.ends_with(expected), "{page}");
        assert!(page.contains("  Runtime:   shell\n"), "{page}");
    }
}
