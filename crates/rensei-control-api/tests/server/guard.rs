//! Who is refused.

use super::fixture::{CONFIG, Reply, Server};
use std::net::SocketAddr;

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
