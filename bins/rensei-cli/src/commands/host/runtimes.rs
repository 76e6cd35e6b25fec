//! What a host with our own worker can run sessions with.

use rensei_daemon_core::{LocalRuntime, LocalRuntimes};
use rensei_runner::RUNTIMES;
use std::collections::BTreeMap;

/// Agents that people look for, and their programs. The worker runs each of them as a command of the `shell` runtime.
const AGENTS: [&str; 6] = ["amp", "claude", "codex", "gemini", "ollama", "opencode"];
const NO_RUNTIME: &str = "there is no runtime of that name; run the agent as a command of the `shell` runtime";

/// The registry; programs are looked up in the `PATH` of `environment`.
pub(super) fn registry(environment: &BTreeMap<String, String>) -> LocalRuntimes {
    let built_in = RUNTIMES.map(|runtime| LocalRuntime {
        name: runtime.name.to_owned(),
        program: runtime.program.map(str::to_owned),
        unsupported: None,
        capabilities: runtime.capabilities(),
    });
    let known = AGENTS.map(|agent| LocalRuntime::unsupported(agent, agent, NO_RUNTIME));
    LocalRuntimes::new(built_in.into_iter().chain(known).collect(), env!("CARGO_PKG_VERSION"), environment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rensei_daemon_core::ProviderRegistry as _;
    use rensei_proto::control::ProviderStatus;

    #[test]
    fn what_the_worker_runs_is_ready_and_what_it_does_not_run_says_so() {
        for provider in registry(&BTreeMap::new()).providers() {
            let ready = matches!(provider.id.as_str(), "shell" | "stub");
            assert_eq!(provider.status == ProviderStatus::Ready, ready, "{provider:?}");
            assert_eq!(provider.status_reason.is_some(), !ready, "{provider:?}");
            assert_eq!(provider.capabilities.contains_key("humanLabel"), ready, "{provider:?}");
        }
    }
}
