//! What sessions can run with, and why they did.

use super::fixture::{CONFIG, Server};
use rensei_control_api::ControlClient;
use rensei_daemon_core::ProviderRegistry;
use rensei_proto::control::Provider;
use serde_json::{Value, json};

pub(crate) struct Registry;

impl ProviderRegistry for Registry {
    fn providers(&self) -> Vec<Provider> {
        let shell = Provider {
            capabilities: [("supportsSessionResume".to_owned(), false.into())].into_iter().collect(),
            ..Provider::runtime("shell", "1.0")
        };
        vec![shell, Provider::runtime("a/b c", "1.0").inactive("no program `a` in PATH")]
    }
}

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_say_what_can_be_used_and_why_not() {
    let server = Server::with(CONFIG, |builder| builder.provider_registry(Registry)).await;
    let list = server.get("/api/daemon/providers").await.json();
    assert_eq!((&list["partialCoverage"], &list["coveredFamilies"]), (&true.into(), &json!(["agent-runtime"])));
    assert_eq!(
        list["providers"][1],
        json!({
            "id": "shell", "name": "shell", "version": "1.0", "family": "agent-runtime", "scope": "global",
            "status": "ready", "source": "bundled", "trust": "unsigned", "manifestOk": true,
            "capabilities": {"supportsSessionResume": false}
        })
    );
    let odd = &list["providers"][0];
    assert_eq!((&odd["status"], &odd["statusReason"]), (&"inactive".into(), &"no program `a` in PATH".into()));
    assert_eq!(server.get("/api/daemon/providers/shell").await.json()["provider"], list["providers"][1]);
    assert_eq!(server.get("/api/daemon/providers/a%2Fb%20c").await.json()["provider"], *odd);
    for (path, id) in [("nope", "nope"), ("%2e%2e", ".."), ("a%2Fb", "a/b"), ("%C3%BC", "ü")] {
        let reply = server.get(&format!("/api/daemon/providers/{path}")).await;
        assert_eq!((reply.status, reply.json()), (404, json!({"error": "provider not found", "providerId": id})));
    }
    let client = ControlClient::new(&format!("http://{}", server.address)).unwrap();
    assert_eq!(client.provider("a/b c").await.unwrap().id, "a/b c");
    assert_eq!(client.provider("..").await.unwrap_err().http_status(), Some(404));
    assert_eq!(serde_json::to_value(client.providers().await.unwrap()).unwrap(), list);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_registry_the_lists_are_empty_and_never_null() {
    let server = Server::start().await;
    assert_eq!(
        server.get("/api/daemon/providers").await.json(),
        json!({"providers": [], "partialCoverage": true, "coveredFamilies": ["agent-runtime"]})
    );
    let config = server.get("/api/daemon/routing/config").await.json();
    let config = &config["config"];
    assert_eq!(
        names(config),
        ["capabilityFilters", "capturedAt", "llmProviders", "recentDecisions", "sandboxProviders", "weights"]
    );
    assert_eq!(config["weights"], json!({"cost": 0.7, "latency": 0.3}));
    assert_eq!((&config["llmProviders"], &config["recentDecisions"]), (&json!([]), &json!([])));
    assert_eq!(
        config["sandboxProviders"],
        json!([{"providerId": "local", "alpha": 1.0, "beta": 1.0, "selectionCount": 0}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_explained_as_soon_as_the_session_is_accepted_and_after_its_end() {
    let server = Server::with(CONFIG, |builder| builder.provider_registry(Registry)).await;
    let id = server.session("s1", "exit 0").await;
    let explained = server.get("/api/daemon/routing/explain/s1").await.json();
    assert_eq!(names(&explained), ["decision", "sessionId", "trace"]);
    let decision = &explained["decision"];
    // The session names no runtime, so its worker takes the default.
    assert_eq!((&decision["chosenSandbox"], &decision["chosenLLM"]), (&"local".into(), &"claude".into()));
    let phases: Vec<_> =
        explained["trace"].as_array().unwrap().iter().map(|step| step["phase"].as_str().unwrap()).collect();
    let stages = ["capability-filter", "tenant-policy", "capacity-filter", "score"];
    assert_eq!(phases, [stages, stages].concat());
    server.ended(&id).await;
    assert_eq!(server.get("/api/daemon/routing/explain/s1").await.json(), explained);
    let config = server.get("/api/daemon/routing/config").await.json();
    assert_eq!(config["config"]["recentDecisions"], json!([decision]));
    for path in ["nope", "%2e%2e", "a%2Fb", "-x"] {
        let reply = server.get(&format!("/api/daemon/routing/explain/{path}")).await;
        assert_eq!((reply.status, reply.error().as_str()), (404, "routing decision not found"), "{path}");
    }
    let client = ControlClient::new(&format!("http://{}", server.address)).unwrap();
    assert_eq!(serde_json::to_value(client.explain_routing(&id).await.unwrap()).unwrap(), explained);
    assert_eq!(client.routing_config().await.unwrap().config.recent_decisions.len(), 1);
}
