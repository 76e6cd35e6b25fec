//! How well each agent runtime did on each sandbox.

use super::page::tone;
use crate::output::Output;
use crate::output::text::shorten;
use rensei_proto::control::RoutingConfig;

/// Longest name.
const MAX: usize = 16;
/// Space between two columns.
const GAP: usize = 2;
/// Where nothing ran.
const NOTHING: &str = "—";

/// The mean score of the last decisions, one row for each runtime and one column for each sandbox.
pub(super) fn map(output: &Output, config: &RoutingConfig) -> String {
    let sandboxes: Vec<&str> = config.sandbox_providers.iter().map(|row| row.provider_id.as_str()).collect();
    let runtimes: Vec<&str> = config.llm_providers.iter().map(|row| row.provider_id.as_str()).collect();
    if config.recent_decisions.is_empty() || runtimes.is_empty() {
        return String::new();
    }
    let first = runtimes.iter().map(|name| shorten(name, MAX).chars().count()).max().unwrap_or(0).max("LLM".len());
    let width = |name: &str| shorten(name, MAX).chars().count().max("0.000".len()) + GAP;
    let mut lines = vec![sandboxes.iter().fold(padded("LLM", "LLM", first + GAP), |line, name| {
        let name = shorten(name, MAX);
        line + &padded(&name, &name, width(&name))
    })];
    for runtime in runtimes {
        let name = shorten(runtime, MAX);
        lines.push(sandboxes.iter().fold(padded(&name, &name, first + GAP), |line, sandbox| {
            let score = mean(config, runtime, sandbox);
            let text = score.map_or_else(|| NOTHING.to_owned(), |score| format!("{score:.3}"));
            let shown = score.map_or_else(|| text.clone(), |score| output.paint(tone(score), &text));
            line + &padded(&text, &shown, width(sandbox))
        }));
    }
    lines.iter().map(|line| format!("  {}", line.trim_end())).collect::<Vec<_>>().join("\n")
}

/// `shown`, which looks as long as `text`, in a column of this width.
fn padded(text: &str, shown: &str, width: usize) -> String {
    format!("{shown}{:1$}", "", width.saturating_sub(text.chars().count()))
}

fn mean(config: &RoutingConfig, runtime: &str, sandbox: &str) -> Option<f64> {
    let here = config.recent_decisions.iter();
    let here = here.filter(|decision| decision.chosen_llm == runtime && decision.chosen_sandbox == sandbox);
    let (count, sum) = here.fold((0.0, 0.0), |(count, sum), decision| (count + 1.0, sum + decision.score));
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use super::super::page::tests::sample_config;
    use super::*;
    use crate::env::Environment;
    use crate::output::ColorChoice;

    #[test]
    fn the_scores_of_a_pair_are_averaged_and_their_colour_says_how_good_they_are() {
        let mut config = sample_config();
        let mut other = config.recent_decisions[0].clone();
        other.score = 0.9;
        config.recent_decisions.push(other);
        let mut remote = config.sandbox_providers[0].clone();
        remote.provider_id = "a-far-away-place-of-others".to_owned();
        config.sandbox_providers.push(remote);
        let plain = Output::new(ColorChoice::Never, &Environment::default());
        let expected = "  LLM     local  a-far-away-plac…\n  claude  —      —\n  shell   0.672  —";
        assert_eq!(map(&plain, &config), expected);
        let coloured = Output::new(ColorChoice::Always, &Environment::default());
        assert!(map(&coloured, &config).contains("\u{1b}[32m0.672\u{1b}[0m  —"), "{:?}", map(&coloured, &config));
    }
}
