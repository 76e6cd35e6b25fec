//! The server on a real socket, in front of a host that does what the test says.

use super::bind::ControlListener;
use super::host::Host;
use super::reply::Refusal;
use super::serve::serve;
use axum::http::StatusCode;
use rensei_proto::control::{
    DrainRequest, HostState, PostSession, SessionHandle, SessionState, SessionView, Status, StopResponse, Workarea,
};
use rensei_proto::{ErrorBody, SessionDetail, SessionId};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

struct State {
    started: bool,
    same_user_only: bool,
    ended: bool,
    output: Option<PathBuf>,
    /// Everything that was asked for, in order.
    asked: Vec<String>,
}

#[derive(Clone)]
struct TestHost {
    state: Arc<Mutex<State>>,
    /// Posts wait for it when it is there.
    gate: Option<Arc<Notify>>,
    posted: Arc<Notify>,
}

impl TestHost {
    fn new() -> Self {
        let state = State { started: true, same_user_only: true, ended: false, output: None, asked: Vec::new() };
        Self { state: Arc::new(Mutex::new(state)), gate: None, posted: Arc::new(Notify::new()) }
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    fn ask(&self, what: impl Into<String>) {
        self.state.lock().unwrap().asked.push(what.into());
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    fn knows(id: &SessionId) -> bool {
        id.as_str() == "s1"
    }

    fn handle() -> SessionHandle {
        let session_id = SessionId::parse("s1").unwrap();
        SessionHandle { session_id, pid: 7, accepted_at: "2026-01-01T00:00:00Z".into(), state: SessionState::Running }
    }

    fn view(&self) -> SessionView {
        let state = if self.state.lock().unwrap().ended { "completed" } else { "running" };
        let json = serde_json::json!({"sessionId": "s1", "state": state, "pid": 7, "acceptedAt": "x"});
        serde_json::from_value(json).unwrap()
    }
}

impl Host for TestHost {
    fn is_started(&self) -> bool {
        self.state.lock().unwrap().started
    }
    fn same_user_only(&self) -> bool {
        self.state.lock().unwrap().same_user_only
    }
    fn status(&self) -> Status {
        Status {
            status: HostState::Ready,
            version: "1".into(),
            machine_id: "m".into(),
            pid: 1,
            uptime_seconds: 2,
            active_sessions: 1,
            max_sessions: 4,
            projects_allowed: 1,
            timestamp: "t".into(),
            registration: None,
            restart_needed: Vec::new(),
            incident: None,
        }
    }
    fn pause(&self) -> Result<(), Refusal> {
        self.ask("pause");
        Ok(())
    }
    fn resume(&self) -> Result<(), Refusal> {
        Err(Refusal::new(StatusCode::CONFLICT, ErrorBody::new("cannot resume while the daemon is stopping")))
    }
    fn drain(&self, request: DrainRequest) -> Result<Duration, Refusal> {
        self.ask(format!("drain {:?} {}", request.timeout_seconds, request.keep_alive));
        Ok(Duration::from_secs(request.timeout_seconds.unwrap_or(600)))
    }
    fn stop(&self) {
        self.ask("stop");
    }
    fn live_sessions(&self) -> Vec<SessionHandle> {
        vec![Self::handle()]
    }
    fn all_sessions(&self) -> Vec<SessionView> {
        vec![self.view()]
    }
    async fn post_session(&self, post: PostSession) -> Result<SessionHandle, Refusal> {
        self.ask("post begins");
        self.posted.notify_one();
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        self.ask(format!("posted {}", post.spec.session_id));
        self.posted.notify_one();
        Ok(Self::handle())
    }
    fn session_detail(&self, id: &SessionId) -> Option<SessionDetail> {
        Self::knows(id).then(|| SessionDetail::new(id.clone()))
    }
    fn session_view(&self, id: &SessionId) -> Option<SessionView> {
        Self::knows(id).then(|| self.view())
    }
    fn stop_session(&self, id: &SessionId, reason: Option<String>) -> Option<StopResponse> {
        self.ask(format!("stop {id} {reason:?}"));
        let stopped =
            StopResponse { session_id: id.clone(), stopped: true, mode: Some("operator-cancelled".into()), reason };
        Self::knows(id).then_some(stopped)
    }
    fn session_output(&self, id: &SessionId) -> Option<PathBuf> {
        Self::knows(id).then(|| self.state.lock().unwrap().output.clone()).flatten()
    }
    async fn acquire_workarea(&self, id: &SessionId) -> Result<Workarea, Refusal> {
        Err(Refusal::session_not_found(id))
    }
}

struct Running {
    address: SocketAddr,
    host: TestHost,
    shutdown: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl Running {
    fn start(host: TestHost) -> Self {
        let listener = ControlListener::bind("127.0.0.1", 0).unwrap();
        let address = listener.local_addr();
        let (shutdown, stopping) = oneshot::channel();
        let served = tokio::spawn(serve(listener, host.clone(), async move {
            let _ = stopping.await;
        }));
        Self { address, host, shutdown: Some(shutdown), served }
    }

    async fn call(&self, request_line: &str, headers: &[&str], body: &str) -> Reply {
        let mut head = format!("{request_line} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|header| header.to_ascii_lowercase().starts_with("host:")) {
            head.push_str("host: 127.0.0.1\r\n");
        }
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        if !body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        Reply::parse(&bytes)
    }

    async fn get(&self, path: &str) -> Reply {
        self.call(&format!("GET {path}"), &[], "").await
    }

    async fn post(&self, path: &str, body: &str) -> Reply {
        self.call(&format!("POST {path}"), &["content-type: application/json"], body).await
    }
}

#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let reply = Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() };
        if reply.header("transfer-encoding").is_some() { reply.unchunked() } else { reply }
    }

    fn unchunked(mut self) -> Self {
        let mut rest = self.body.as_str();
        let mut whole = String::new();
        loop {
            let (size, after) = rest.split_once("\r\n").expect("a whole chunked body");
            let size = usize::from_str_radix(size, 16).unwrap();
            if size == 0 {
                break;
            }
            whole.push_str(&after[..size]);
            rest = &after[size + 2..];
        }
        self.body = whole;
        self
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        assert!(self.body.ends_with('\n'), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// The text of an error body.
    fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn reading_routes() {
    let server = Running::start(TestHost::new());
    let health = server.get("/healthz").await;
    assert_eq!((health.status, health.body.as_str()), (200, "ok"));
    assert!(health.header("content-type").unwrap().starts_with("text/plain"));
    let status = server.get("/api/daemon/status").await.json();
    assert_eq!((&status["status"], &status["maxSessions"]), (&"ready".into(), &4.into()));
    assert_eq!(server.get("/api/daemon/sessions").await.json()[0]["acceptedAt"], "2026-01-01T00:00:00Z");
    assert_eq!(server.get("/api/daemon/sessions?all=true&x=1").await.json()[0]["acceptedAt"], "x");
    assert_eq!(server.get("/api/daemon/sessions?all=yes").await.json()[0]["acceptedAt"], "2026-01-01T00:00:00Z");
    assert_eq!(server.get("/api/daemon/sessions/s1").await.json(), serde_json::json!({"sessionId": "s1"}));
    assert_eq!(server.get("/api/daemon/sessions/s1/record").await.json()["state"], "running");
}

#[tokio::test]
async fn what_is_not_there_is_said_in_json() {
    let server = Running::start(TestHost::new());
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
            assert!(!reply.error().is_empty());
        }
        assert_eq!(server.post(&format!("/api/daemon/sessions/{id}/stop"), "").await.status, 400, "{id}");
    }
    for (request, allow) in [
        ("POST /api/daemon/status", "get,head"),
        ("GET /api/daemon/pause", "post"),
        ("DELETE /api/daemon/sessions", "get,head,post"),
        ("PUT /healthz", "get,head"),
    ] {
        let reply = server.call(request, &[], "").await;
        assert_eq!((reply.status, reply.error().as_str()), (405, "method not allowed"), "{request}");
        assert_eq!(reply.header("allow"), Some(allow), "{request}");
    }
    assert_eq!(server.host.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn actions() {
    let server = Running::start(TestHost::new());
    // A bare POST as curl sends it: no body, no type.
    let paused = server.call("POST /api/daemon/pause", &["content-length: 0"], "").await;
    assert_eq!(paused.json(), serde_json::json!({"ok": true, "message": "paused"}));
    let refused = server.post("/api/daemon/resume", "").await;
    assert_eq!((refused.status, refused.error().contains("cannot resume")), (409, true));
    assert_eq!(server.post("/api/daemon/stop", "").await.json()["message"], "stopping");
    for (body, message) in [
        ("", "drain initiated (timeout 10m0s)"),
        ("{}", "drain initiated (timeout 10m0s)"),
        (r#"{"timeoutSeconds":5,"keepAlive":true}"#, "drain initiated (timeout 5s)"),
        (r#"{"timeoutSeconds":604800}"#, "drain initiated (timeout 168h0m0s)"),
    ] {
        assert_eq!(server.post("/api/daemon/drain", body).await.json()["message"], message, "{body}");
    }
    let expected =
        ["pause", "stop", "drain None false", "drain None false", "drain Some(5) true", "drain Some(604800) false"];
    assert_eq!(server.host.asked(), expected);
    for body in
        ["{", "[]7", "5", r#"{"timeoutSeconds":-1}"#, r#"{"timeoutSeconds":604801}"#, r#"{"timeoutSeconds":"5"}"#]
    {
        let reply = server.post("/api/daemon/drain", body).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.error().starts_with("invalid body: "), "{body}");
    }
    assert!(server.host.asked().is_empty());
    let stopped = server.post("/api/daemon/sessions/s1/stop", r#"{"reason":"enough"}"#).await;
    assert_eq!((&stopped.json()["stopped"], stopped.status), (&true.into(), 200));
    assert_eq!(server.post("/api/daemon/sessions/s2/stop", "").await.status, 404);
    assert_eq!(server.post("/api/daemon/sessions/s2/workarea", "").await.status, 404);
    assert_eq!(server.host.asked(), [r#"stop s1 Some("enough")"#, "stop s2 None"]);
}

#[tokio::test]
async fn posting_a_session() {
    let server = Running::start(TestHost::new());
    let path = "/api/daemon/sessions";
    let reply = server.post(path, r#"{"sessionId":"s1","repository":"r","brandNew":1}"#).await;
    assert_eq!((reply.status, &reply.json()["pid"]), (202, &7.into()));
    assert_eq!(server.host.asked(), ["post begins", "posted s1"]);
    for body in ["", "{", "null", r#"{"repository":"r"}"#, r#"{"sessionId":""}"#, r#"{"sessionId":"../x"}"#] {
        let reply = server.post(path, body).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.error().starts_with("invalid body: "), "{body}: {reply:?}");
    }
    for body in [r#"{"repository":"r"}"#, r#"{"sessionId":""}"#] {
        assert!(server.post(path, body).await.error().contains("sessionId"), "{body}");
    }
    let huge = format!(r#"{{"sessionId":"s1","promptContext":"{}"}}"#, "x".repeat(1 << 20));
    let reply = server.post(path, &huge).await;
    assert_eq!((reply.status, reply.error().contains("1048576")), (413, true));
    assert!(server.host.asked().is_empty());
}

#[tokio::test]
async fn a_post_is_finished_when_its_client_hangs_up() {
    let gate = Arc::new(Notify::new());
    let host = TestHost { gate: Some(Arc::clone(&gate)), ..TestHost::new() };
    let posted = Arc::clone(&host.posted);
    let mut server = Running::start(host);
    let mut client = TcpStream::connect(server.address).await.unwrap();
    let body = r#"{"sessionId":"s1"}"#;
    let request = format!(
        "POST /api/daemon/sessions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.write_all(request.as_bytes()).await.unwrap();
    posted.notified().await;
    drop(client);
    // When the server has ended, so has everything that was tied to the connection.
    server.shutdown.take().unwrap().send(()).unwrap();
    server.served.await.unwrap();
    gate.notify_one();
    let finished = tokio::time::timeout(Duration::from_secs(10), posted.notified()).await;
    assert!(finished.is_ok(), "the post died with its connection");
    assert_eq!(server.host.asked(), ["post begins", "posted s1"]);
}

#[tokio::test]
async fn before_the_daemon_has_started() {
    let server = Running::start(TestHost::new());
    server.host.set(|state| state.started = false);
    for request in ["GET /api/daemon/status", "POST /api/daemon/pause", "GET /api/daemon/sessions/s1", "GET /nope"] {
        let reply = server.call(request, &[], "").await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{request}");
        assert_eq!(reply.json(), serde_json::json!({"error": "daemon is still starting", "status": "starting"}));
    }
    assert_eq!(server.get("/healthz").await.body, "ok");
    assert!(server.host.asked().is_empty());
}

#[tokio::test]
async fn web_pages_cannot_do_anything() {
    let server = Running::start(TestHost::new());
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
    assert!(server.host.asked().is_empty());
}

/// Sends a request as the user `nobody`; `None` where the test may not change its user.
async fn call_as_nobody(address: SocketAddr, request: &str) -> Option<Reply> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let talk = r#"exec 3<>"/dev/tcp/127.0.0.1/$1"; printf '%s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n' "$2" >&3; cat <&3"#;
    let port = address.port().to_string();
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c", talk, "bash", &port, request];
    let output = tokio::process::Command::new("setpriv").args(nobody).output().await.ok()?;
    Some(Reply::parse(&output.stdout))
}

#[tokio::test]
async fn other_users_see_the_status_only() {
    let server = Running::start(TestHost::new());
    for (request, status) in [
        ("GET /healthz", 200),
        ("GET /api/daemon/status", 200),
        ("GET /api/daemon/sessions", 200),
        ("GET /api/daemon/sessions?all=true", 403),
        ("GET /api/daemon/sessions/s1", 403),
        ("GET /api/daemon/sessions/s1/record", 403),
        ("GET /api/daemon/sessions/s1/output", 403),
        ("POST /api/daemon/stop", 403),
    ] {
        let Some(reply) = call_as_nobody(server.address, request).await else { return };
        assert_eq!(reply.status, status, "{request}");
        if status == 403 {
            assert!(reply.json()["hint"].as_str().unwrap().contains("root"));
        }
    }
    assert!(server.host.asked().is_empty());
    server.host.set(|state| state.same_user_only = false);
    assert_eq!(call_as_nobody(server.address, "POST /api/daemon/stop").await.unwrap().status, 200);
}

#[tokio::test]
async fn output_of_an_ended_session() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("output.log");
    std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
    let server = Running::start(TestHost::new());
    server.host.set(|state| (state.output, state.ended) = (Some(path.clone()), true));
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
    std::fs::remove_file(&path).unwrap();
    assert_eq!(server.get("/api/daemon/sessions/s1/output").await.status, 404);
}

#[tokio::test]
async fn followed_output_ends_with_the_session_and_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("output.log");
    let mut log = std::fs::File::create(&path).unwrap();
    log.write_all(b"begin\n").unwrap();
    let server = Running::start(TestHost::new());
    server.host.set(|state| state.output = Some(path.clone()));
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request =
        "GET /api/daemon/sessions/s1/output?follow=true HTTP/1.1\r\nhost: [::1]:1\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.windows(6).any(|window| window == b"begin\n") {
        stream.read_buf(&mut seen).await.unwrap();
    }
    let rest = "more\n".repeat(200_000);
    log.write_all(rest.as_bytes()).unwrap();
    server.host.set(|state| state.ended = true);
    stream.read_to_end(&mut seen).await.unwrap();
    assert_eq!(Reply::parse(&seen).body, format!("begin\n{rest}"));
}

#[tokio::test]
async fn shutdown_lets_open_requests_finish_and_closes_idle_connections() {
    let gate = Arc::new(Notify::new());
    let host = TestHost { gate: Some(Arc::clone(&gate)), ..TestHost::new() };
    let posted = Arc::clone(&host.posted);
    let mut server = Running::start(host);
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
        posted.notified().await;
        shutdown.send(()).unwrap();
        assert_eq!(idle.read(&mut [0]).await.unwrap(), 0, "an idle connection is closed");
        gate.notify_one();
    };
    let (reply, ()) = tokio::join!(server.post("/api/daemon/sessions", r#"{"sessionId":"s1"}"#), open);
    assert_eq!(reply.status, 202);
    server.served.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "the port is free");
}

#[cfg(feature = "client")]
#[tokio::test]
async fn the_client_understands_every_answer() {
    use crate::{ControlClient, ControlError, OutputQuery};

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("output.log");
    std::fs::write(&path, "one\ntwo\n").unwrap();
    let server = Running::start(TestHost::new());
    server.host.set(|state| (state.output, state.ended) = (Some(path), true));
    let client = ControlClient::new(&format!("http://localhost:{}", server.address.port())).unwrap();
    let id = SessionId::parse("s1").unwrap();
    client.healthz().await.unwrap();
    assert_eq!(client.status().await.unwrap().max_sessions, 4);
    assert!(client.pause().await.unwrap().ok && client.stop().await.unwrap().ok);
    assert_eq!(client.resume().await.unwrap_err().http_status(), Some(409));
    assert!(client.drain(&DrainRequest::default()).await.unwrap().ok);
    assert_eq!(client.sessions().await.unwrap(), [TestHost::handle()]);
    assert_eq!(client.all_sessions().await.unwrap().len(), 1);
    let post: PostSession = serde_json::from_str(r#"{"sessionId":"s1","repository":"r"}"#).unwrap();
    assert_eq!(client.post_session(&post).await.unwrap(), TestHost::handle());
    assert_eq!(client.session_detail(&id).await.unwrap().session_id, id);
    assert!(client.session_record(&id).await.unwrap().state.is_ended());
    assert!(client.stop_session(&id, Some("why")).await.unwrap().stopped);
    let error = client.workarea(&id).await.unwrap_err();
    assert!(matches!(&error, ControlError::Refused { status: 404, .. }), "{error:?}");
    let mut output = client.output(&id, OutputQuery { follow: true, ..OutputQuery::default() }).await.unwrap();
    assert_eq!((output.size(), output.offset()), (Some(8), Some(0)));
    assert_eq!(output.next_chunk().await.unwrap().unwrap(), "one\ntwo\n");
    assert!(output.next_chunk().await.is_none());
}
