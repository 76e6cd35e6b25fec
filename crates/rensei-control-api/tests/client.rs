//! The client against a misbehaving daemon. How it works with a real one is tested with the server.

#![cfg(feature = "client")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use rensei_control_api::{ControlClient, ControlError, OutputQuery};
use rensei_proto::SessionId;
use rensei_proto::control::DrainRequest;
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
