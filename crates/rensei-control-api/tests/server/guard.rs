//! Who is refused.

use super::contract::matrix::{MATRIX, OWN};
use super::fixture::{CONFIG, PATIENCE, Reply, Server};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn web_pages_cannot_do_anything() {
    let server = Server::start().await;
    for header in ["host: evil.example:7734", "origin: https://evil.example", "sec-fetch-site: cross-site"] {
        for request in ["POST /api/daemon/stop", "GET /api/daemon/status", "OPTIONS /api/daemon/stop"] {
            let reply = server.call(request, &[header], "").await;
            assert_eq!(reply.status, 403, "{request} {header}");
            assert!(!reply.error().is_empty() && !reply.head.contains("access-control-"), "{reply:?}");
        }
    }
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let header = format!("content-type: {content_type}");
        let reply = server.call("POST /api/daemon/drain", &[&header], "{}").await;
        assert_eq!(reply.status, 415, "{content_type}");
        assert!(reply.error().contains("JSON"));
    }
    assert_eq!(server.get("/api/daemon/status").await.json()["status"], "ready", "nothing of it was done");
}

/// Sends a request as the user `nobody`; `None` where the test may not change its user.
pub(crate) async fn call_as_nobody(address: SocketAddr, request: &str) -> Option<Reply> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let talk = r#"exec 3<>"/dev/tcp/127.0.0.1/$1"; printf '%s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n' "$2" >&3; cat <&3"#;
    let port = address.port().to_string();
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c", talk, "bash", &port, request];
    let output = tokio::process::Command::new("setpriv").args(nobody).output().await.ok()?;
    Some(Reply::parse(&output.stdout))
}

#[tokio::test(flavor = "multi_thread")]
async fn other_users_see_the_status_only() {
    let server = Server::start().await;
    server.session("s1", "sleep 60").await;
    for (request, status) in [
        ("GET /healthz", 200),
        ("GET /api/daemon/status", 200),
        ("GET /api/daemon/sessions", 200),
        ("GET /api/daemon/sessions?all=true", 403),
        ("GET /api/daemon/sessions/s1", 403),
        ("GET /api/daemon/sessions/s1/record", 403),
        ("GET /api/daemon/sessions/s1/output", 403),
        ("POST /api/daemon/sessions/s1/stop", 403),
        ("POST /api/daemon/stop", 403),
    ] {
        let Some(reply) = call_as_nobody(server.address, request).await else {
            eprintln!("SKIPPED: needs root and setpriv to be another user");
            return;
        };
        assert_eq!(reply.status, status, "{request}");
        if status == 403 {
            assert!(reply.json()["hint"].as_str().unwrap().contains("root"));
        }
    }
    assert_eq!(server.get("/api/daemon/status").await.json()["activeSessions"], 1, "nothing of it was done");
    let open = Server::with(&format!("{CONFIG}control: {{auth: open}}\n"), |builder| builder).await;
    assert_eq!(call_as_nobody(open.address, "POST /api/daemon/pause").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_changes_nothing_whatever_the_route() {
    let server = Server::start().await;
    let mut tried = 0;
    for (_, method, path) in MATRIX.iter().chain(OWN).filter(|(_, method, _)| *method != "GET") {
        let request = format!("{method} {}", path.replace(['<', '>'], ""));
        let Some(reply) = call_as_nobody(server.address, &request).await else {
            eprintln!("SKIPPED: needs root and setpriv to be another user");
            return;
        };
        assert_eq!((reply.status, reply.error().as_str()), (403, "this daemon belongs to another user"), "{request}");
        tried += 1;
    }
    assert!(tried > 15, "only {tried} routes change anything");
    assert_eq!(server.get("/api/daemon/status").await.json()["status"], "ready", "nothing of it was done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_ends_is_given_up() {
    let server = Server::start().await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = "POST /api/daemon/drain HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    assert_eq!(server.get("/api/daemon/status").await.status, 200);
    let mut answer = [0; 12];
    let answered = tokio::time::timeout(PATIENCE, slow[0].read_exact(&mut answer)).await;
    answered.expect("a body that never ends is given up").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert_eq!(server.get("/api/daemon/status").await.json()["status"], "ready", "nothing of it was done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_what_another_user_may_not() {
    let server = Server::with(&format!("{CONFIG}control: {{auth: token}}\n"), |builder| builder).await;
    let token = std::fs::read_to_string(server.root().join("control-token")).unwrap();
    let bearer = format!("authorization: Bearer {}", token.trim());
    for (headers, status) in [
        (vec![], 401),
        (vec!["authorization: Bearer "], 401),
        (vec!["authorization: Bearer 0000"], 401),
        (vec!["authorization: Basic eDp5"], 401),
        (vec![bearer.as_str(), "authorization: Bearer x"], 401),
        (vec![bearer.as_str()], 200),
    ] {
        let reply = server.call("POST /api/daemon/pause", &headers, "").await;
        assert_eq!(reply.status, status, "{headers:?}: {reply:?}");
        if status == 401 {
            assert_eq!(reply.header("www-authenticate"), Some("bearer"), "{reply:?}");
            assert!(reply.json()["hint"].as_str().unwrap().contains("control-token"), "{reply:?}");
        }
    }
    assert_eq!(server.get("/api/daemon/status").await.status, 200, "the status is for everybody");
    assert_eq!(server.get("/api/daemon/sessions?all=true").await.status, 401);
    let found = rensei_control_api::Whereabouts { state_root: Some(server.root()), ..Default::default() };
    let client = rensei_control_api::ControlClient::locate(&found).unwrap();
    assert_eq!(client.url(), format!("http://{}", server.address), "the daemon says where it is");
    assert!(client.resume().await.unwrap().ok, "the client finds the token by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_and_idle_connections_hold_nobody_up() {
    let server = Server::start().await;
    let mut idle = Vec::new();
    for number in 0..1000 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: loc").await.unwrap();
        }
        idle.push(stream);
    }
    assert_eq!(server.get("/api/daemon/status").await.status, 200);
    let closed = async {
        for stream in &mut idle {
            let mut rest = Vec::new();
            // Closed, or reset: both are an end.
            let _ = stream.read_to_end(&mut rest).await;
        }
    };
    tokio::time::timeout(PATIENCE, closed).await.expect("a head that never ends is given up");
    assert_eq!(server.get("/api/daemon/status").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_outlives_the_patience_for_heads() {
    let server = Server::start().await;
    let mut stream = server.client().events(None).await.unwrap();
    // Longer than a head may take, in real time: the server's clock is the kernel's.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    server.client().pause().await.unwrap();
    let event = tokio::time::timeout(PATIENCE, stream.next_event()).await.unwrap().unwrap().unwrap();
    assert_eq!(event.change.name(), "host.state");
}
