//! The client against a misbehaving daemon. How it works with a real one is tested with the server.

#![cfg(feature = "client")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use rensei_control_api::{ControlClient, ControlError, OutputQuery, StatsQuery};
use rensei_proto::SessionId;
use rensei_proto::control::{
    ArchiveRequest, DrainRequest, EvictPoolRequest, KitInstallRequest, PostSession, PruneRequest, RestoreRequest,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A server that answers its one request with `reply` and then closes the connection or holds it open.
async fn server(reply: impl Into<String>, hold: bool) -> (ControlClient, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = ControlClient::new(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let reply = reply.into();
    let request = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 64 * 1024];
        let length = stream.read(&mut request).await.unwrap();
        stream.write_all(reply.as_bytes()).await.unwrap();
        if hold {
            std::future::pending::<()>().await;
        }
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (client, request)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = ControlClient::new(&url).unwrap().status().await.unwrap_err();
    assert!(matches!(&error, ControlError::NotRunning { url: named } if *named == url), "{error:?}");
    assert!(error.is_retryable() && error.hint().unwrap().contains("rensei host run"));
}

#[tokio::test]
async fn a_request_is_json_and_the_answer_is_decoded() {
    let (client, request) = server(answer("200 OK", r#"{"ok":true,"message":"drain initiated"}"#), false).await;
    let drain = DrainRequest { timeout_seconds: Some(5), keep_alive: false };
    assert_eq!(client.drain(&drain).await.unwrap().message, "drain initiated");
    let request = request.await.unwrap();
    assert!(request.starts_with("POST /api/daemon/drain HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("content-type: application/json\r\n"), "{request}");
    assert!(request.ends_with(r#"{"timeoutSeconds":5}"#), "{request}");
}

#[tokio::test]
async fn refusals_carry_what_the_daemon_said() {
    let body = r#"{"error":"at capacity (4/4 sessions)","hint":"wait","status":"ready"}"#;
    let (client, _) = server(answer("503 Service Unavailable", body), false).await;
    let error = client.pause().await.unwrap_err();
    assert_eq!((error.to_string().as_str(), error.http_status()), ("at capacity (4/4 sessions)", Some(503)));
    assert!(error.is_retryable() && error.hint().as_deref() == Some("wait"));

    let (client, _) = server(answer("404 Not Found", "404 page\u{1b} not found\n"), false).await;
    assert_eq!(client.pause().await.unwrap_err().to_string(), "HTTP 404 Not Found: 404 page not found");
}

#[tokio::test]
async fn garbage_cut_off_and_silent_daemons() {
    let (client, _) = server(answer("200 OK", "<html>"), false).await;
    let error = client.status().await.unwrap_err();
    assert!(matches!(error, ControlError::Decode { .. }), "{error:?}");

    let (client, _) = server("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{", false).await;
    let error = client.status().await.unwrap_err();
    assert!(matches!(error, ControlError::Transport { .. }), "{error:?}");

    let huge = "HTTP/1.1 200 OK\r\ncontent-length: 99000000\r\n\r\n";
    let (client, _) = server(huge, true).await;
    let error = client.status().await.unwrap_err();
    assert!(matches!(error, ControlError::Decode { .. }), "{error:?}");

    for partial in ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{"] {
        let (client, _) = server(partial, true).await;
        let error = client.call_timeout(Duration::from_millis(50)).status().await.unwrap_err();
        assert!(matches!(error, ControlError::TimedOut { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn output_is_streamed_and_may_be_late_only_when_followed() {
    let id = SessionId::parse("s1").unwrap();
    let head = "HTTP/1.1 200 OK\r\nx-output-size: 9\r\nx-output-offset: 4\r\ntransfer-encoding: chunked\r\n\r\n";
    let tail = OutputQuery { tail_lines: Some(2), ..OutputQuery::default() };
    let (client, request) = server(format!("{head}5\r\nhello\r\n0\r\n\r\n"), false).await;
    let mut output = client.output(&id, tail).await.unwrap();
    assert_eq!((output.size(), output.offset()), (Some(9), Some(4)));
    assert_eq!(output.next_chunk().await.unwrap().unwrap(), "hello");
    assert!(output.next_chunk().await.is_none());
    assert!(request.await.unwrap().starts_with("GET /api/daemon/sessions/s1/output?follow=false&tail=2 "));

    let (client, _) = server(format!("{head}5\r\nhello\r\n"), true).await;
    let short = client.call_timeout(Duration::from_millis(50));
    let mut output = short.output(&id, OutputQuery { offset: Some(4), ..tail }).await.unwrap();
    assert_eq!(output.next_chunk().await.unwrap().unwrap(), "hello");
    let error = output.next_chunk().await.unwrap().unwrap_err();
    assert!(matches!(error, ControlError::TimedOut { .. }), "{error:?}");

    let (client, _) = server(format!("{head}5\r\nhello\r\n"), false).await;
    let mut output = client.output(&id, OutputQuery { follow: true, ..tail }).await.unwrap();
    assert_eq!(output.next_chunk().await.unwrap().unwrap(), "hello");
    let error = output.next_chunk().await.unwrap().unwrap_err();
    assert!(matches!(error, ControlError::Transport { .. }), "a cut is not an end: {error:?}");
}

/// Asks for everything that is about the host.
async fn ask_about_the_host(client: &ControlClient) {
    drop((client.healthz().await, client.status().await, client.pause().await, client.resume().await));
    drop((client.drain(&DrainRequest::default()).await, client.stop().await, client.update().await));
    drop((client.stats(StatsQuery::default()).await, client.set_capacity("k", "1").await));
    drop((client.heartbeat().await, client.doctor().await, client.capabilities().await, client.openapi().await));
    drop((client.providers().await, client.provider("id").await, client.events(None).await));
}

async fn ask_about_kits(client: &ControlClient) {
    drop((client.kits().await, client.kit("kit").await, client.verify_kit("kit").await));
    drop((client.install_kit("kit", &KitInstallRequest::default()).await, client.kit_settings().await));
    drop((client.set_kit_enabled("kit", true).await, client.set_kit_enabled("kit", false).await));
    drop((client.kit_sources().await, client.set_kit_source_enabled("name", true).await));
    drop(client.set_kit_source_enabled("name", false).await);
}

async fn ask_about_sessions(client: &ControlClient) {
    let id = SessionId::parse("id").unwrap();
    let session: PostSession = serde_json::from_value(json!({"sessionId": "id", "repository": "r"})).unwrap();
    drop((client.routing_config().await, client.explain_routing(&id).await));
    drop((client.sessions().await, client.all_sessions().await, client.post_session(&session).await));
    drop((client.session_detail(&id).await, client.session_record(&id).await, client.stop_session(&id, None).await));
    drop((client.workarea(&id).await, client.output(&id, OutputQuery::default()).await));
    drop(client.archive_workarea(&id, &ArchiveRequest::default()).await);
}

async fn ask_about_workareas(client: &ControlClient) {
    let evict = EvictPoolRequest { repo_url: "r".to_owned(), older_than_seconds: 0 };
    drop((client.pool_stats().await, client.evict_pool(&evict).await));
    drop((client.workareas().await, client.workarea_detail("id").await));
    drop((
        client.restore_workarea("id", &RestoreRequest::default()).await,
        client.diff_workareas("a", "b", drop).await,
    ));
    drop(client.prune_workareas(&PruneRequest::default()).await);
}

/// Routes of the document, each as the requests that the calls above make of it.
fn documented() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api/control.json");
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let operations = document["paths"].as_object().unwrap().iter().flat_map(|(path, operations)| {
        let methods = operations.as_object().unwrap().keys().filter(|key| *key != "parameters");
        let path = path.replace("{sessionId}", "id").replace(['{', '}'], "");
        methods.map(move |method| format!("{} {path}", method.to_ascii_uppercase()))
    });
    operations
        .flat_map(|operation| match operation.as_str() {
            "GET /api/daemon/kits/kit" => ["", "/verify-signature"].map(|end| operation.clone() + end).to_vec(),
            "POST /api/daemon/kits/kit" => {
                ["/install", "/enable", "/disable"].map(|end| operation.clone() + end).to_vec()
            }
            _ => vec![operation],
        })
        .collect()
}

#[tokio::test]
async fn every_route_can_be_asked_through_the_client() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = ControlClient::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let served = async {
        let mut asked = BTreeSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 64 * 1024];
            let length = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let mut words = request.split([' ', '?']);
            asked.insert(format!("{} {}", words.next().unwrap(), words.next().unwrap()));
            stream.write_all(answer("404 Not Found\r\nconnection: close", "{}").as_bytes()).await.unwrap();
            if asked.len() == documented().len() {
                return asked;
            }
        }
    };
    let asking = async {
        ask_about_the_host(&client).await;
        ask_about_kits(&client).await;
        ask_about_sessions(&client).await;
        ask_about_workareas(&client).await;
    };
    let asked = tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(asking, served).1 });
    assert_eq!(asked.await.expect("a route is not asked for"), documented());
}
