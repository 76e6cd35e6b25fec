//! Output of sessions.

use super::fixture::{Reply, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn output_of_an_ended_session() {
    let server = Server::start().await;
    let id = server.session("s1", "printf 'one\\ntwo\\nthree\\n'").await;
    server.ended(&id).await;
    for (query, offset, body) in [
        ("", "0", "one\ntwo\nthree\n"),
        ("?tail=1", "8", "three\n"),
        ("?tail=0", "14", ""),
        ("?offset=4", "4", "two\nthree\n"),
        ("?offset=4&tail=1", "4", "two\nthree\n"),
        ("?offset=14", "14", ""),
        ("?follow=true&tail=2", "4", "two\nthree\n"),
    ] {
        let reply = server.get(&format!("/api/daemon/sessions/s1/output{query}")).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, body), "{query}");
        assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
        assert_eq!((reply.header("x-output-size"), reply.header("x-output-offset")), (Some("14"), Some(offset)));
    }
    for query in ["tail=-1", "tail=x", "offset=1.5", "offset=99999999999999999999999"] {
        let reply = server.get(&format!("/api/daemon/sessions/s1/output?{query}")).await;
        assert_eq!((reply.status, reply.error().starts_with("invalid query: ")), (400, true), "{query}");
    }
    let beyond = server.get("/api/daemon/sessions/s1/output?offset=15").await;
    assert_eq!((beyond.status, beyond.error().contains("beyond the end")), (416, true));
    std::fs::remove_file(server.daemon.session_output(&id).unwrap()).unwrap();
    assert_eq!(server.get("/api/daemon/sessions/s1/output").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn followed_output_ends_with_the_session_and_is_complete() {
    let server = Server::start().await;
    let gate = server.root().join("gate");
    let script = format!("echo begin; until [ -e {} ]; do sleep 0.01; done; yes more | head -200000", gate.display());
    server.session("s1", &script).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request =
        "GET /api/daemon/sessions/s1/output?follow=true HTTP/1.1\r\nhost: [::1]:1\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.windows(6).any(|window| window == b"begin\n") {
        stream.read_buf(&mut seen).await.unwrap();
    }
    std::fs::write(gate, "").unwrap();
    stream.read_to_end(&mut seen).await.unwrap();
    assert_eq!(Reply::parse(&seen).body, format!("begin\n{}", "more\n".repeat(200_000)));
}
