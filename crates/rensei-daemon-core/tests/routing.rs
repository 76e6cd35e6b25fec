//! Decisions and what is learned from their outcomes, with real processes.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_daemon_core::{Daemon, DaemonHandle, LocalRuntime, LocalRuntimes, Phase};
use rensei_proto::SessionId;
use rensei_proto::control::{PostSession, RoutingConfig};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

async fn start(root: &Path) -> (DaemonHandle, tokio::task::JoinHandle<rensei_daemon_core::Finished>) {
    std::fs::write(root.join("daemon.yaml"), "projects:\n- {id: app, repository: /srv/app}\n").unwrap();
    let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    let runtimes = ["shell", "stub"].map(|name| LocalRuntime {
        name: name.to_owned(),
        program: None,
        unsupported: None,
        capabilities: serde_json::Map::new(),
    });
    let claude = LocalRuntime::unsupported("claude", "no-such-program", "no runtime");
    let runtimes = runtimes.into_iter().chain([claude]).collect();
    let daemon = Daemon::builder(root.to_owned())
        .worker_command(["/bin/sh", "-c", "eval \"$SCRIPT\""].map(Into::into).to_vec())
        .provider_registry(LocalRuntimes::new(runtimes, "1", &environment))
        .environment(environment)
        .build()
        .unwrap()
        .with_control_url("http://127.0.0.1:1");
    let handle = daemon.handle();
    let running = tokio::spawn(daemon.run());
    handle.wait_for_phase(|phase| *phase == Phase::Running).await;
    (handle, running)
}

async fn post(handle: &DaemonHandle, id: &str, provider: &str, script: &str) {
    let body = serde_json::json!({
        "sessionId": id, "repository": "app", "env": {"SCRIPT": script}, "resolvedProfile": {"provider": provider}
    });
    let post: PostSession = serde_json::from_value(body).unwrap();
    handle.post_session(post).await.unwrap();
}

/// Waits until so many outcomes were learned from.
async fn learned(handle: &DaemonHandle, outcomes: f64) -> RoutingConfig {
    tokio::time::timeout(PATIENCE, async {
        loop {
            let config = handle.routing_config().await;
            let sandbox = &config.sandbox_providers[0];
            if sandbox.alpha + sandbox.beta - 2.0 >= outcomes {
                return config;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("all outcomes are learned from")
}

fn rows(config: &RoutingConfig) -> Vec<(&str, f64, f64, usize)> {
    config
        .llm_providers
        .iter()
        .map(|row| (row.provider_id.as_str(), row.alpha, row.beta, row.selection_count))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_outcome_is_learned_once_and_kept_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (handle, running) = start(dir.path()).await;
    post(&handle, "good-1", "shell", "exit 0").await;
    // The decision is there when the accept answers.
    let explained = handle.explain_routing(&SessionId::parse("good-1").unwrap()).unwrap();
    assert_eq!((explained.decision.chosen_llm.as_str(), explained.trace.len()), ("shell", 8));
    assert_eq!(explained.decision.rejected_candidates.len(), 2);
    post(&handle, "good-2", "shell", "exit 0").await;
    post(&handle, "bad-1", "stub", "exit 3").await;
    let config = learned(&handle, 3.0).await;
    assert_eq!(rows(&config), [("claude", 1.0, 1.0, 0), ("shell", 3.0, 1.0, 2), ("stub", 1.0, 2.0, 1)]);
    assert_eq!((config.sandbox_providers[0].alpha, config.sandbox_providers[0].beta), (3.0, 2.0));
    assert!(config.sandbox_providers[0].recent_latency_ms.unwrap() > 0.0);
    // What an operator ends says nothing about who ran it.
    post(&handle, "asked", "stub", "sleep 60").await;
    handle.stop();
    tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();

    let (handle, running) = start(dir.path()).await;
    let config = handle.routing_config().await;
    assert_eq!(rows(&config), [("claude", 1.0, 1.0, 0), ("shell", 3.0, 1.0, 0), ("stub", 1.0, 2.0, 0)]);
    assert!(config.recent_decisions.is_empty());
    handle.stop();
    tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
}
