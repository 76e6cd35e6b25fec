//! What the routes answer.

use super::fixture::{CONFIG, PATIENCE, Server};
use rensei_testkit::{Call, FakePlatform, REGISTRATION_TOKEN};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn reading_routes() {
    let server = Server::start().await;
    let health = server.get("/healthz").await;
    assert_eq!((health.status, health.body.as_str()), (200, "ok"));
    assert!(health.header("content-type").unwrap().starts_with("text/plain"));
    let status = server.get("/api/daemon/status").await.json();
    assert_eq!((&status["status"], &status["maxSessions"]), (&"ready".into(), &4.into()));
    let id = server.session("s1", "sleep 60").await;
    let handle = server.get("/api/daemon/sessions").await.json();
    assert_eq!((handle[0]["acceptedAt"].as_str().unwrap().len(), handle.as_array().unwrap().len()), (20, 1));
    assert_eq!(server.get("/api/daemon/sessions?all=yes").await.json(), handle, "only `true` is true");
    assert_eq!(server.get("/api/daemon/sessions/s1").await.json()["sessionId"], "s1");
    assert_eq!(server.get("/api/daemon/sessions/s1/record").await.json()["state"], "running");
    server.post("/api/daemon/sessions/s1/stop", "").await;
    server.ended(&id).await;
    assert_eq!(server.get("/api/daemon/sessions").await.json(), json!([]), "never null");
    assert_eq!(server.get("/api/daemon/sessions?all=true&x=1").await.json()[0]["state"], "terminated");
    let document = server.get("/api/daemon/openapi.json").await.json();
    assert_eq!(document["paths"]["/api/daemon/status"]["get"]["operationId"], "status");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_in_json() {
    let server = Server::start().await;
    for path in ["/", "/nope", "/api/daemon/sessions/", "/api/daemon//status", "/api/daemon/sessions/s1/nope", "/%ff"] {
        let reply = server.get(path).await;
        assert_eq!((reply.status, reply.error().as_str()), (404, "no such route"), "{path}");
    }
    for path in ["s2", "s2/record", "s2/output"] {
        let reply = server.get(&format!("/api/daemon/sessions/{path}")).await;
        assert_eq!((reply.status, &reply.json()["sessionId"]), (404, &"s2".into()), "{path}");
    }
    for id in ["%2e%2e", "%2f", "a%2fb", "..%2f..%2fetc", "%00", "%ff", "-x", "%C3%BC", &"x".repeat(200)] {
        for route in ["", "/record", "/output"] {
            let reply = server.get(&format!("/api/daemon/sessions/{id}{route}")).await;
            assert_eq!(reply.status, 400, "{id}: {reply:?}");
            assert!(reply.error().starts_with("invalid path: "), "{reply:?}");
        }
        assert_eq!(server.post(&format!("/api/daemon/sessions/{id}/stop"), "").await.status, 400, "{id}");
    }
    for action in ["stop", "workarea"] {
        let reply = server.post(&format!("/api/daemon/sessions/s2/{action}"), "").await;
        assert_eq!((reply.status, &reply.json()["sessionId"]), (404, &"s2".into()), "{action}");
    }
}

/// Every documented path, with something in place of its variables.
pub(crate) fn documented(document: &Value) -> Vec<(String, Vec<String>)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .map(|(path, operations)| {
            let methods = operations.as_object().unwrap().keys().filter(|key| *key != "parameters");
            (path.replace(['{', '}'], ""), methods.map(|method| method.to_ascii_uppercase()).collect())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_shows_how_the_host_gets_at_a_repository() {
    let platform = FakePlatform::start().await;
    let config = format!(
        "orchestrator: {{url: '{}', authToken: {REGISTRATION_TOKEN}}}\n\
        projects:\n- {{id: app, repository: 'https://bob:hunter2@git.test/app'}}\n",
        platform.url()
    );
    let server = Server::with(&config, |builder| builder).await;
    platform.until_count(Call::Heartbeat, 1).await;
    let shown = "https://***@git.test/app";
    assert_eq!(server.get("/api/daemon/heartbeat").await.json()["allowlist"][0]["repository"], shown);
    server.session("s1", "exit 0").await;
    let document = server.get("/api/daemon/openapi.json").await.json();
    let reading = documented(&document).into_iter().filter(|(_, methods)| methods.contains(&"GET".to_owned()));
    for (path, _) in reading.filter(|(path, _)| !path.ends_with("/events")) {
        for path in [path.replace("/id", "/s1"), format!("{path}?pool=true&byMachine=true&all=true")] {
            let reply = server.get(&path).await;
            assert!(!reply.body.contains("hunter2"), "{path}: {reply:?}");
        }
    }
    assert_eq!(server.get("/api/daemon/stats").await.json()["allowedProjects"], json!([shown]));
    let told = platform.requests_to(Call::Heartbeat)[0].json();
    assert_eq!(told["allowlist"][0]["repository"], "https://bob:hunter2@git.test/app");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_loaded_when_there_is_one_and_it_is_used() {
    let server = Server::start().await;
    let file = server.state.path().join("daemon.yaml");
    assert!(server.daemon.doctor().config_loaded, "from the start");
    for (text, loaded) in [("projects: 7\n", false), (CONFIG, true)] {
        std::fs::write(&file, text).unwrap();
        let said = async {
            while server.get("/api/daemon/doctor").await.json()["configLoaded"] != loaded {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, said).await.unwrap();
    }
    let without = Server::with("", |builder| builder.config_path("/nonexistent/daemon.yaml".into())).await;
    assert_eq!(without.get("/api/daemon/doctor").await.json()["configLoaded"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn actions() {
    let server = Server::start().await;
    // A bare POST as curl sends it: no body, no type.
    let paused = server.call("POST /api/daemon/pause", &["content-length: 0"], "").await;
    assert_eq!(paused.json(), json!({"ok": true, "message": "paused"}));
    assert_eq!(server.post("/api/daemon/resume", "").await.json(), json!({"ok": true, "message": "resumed"}));
    let held = server.session("s1", "sleep 60").await;
    for (body, message) in [
        ("", "drain initiated (timeout 10m0s)"),
        ("{}", "drain initiated (timeout 10m0s)"),
        (r#"{"timeoutSeconds":0}"#, "drain initiated (timeout 10m0s)"),
        (r#"{"timeoutSeconds":5,"keepAlive":true}"#, "drain initiated (timeout 5s)"),
        (r#"{"timeoutSeconds":604800}"#, "drain initiated (timeout 168h0m0s)"),
    ] {
        assert_eq!(server.post("/api/daemon/drain", body).await.json()["message"], message, "{body}");
    }
    let refused = server.post("/api/daemon/pause", "").await;
    assert_eq!((refused.status, &refused.json()["status"]), (409, &"draining".into()));
    server.post("/api/daemon/resume", "").await;
    for body in
        ["{", "[]7", "5", r#"{"timeoutSeconds":-1}"#, r#"{"timeoutSeconds":604801}"#, r#"{"timeoutSeconds":"5"}"#]
    {
        let reply = server.post("/api/daemon/drain", body).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.error().starts_with("invalid body: "), "{body}");
    }
    assert_eq!(server.get("/api/daemon/status").await.json()["status"], "ready", "refused drains change nothing");
    let stopped = server.post("/api/daemon/sessions/s1/stop", r#"{"reason":"enough"}"#).await;
    assert_eq!(
        stopped.json(),
        json!({"sessionId": "s1", "stopped": true, "mode": "operator-cancelled"}),
        "{stopped:?}"
    );
    server.ended(&held).await;
    assert!(server.daemon.session_view(&held).unwrap().reason.unwrap().contains("enough"));
    assert_eq!(server.post("/api/daemon/sessions/s1/stop", "").await.json()["stopped"], false);
    assert_eq!(server.post("/api/daemon/stop", "").await.json(), json!({"ok": true, "message": "stopping"}));
    let refused = server.post("/api/daemon/resume", "").await;
    assert_eq!((refused.status, refused.error().contains("cannot resume")), (409, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn posting_a_session() {
    let server = Server::start().await;
    let path = "/api/daemon/sessions";
    let reply = server.post(path, r#"{"sessionId":"s1","repository":"app","brandNew":1}"#).await;
    assert_eq!((reply.status, &reply.json()["sessionId"]), (202, &"s1".into()));
    for body in ["", "{", "null", r#"{"repository":"r"}"#, r#"{"sessionId":""}"#, r#"{"sessionId":"../x"}"#] {
        let reply = server.post(path, body).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.error().starts_with("invalid body: "), "{body}: {reply:?}");
    }
    for body in [r#"{"repository":"r"}"#, r#"{"sessionId":""}"#] {
        assert!(server.post(path, body).await.error().contains("sessionId"), "{body}");
    }
    let huge = format!(r#"{{"sessionId":"s2","promptContext":"{}"}}"#, "x".repeat(1 << 20));
    let reply = server.post(path, &huge).await;
    assert_eq!((reply.status, reply.error().contains("1048576")), (413, true));
    assert_eq!(server.daemon.all_sessions().len(), 1, "what is refused leaves nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_daemon_has_started() {
    let mut server = Server::starting(CONFIG, |builder| builder);
    for request in ["GET /api/daemon/status", "POST /api/daemon/pause", "GET /api/daemon/sessions/s1", "GET /nope"] {
        let reply = server.call(request, &[], "").await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{request}");
        assert_eq!(reply.json(), json!({"error": "daemon is still starting", "status": "starting"}));
    }
    assert_eq!(server.get("/healthz").await.body, "ok");
    server.run().await;
    assert_eq!(server.get("/api/daemon/status").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_json_is_refused_in_bounded_memory() {
    let server = Server::start().await;
    let path = "/api/daemon/sessions";
    let (arrays, objects) = (format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), r#"{"a":"#.repeat(10_000));
    let bodies = [
        arrays.clone(),
        objects.clone(),
        format!(r#"{{"sessionId":"s1","repository":"app","env":{arrays}}}"#),
        format!(r#"{{"sessionId":"s1","repository":"app","title":{objects}"#),
        // Which of two is meant would depend on who reads it.
        r#"{"sessionId":"s1","sessionId":"s2","repository":"app"}"#.to_owned(),
        r#"{"sessionId":"s1","repository":"app","repository":"q"}"#.to_owned(),
        // Half of a character; and a character that ends text elsewhere.
        r#"{"sessionId":"s1","repository":"app","title":"\ud800"}"#.to_owned(),
        r#"{"sessionId":"s\u0000","repository":"app"}"#.to_owned(),
        "{\"sessionId\":\"s1\",\"repository\":\"r\",\"title\":\"\0\"}".to_owned(),
        r#"{"sessionId":"s1","repository":"app","env":{"A":1e400}}"#.to_owned(),
    ];
    for body in &bodies {
        let reply = server.post(path, body).await;
        assert_eq!(reply.status, 400, "{}: {reply:?}", &body[..body.len().min(80)]);
        assert!(reply.error().len() < 500, "the error does not repeat the body");
    }
    for route in ["/api/daemon/drain", "/api/daemon/sessions/s1/stop"] {
        assert_eq!(server.post(route, &arrays).await.status, 400, "{route}");
    }
    assert!(server.daemon.all_sessions().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn null_in_a_body_is_the_same_as_nothing() {
    let server = Server::start().await;
    let post = r#"{"sessionId":"s1","repository":"app","ref":null,"resources":null,"env":null,"title":null,
        "maxDurationSeconds":null,"resolvedProfile":null,"stagePrompt":null}"#;
    let reply = server.post("/api/daemon/sessions", post).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(server.post("/api/daemon/sessions/s1/stop", r#"{"reason":null}"#).await.status, 200);
    let reply = server.post("/api/daemon/sessions", r#"{"sessionId":null,"repository":"app"}"#).await;
    assert_eq!((reply.status, reply.error().contains("missing field `sessionId`")), (400, true), "{reply:?}");
}
