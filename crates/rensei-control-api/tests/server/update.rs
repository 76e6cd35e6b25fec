//! Updates over the API.

use super::fixture::{CONFIG, PATIENCE, Server, call};
use rensei_control_api::EventStream;
use rensei_daemon_core::{DaemonBuilder, Fetched, FetchedUpdate, UpdateFuture, UpdateHook};
use rensei_proto::control::{HostChange, HostState, UpdateOutcome, UpdateResult};
use serde_json::json;
use std::net::TcpListener;

/// What there is to find.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Updater {
    Nothing,
    Unsigned,
    Newer,
}

impl UpdateHook for Updater {
    fn fetch<'a>(&'a self, _running: &'a str) -> UpdateFuture<'a, Fetched> {
        Box::pin(async {
            Ok(match self {
                Self::Nothing => Fetched::Nothing { reason: "already-up-to-date".to_owned() },
                Self::Unsigned => Fetched::Refused { reason: "sig-rejected: nobody signed it".to_owned() },
                Self::Newer => Fetched::Ready(Box::new(*self)),
            })
        })
    }
}

impl FetchedUpdate for Updater {
    fn version(&self) -> &'static str {
        "9.0.0"
    }

    fn install(self: Box<Self>) -> UpdateFuture<'static, ()> {
        Box::pin(async { Ok(()) })
    }
}

fn with(updater: Updater) -> impl FnOnce(DaemonBuilder) -> DaemonBuilder {
    move |builder| builder.version("1.0.0").update_hook(PATIENCE, updater)
}

/// The next event that is about an update.
async fn next(stream: &mut EventStream) -> UpdateResult {
    let event = async {
        loop {
            if let HostChange::HostUpdate { update } = stream.next_event().await.unwrap().unwrap().change {
                return update;
            }
        }
    };
    tokio::time::timeout(PATIENCE, event).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_an_updater_says_what_to_do() {
    let server = Server::start().await;
    let reply = server.post("/api/daemon/update", "").await;
    assert_eq!((reply.status, reply.error().as_str()), (501, "this host cannot update itself"));
    assert_eq!(reply.json()["code"], "not_implemented");
    assert!(reply.json()["hint"].as_str().unwrap().contains("rensei host drain"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_comes_to_nothing_is_told_and_counted() {
    for (updater, outcome, reason) in [
        (Updater::Nothing, "no-op", "already-up-to-date"),
        (Updater::Unsigned, "refused", "sig-rejected: nobody signed it"),
    ] {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = format!("{CONFIG}observability: {{metricsPort: {}}}\n", port.port());
        let server = Server::with(&config, with(updater)).await;
        let mut events = server.client().events(None).await.unwrap();
        let reply = server.post("/api/daemon/update", "").await;
        assert_eq!((reply.status, reply.json()), (200, json!({"ok": true, "message": "update initiated"})));
        assert_eq!(next(&mut events).await.outcome, UpdateOutcome::Started);
        let ended = next(&mut events).await;
        assert_eq!((ended.outcome.name(), ended.reason.as_str()), (outcome, reason));
        assert_eq!((ended.updated, ended.version.as_str()), (false, "1.0.0"));
        let status = server.client().status().await.unwrap();
        assert_eq!((status.status, status.update), (HostState::Ready, Some(ended)));
        server.session("s1", "sleep 60").await;
        let counted = format!("rensei_updates_total{{result=\"{outcome}\"}} 1\n");
        let told = async {
            while !call(port, "GET /metrics", &[], "").await.body.contains(&counted) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, told).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_replaced_refuses_work_and_says_so_to_the_end() {
    let mut server = Server::with(CONFIG, with(Updater::Newer)).await;
    let done = server.root().join("done");
    server.session("s1", &format!("until [ -e {} ]; do sleep 0.02; done", done.display())).await;
    let mut events = server.client().events(None).await.unwrap();
    assert_eq!(server.post("/api/daemon/update", "").await.status, 200);
    assert_eq!(next(&mut events).await.outcome, UpdateOutcome::Started);
    let post = json!({"sessionId": "s2", "repository": "app"}).to_string();
    let refused = async {
        loop {
            // Accepted until the newer version is there.
            let reply = server.post("/api/daemon/sessions", &post).await;
            if reply.status == 503 {
                return reply;
            }
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused).await.unwrap();
    assert_eq!((refused.json()["status"].as_str(), refused.header("retry-after")), (Some("updating"), Some("5")));
    assert_eq!(refused.error(), "daemon is not running (state \"updating\")");
    assert_eq!(server.client().status().await.unwrap().status, HostState::Updating);
    let again = server.post("/api/daemon/update", "").await;
    assert_eq!((again.status, again.error().as_str()), (409, "cannot update while the daemon is updating"));
    assert_eq!(again.json()["status"], "updating");

    std::fs::write(done, "").unwrap();
    let ended = next(&mut events).await;
    assert_eq!((ended.outcome, ended.updated, ended.version.as_str()), (UpdateOutcome::Replaced, true, "9.0.0"));
    assert_eq!(ended.reason, "update-applied");
    server.daemon.wait_for_phase(|phase| phase.name() == "stopped").await;
    server.shutdown.take().unwrap().send(()).unwrap();
    let mut changes = Vec::new();
    while let Some(event) = events.next_event().await {
        changes.push(event.unwrap().change);
    }
    assert_eq!(changes.last(), Some(&HostChange::End));
    assert!(!changes.iter().any(|change| matches!(change, HostChange::HostUpdate { .. })), "told once: {changes:?}");
}
