//! Proxies, timeouts and authorities that the system does not know of, on real sockets.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use rensei_platform_client::{ClientError, ClientOptions, PlatformClient, Timeouts};
use rensei_proto::Secret;
use rensei_testkit::{AUTHORITY, tls_acceptor};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers one poll; the answer is the first line of the request.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"work\":[]}").await.unwrap();
    String::from_utf8(head).unwrap().lines().next().unwrap().to_owned()
}

async fn poll(url: &str, options: &ClientOptions) -> Result<(), ClientError> {
    let client = PlatformClient::with_options(url, options)?;
    client.poll(&Secret::from("jwt".to_owned()), "w", None).await.map(drop)
}

#[tokio::test]
async fn an_authority_of_the_caller_is_trusted_and_without_it_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let refused = tls_acceptor().accept(listener.accept().await.unwrap().0).await.is_err();
        let stream = tls_acceptor().accept(listener.accept().await.unwrap().0).await.unwrap();
        (refused, answer(stream).await)
    });
    let error = poll(&url, &ClientOptions::default()).await.unwrap_err();
    assert!(matches!(error, ClientError::Transport { .. }), "{error}");
    let options = ClientOptions { root_certificates: AUTHORITY.to_vec(), ..ClientOptions::default() };
    poll(&url, &options).await.unwrap();
    assert_eq!(server.await.unwrap(), (true, "GET /api/workers/w/poll HTTP/1.1".to_owned()));
}

#[tokio::test]
async fn all_calls_go_through_the_callers_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Some(format!("http://{}", listener.local_addr().unwrap()));
    let server = tokio::spawn(async move {
        let first = answer(listener.accept().await.unwrap().0).await;
        (first, answer(listener.accept().await.unwrap().0).await)
    });
    let options = ClientOptions { proxy, ..ClientOptions::default() };
    poll("http://control.invalid", &options).await.unwrap();
    poll("http://127.0.0.1:1", &options).await.unwrap();
    let (first, second) = server.await.unwrap();
    assert_eq!(first, "GET http://control.invalid/api/workers/w/poll HTTP/1.1");
    assert_eq!(second, "GET http://127.0.0.1:1/api/workers/w/poll HTTP/1.1");
}

#[tokio::test]
async fn the_callers_timeouts_hold() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let timeouts = Timeouts { long: Duration::from_millis(20), ..Timeouts::default() };
    // Nobody ever answers.
    let error = poll(&url, &ClientOptions { timeouts, ..ClientOptions::default() }).await.unwrap_err();
    assert!(matches!(&error, ClientError::Transport { source, .. } if source.is_timeout()), "{error}");
}

#[tokio::test]
async fn unusable_options_are_refused_before_anything_is_sent() {
    let pem = b"-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n".to_vec();
    let roots = ClientOptions { root_certificates: pem, ..ClientOptions::default() };
    let proxy = ClientOptions { proxy: Some("::".to_owned()), ..ClientOptions::default() };
    let text = ClientOptions { root_certificates: b"ca.pem".to_vec(), ..ClientOptions::default() };
    for options in [roots, text, proxy] {
        assert!(matches!(poll("http://127.0.0.1:1", &options).await, Err(ClientError::Setup(_))), "{options:?}");
    }
}
