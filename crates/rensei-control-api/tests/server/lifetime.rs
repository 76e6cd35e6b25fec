//! Connections, and requests that outlive them.

use super::fixture::{CONFIG, PATIENCE, Server};
use rensei_proto::SessionId;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// A daemon whose posts wait until they are let through, and the signal that one waits.
async fn gated() -> (Server, mpsc::Sender<()>, Arc<Notify>) {
    let (open, gate) = mpsc::channel();
    let (gate, reached) = (Mutex::new(gate), Arc::new(Notify::new()));
    let waits = Arc::clone(&reached);
    let server = Server::with(CONFIG, |builder| {
        builder.pre_spawn_hook(PATIENCE, move |_spec, environment| {
            waits.notify_one();
            let _ = gate.lock().unwrap().recv();
            Ok(environment)
        })
    })
    .await;
    (server, open, reached)
}

const POST: &str = r#"{"sessionId":"s1","repository":"app","env":{"SCRIPT":"sleep 60"}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_post_is_finished_when_its_client_hangs_up() {
    let (mut server, open, reached) = gated().await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    let length = POST.len();
    let request = format!("POST /api/daemon/sessions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
    client.write_all(format!("{request}{POST}").as_bytes()).await.unwrap();
    reached.notified().await;
    drop(client);
    // When the server has ended, so has everything that was tied to the connection.
    server.shutdown.take().unwrap().send(()).unwrap();
    (&mut server.served).await.unwrap();
    open.send(()).unwrap();
    let id = SessionId::parse("s1").unwrap();
    let runs = async {
        while server.daemon.session_view(&id).is_none_or(|view| view.pid == 0) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, runs).await.is_ok(), "the post died with its connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn shutdown_lets_open_requests_finish_and_closes_idle_connections() {
    let (mut server, gate, reached) = gated().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..2 {
        idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut reply = Vec::new();
        while !reply.ends_with(b"\r\n\r\nok") {
            assert!(idle.read_buf(&mut reply).await.unwrap() > 0, "the connection is kept between requests");
        }
    }
    let address = server.address;
    let shutdown = server.shutdown.take().unwrap();
    let open = async {
        reached.notified().await;
        shutdown.send(()).unwrap();
        assert_eq!(idle.read(&mut [0]).await.unwrap(), 0, "an idle connection is closed");
        gate.send(()).unwrap();
    };
    let (reply, ()) = tokio::join!(server.post("/api/daemon/sessions", POST), open);
    assert_eq!(reply.status, 202);
    (&mut server.served).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "the port is free");
}
