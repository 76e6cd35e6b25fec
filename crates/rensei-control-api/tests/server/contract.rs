//! Every row of the route matrix that clients of the predecessor rely on, against a real daemon: method, path, status and
//! the exact fields with their types, on a host with nothing to show and on one at work. The numbers of the rows are
//! those of the matrix; rows without a number are this host's own.

pub(crate) mod matrix;
mod shape;
mod shapes;
mod work;

use crate::fixture::{CONFIG, PATIENCE, Server};
use crate::routes::documented;
use matrix::{MATRIX, OWN};
use serde_json::{Value, json};
use shape::Contract;
use shapes::{action, refused, refused_with};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use work::AtWork;

/// `GET` rows that hold on every host: path, status, shape.
fn reading() -> Vec<(&'static str, u16, Value)> {
    let unknown_session = refused_with(json!({"error": "=session not found", "sessionId": "=nobody"}));
    vec![
        ("/api/daemon/status", 200, shapes::status()),
        ("/api/daemon/stats", 200, shapes::stats(false, false)),
        ("/api/daemon/stats?byMachine=1&pool=yes", 200, shapes::stats(false, false)),
        ("/api/daemon/stats?byMachine=true", 200, shapes::stats(false, true)),
        ("/api/daemon/stats?pool=true", 200, shapes::stats(true, false)),
        ("/api/daemon/pool/stats", 200, shapes::pool()),
        ("/api/daemon/sessions", 200, json!([shapes::handle()])),
        ("/api/daemon/sessions?all=true", 200, json!([shapes::record()])),
        ("/api/daemon/sessions/nobody", 404, unknown_session.clone()),
        ("/api/daemon/sessions/nobody/record", 404, unknown_session.clone()),
        ("/api/daemon/sessions/nobody/output", 404, unknown_session),
        ("/api/daemon/sessions/%2e%2e", 400, refused()),
        ("/api/daemon/sessions/", 404, refused()),
        ("/api/daemon/heartbeat", 200, shapes::heartbeat()),
        ("/api/daemon/doctor", 200, shapes::doctor()),
        ("/api/daemon/providers", 200, shapes::providers()),
        ("/api/daemon/providers/nobody", 404, json!({"error": "=provider not found", "providerId": "=nobody"})),
        ("/api/daemon/routing/config", 200, shapes::routing()),
        (
            "/api/daemon/routing/explain/nobody",
            404,
            json!({"error": "=routing decision not found", "sessionId": "=nobody"}),
        ),
        ("/api/daemon/kits", 200, json!({"kits": [shapes::kit()], "problems*": ["word"]})),
        ("/api/daemon/kits/no/body", 404, refused_with(json!({"error": "=no/body: kit not found", "kitId*": "word"}))),
        ("/api/daemon/kits/no/body/verify-signature", 404, refused_with(json!({"kitId*": "word"}))),
        ("/api/daemon/kit-sources", 200, json!({"sources": [shapes::source()]})),
        ("/api/daemon/kit-settings", 200, shapes::kit_settings()),
        ("/api/daemon/workareas", 200, shapes::workareas()),
        ("/api/daemon/workareas/", 200, shapes::workareas()),
        ("/api/daemon/workareas/nobody", 404, refused()),
        ("/api/daemon/workareas/%2e%2e", 400, refused()),
        ("/api/daemon/workareas/nobody/diff/nothing", 404, refused()),
        ("/api/daemon/capabilities", 200, shapes::capabilities()),
        ("/api/daemon/capabilities/unknown", 404, refused()),
        ("/api/daemon/openapi.json", 200, json!("object")),
        ("/api/daemon/nothing", 404, refused()),
        ("/v1/status", 404, refused()),
    ]
}

