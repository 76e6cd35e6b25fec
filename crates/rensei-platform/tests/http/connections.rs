use crate::support::Server;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

#[tokio::test]
async fn a_client_that_does_not_finish_its_head_is_cut_off() {
    let server = Server::start().await;
    let mut slow = TcpStream::connect(server.http.address).await.unwrap();
    slow.write_all(b"GET /api/health HTTP/1.1\r\nHost: x\r\nX-Slow").await.unwrap();
    // From here on time passes by itself whenever nothing else happens.
    tokio::time::pause();
    let began = Instant::now();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), slow.read_to_end(&mut answer)).await;
    read.expect("the server waits for ever").ok();
    assert!(answer.is_empty() && began.elapsed() >= Duration::from_secs(9), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_finishes_requests_under_way_and_closes_idle_connections() {
    let mut server = Server::start().await;
    let mut idle = TcpStream::connect(server.http.address).await.unwrap();
    idle.write_all(b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let mut posting = TcpStream::connect(server.http.address).await.unwrap();
    let body = br#"{"priority":3}"#;
    let head = format!(
        "POST /api/sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        server.api_key(),
        body.len()
    );
    posting.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body once the request has reached its handler.
    let mut go_on = [0; 25];
    posting.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let stop = tokio::spawn(async move { server.stop().await });
    let mut rest = String::new();
    // Its end shows that the shutdown has begun.
    idle.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("heldRequests"), "{rest}");
    posting.write_all(body).await.unwrap();
    let mut answer = String::new();
    posting.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    stop.await.unwrap();
}