/// `POST` rows that hold on every host, in an order that leaves it running: path, body, status, shape.
fn changing() -> Vec<(&'static str, &'static str, u16, Value)> {
    let unknown_session = refused_with(json!({"error": "=session not found", "sessionId": "=nobody"}));
    let unknown_kit = refused_with(json!({"error": "=no/body: kit not found", "kitId*": "word"}));
    let not_here = refused_with(json!({"kitId": "=no/body", "details": "word", "kind*": "word"}));
    let not_fetched = refused_with(json!({"kitId": "=no/body", "source": "string"}));
    let source = json!({"source": shapes::source(), "message": "word"});
    vec![
        ("/api/daemon/pause", "", 200, json!({"ok": "=true", "message": "=paused"})),
        ("/api/daemon/pause", "not even JSON", 200, action()),
        ("/api/daemon/sessions", r#"{"sessionId":"late","repository":"app"}"#, 503, refused()),
        ("/api/daemon/resume", "", 200, json!({"ok": "=true", "message": "=resumed"})),
        ("/api/daemon/capacity", r#"{"key":"capacity.maxConcurrentSessions","value":"6"}"#, 200, shapes::changed()),
        ("/api/daemon/capacity", r#"{"key":"capacity.poolMaxDiskGb","value":"50"}"#, 200, shapes::changed()),
        ("/api/daemon/capacity", r#"{"key":"capacity.maxConcurrentSessions","value":4}"#, 400, shapes::not_changed()),
        ("/api/daemon/capacity", r#"{"key":"x","value":"-4"}"#, 400, shapes::not_changed()),
        ("/api/daemon/capacity", r#"{"key":"x","value":"4"}"#, 400, shapes::not_changed()),
        ("/api/daemon/capacity", "{", 400, shapes::not_changed()),
        ("/api/daemon/pool/evict", r#"{"repoUrl":"https://git.example/none.git"}"#, 200, shapes::evicted()),
        ("/api/daemon/pool/evict", "{}", 400, refused_with(json!({"error": "=repoUrl is required"}))),
        ("/api/daemon/pool/evict", "{", 400, refused()),
        ("/api/daemon/sessions", "{", 400, refused()),
        ("/api/daemon/sessions", r#"{"sessionId":"","repository":"app"}"#, 400, refused()),
        ("/api/daemon/sessions", r#"{"sessionId":"a","repository":"unknown"}"#, 400, refused()),
        ("/api/daemon/sessions/nobody/stop", "", 404, unknown_session.clone()),
        ("/api/daemon/sessions/nobody/workarea", "", 404, unknown_session.clone()),
        ("/api/daemon/sessions/nobody/archive", "", 404, refused_with(json!({"sessionId": "=nobody"}))),
        ("/api/daemon/drain", r#"{"timeoutSeconds":"soon"}"#, 400, refused()),
        ("/api/daemon/kits/no/body/install", "", 501, not_here.clone()),
        ("/api/daemon/kits/no/body/install", r#"{"source":{"kind":"tessl","url":"x"}}"#, 501, not_here),
        (
            "/api/daemon/kits/no/body/install",
            r#"{"source":{"kind":"svn","url":"x"}}"#,
            400,
            refused_with(json!({"kitId*": "word", "kind*": "word"})),
        ),
        ("/api/daemon/kits/no/body/install", r#"{"source":{"kind":"git","url":"file:///none"}}"#, 502, not_fetched),
        ("/api/daemon/kits/no/body/install", "{", 400, refused()),
        ("/api/daemon/kits/no/body/enable", "", 404, unknown_kit.clone()),
        ("/api/daemon/kits/no/body/disable", "", 404, unknown_kit),
        ("/api/daemon/kit-sources/tessl/disable", "", 200, source.clone()),
        ("/api/daemon/kit-sources/tessl/enable", "", 200, source),
        (
            "/api/daemon/kit-sources/nobody/enable",
            "",
            404,
            refused_with(json!({"error": "=nobody: kit source not found", "source": "=nobody"})),
        ),
        ("/api/daemon/kit-sources/tessl/install", "", 404, refused()),
        ("/api/daemon/workareas/nobody/restore", "", 404, refused()),
        ("/api/daemon/workareas/nobody/restore", "{", 400, refused()),
        ("/api/daemon/workareas/%2e%2e/restore", "", 400, refused()),
        ("/api/daemon/archives/prune", r#"{"ids":["nobody"],"dryRun":true}"#, 200, shapes::pruned()),
    ]
}

async fn read_all(server: &Server, contract: &mut Contract) {
    for (path, status, shape) in reading() {
        contract.check(&format!("GET {path}"), &server.get(path).await, status, &shape);
    }
    let health = server.get("/healthz").await;
    assert_eq!((health.status, health.body.as_str()), (200, "ok"));
    let order = ["local", "bundled", "rensei", "tessl", "agentskills", "community"];
    let sources = server.get("/api/daemon/kit-sources").await.json();
    let rows = sources["sources"].as_array().unwrap().iter().zip(1..);
    let found: Vec<_> = rows.map(|(row, n)| (row["name"].as_str(), row["priority"] == json!(n))).collect();
    assert_eq!(found, order.map(|name| (Some(name), true)));
}

async fn change_all(server: &Server, contract: &mut Contract) {
    for (path, body, status, shape) in changing() {
        contract.check(&format!("POST {path}"), &server.post(path, body).await, status, &shape);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_matrix_on_a_host_with_nothing_to_show() {
    let server = Server::start().await;
    let mut contract = Contract::default();
    read_all(&server, &mut contract).await;
    change_all(&server, &mut contract).await;
    contract.check("row 7", &server.post("/api/daemon/update", "").await, 501, &refused());
    contract.holds();
    // Lists are never null, nor left out.
    for (path, lists) in [
        ("/api/daemon/sessions", json!([])),
        ("/api/daemon/kits", json!({"kits": []})),
        ("/api/daemon/workareas", json!({"active": [], "archived": []})),
    ] {
        assert_eq!(server.get(path).await.json(), lists, "{path}");
    }
    assert_eq!(server.get("/api/daemon/pool/stats").await.json()["members"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_any_configuration_answers_the_same_shapes() {
    let server = Server::with("{}\n", |builder| builder).await;
    let mut contract = Contract::default();
    read_all(&server, &mut contract).await;
    contract.holds();
}

/// `GET` rows that need something to show: number of the row, path, shape.
fn filled(archive: &str) -> Vec<(u32, String, Value)> {
    let differences = json!({"diff": {"summary": shapes::differences(), "entries": [shapes::difference()]}});
    let rows = [
        (0, "sessions/bad/record", shapes::record()),
        (17, "providers/shell", json!({"provider": shapes::provider()})),
        (19, "routing/explain/polled", shapes::explained()),
        (21, "kits/team/whole", shapes::kit_in_full()),
        (22, "kits/team/whole/verify-signature", shapes::signature()),
        (30, "workareas/polled", shapes::live_workarea()),
        (30, "workareas/<archive>", shapes::archived_workarea()),
        (30, "workareas/small", shapes::archived_workarea()),
        (32, "workareas/small/diff/other", differences.clone()),
        (32, "workareas/other/diff/small", differences),
        (32, "workareas/small/diff/small", json!({"diff": {"summary": shapes::differences(), "entries": []}})),
    ];
    rows.map(|(row, path, shape)| (row, format!("/api/daemon/{}", path.replace("<archive>", archive)), shape)).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_matrix_on_a_host_at_work() {
    let host = AtWork::start().await;
    let (server, mut contract) = (&host.server, Contract::default());
    let events = listen(server).await;
    contract.check("POST sessions/<id>/workarea", &host.acquired, 200, &shapes::acquired());
    contract.check("GET /api/daemon/heartbeat", &host.first_heartbeat, 200, &shapes::heartbeat());
    read_all(server, &mut contract).await;
    for (row, path, shape) in filled(&host.archive) {
        contract.check(&format!("row {row}"), &server.get(&path).await, 200, &shape);
    }
    contract.check("GET sessions/<id>", &host.detail().await, 200, &shapes::detail());
    assert!(server.get("/api/daemon/sessions/polled").await.json().get("authToken").is_none());
    streams(&host, &mut contract).await;

    change_all(server, &mut contract).await;
    let install = host.kit_source();
    let restore = "/api/daemon/workareas/small/restore";
    let archived = server.post("/api/daemon/sessions/polled/archive", "").await;
    contract.check("row 30", &archived, 201, &shapes::archived_workarea());
    let stop = "/api/daemon/sessions/polled/stop";
    for (path, body, status, shape) in [
        ("/api/daemon/kits/team/whole/disable", "", 200, shapes::kit()),
        ("/api/daemon/kits/team/whole/enable", "", 200, shapes::kit()),
        ("/api/daemon/kits/team/whole/install", install.as_str(), 200, shapes::installed()),
        ("/api/daemon/kits/team/other/install", install.as_str(), 422, refused_with(json!({"kitId": "=team/other"}))),
        ("/api/daemon/sessions", r#"{"sessionId":"polled","repository":"app"}"#, 409, refused()),
        ("/api/daemon/sessions", r#"{"sessionId":"s9","repository":"app","unknown":{}}"#, 202, shapes::handle()),
        (restore, r#"{"intoSessionId":"new","reason":"look"}"#, 201, shapes::restored_workarea()),
        (restore, r#"{"intoSessionId":"new"}"#, 409, refused()),
        (restore, r#"{"intoSessionId":"polled"}"#, 409, refused()),
        ("/api/daemon/pool/evict", host.eviction.as_str(), 200, shapes::evicted()),
        (stop, r#"{"reason":"enough"}"#, 200, shapes::stopped()),
        (stop, "", 200, shapes::stopped()),
        (
            "/api/daemon/drain",
            r#"{"timeoutSeconds":90,"keepAlive":true}"#,
            200,
            json!({"ok": "=true", "message": "=drain initiated (timeout 1m30s)"}),
        ),
        ("/api/daemon/resume", "", 200, action()),
        ("/api/daemon/update", "", 200, json!({"ok": "=true", "message": "=update initiated"})),
    ] {
        contract.check(&format!("POST {path}"), &server.post(path, body).await, status, &shape);
    }
    let updated = async {
        while server.get("/api/daemon/status").await.json()["update"]["outcome"] != "no-op" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, updated).await.expect("an update that finds nothing ends");
    contract.check("GET /api/daemon/status", &server.get("/api/daemon/status").await, 200, &shapes::status());
    let stopped = server.post("/api/daemon/stop", "").await;
    contract.check("row 5", &stopped, 200, &json!({"ok": "=true", "message": "=stopping"}));
    heard(events, &mut contract).await;
    contract.holds_in_full();
}

/// Listens to what happens.
async fn listen(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /api/daemon/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 ") && head.contains("content-type: text/event-stream"), "{head}");
    stream
}

/// Compares what was heard until a workarea was given back.
async fn heard(mut stream: TcpStream, contract: &mut Contract) {
    let mut seen = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&seen).contains("event: workarea.released\n") || !seen.ends_with(b"\n\n\r\n") {
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("a workarea is given back");
    let text = String::from_utf8(seen).unwrap();
    let mut names = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("data:")) {
        let event: Value = serde_json::from_str(line).unwrap();
        let name = event["type"].as_str().unwrap().to_owned();
        contract.value(&shapes::event(&name), &event, "an event");
        names.insert(name);
    }
    for name in ["host.state", "session.started", "session.ended", "workarea.released"] {
        assert!(names.contains(name), "{names:?}");
    }
}

/// What is no JSON document.
async fn streams(host: &AtWork, contract: &mut Contract) {
    let path = format!("/api/daemon/workareas/{}/diff/other", host.archive);
    let lines = host.server.get(&path).await;
    assert_eq!((lines.status, lines.header("content-type")), (200, Some("application/x-ndjson")), "{lines:?}");
    let lines: Vec<Value> = lines.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, entries) = lines.split_last().unwrap();
    entries.iter().for_each(|entry| contract.value(&shapes::difference(), entry, "a line of a difference"));
    contract.value(&json!({"summary": shapes::differences()}), summary, "the last line of a difference");

    let output = host.server.get("/api/daemon/sessions/bad/output").await;
    assert_eq!((output.status, output.body.as_str()), (200, "oops\n"));
    assert!(output.header("content-type").unwrap().starts_with("application/octet-stream"), "{output:?}");
}

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];

/// The methods of each path.
fn by_path(rows: &[(u32, &'static str, &'static str)]) -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut paths: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (_, method, path) in rows {
        paths.entry(*path).or_default().push(*method);
    }
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_refuses_other_methods_and_says_which_it_takes() {
    let server = Server::start().await;
    for (path, methods) in by_path(&[MATRIX, OWN].concat()) {
        for method in METHODS.into_iter().filter(|method| !methods.contains(method)) {
            let reply = server.call(&format!("{method} {}", path.replace(['<', '>'], "")), &[], "").await;
            assert_eq!(reply.status, 405, "{method} {path}");
            // An answer to HEAD has no body.
            let error = if method == "HEAD" { reply.body.clone() } else { reply.error() };
            assert_eq!(error, if method == "HEAD" { "" } else { "method not allowed" }, "{method} {path}");
            assert_eq!(reply.header("allow"), Some(methods.join(", ").to_ascii_lowercase().as_str()), "{path}");
        }
    }
    assert_eq!(server.call("HEAD /api/daemon/nothing", &[], "").await.status, 404);
}

/// Nothing is served that is not a row here, and nothing here is missing.
#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_the_matrix() {
    let server = Server::with(CONFIG, |builder| builder).await;
    let document = documented(&server.get("/api/daemon/openapi.json").await.json());
    let documented: BTreeMap<String, Vec<String>> = document.into_iter().collect();
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (_, method, path) in MATRIX.iter().chain(OWN) {
        let methods = rows.entry(matrix::in_the_document(path)).or_default();
        if !methods.iter().any(|known| known == method) {
            methods.push((*method).to_owned());
        }
    }
    assert_eq!(documented, rows);
    let numbers: Vec<u32> = MATRIX.iter().map(|(number, _, _)| *number).collect();
    assert_eq!(numbers, (1..=34).collect::<Vec<_>>());
}
