//! Both clients against a scripted HTTP server on a real socket.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use rensei_platform_client::{AuthFailure, ClientError, ListQuery, OperatorClient, PlatformClient, Timeouts};
use rensei_proto::platform::{
    ClaimRequest, CompletionRequest, HeartbeatRequest, LockRefreshRequest, NackRequest, RegisterRequest, StatusRequest,
};
use rensei_proto::{Secret, SessionStatus};
use std::collections::VecDeque;
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with one request.
enum Reply {
    /// Answers and keeps the connection.
    Send(String),
    /// Answers and closes the connection.
    SendAndClose(String),
    /// Says nothing until the test ends.
    Stall,
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    /// Head and body of each request.
    seen: Vec<String>,
    connections: usize,
}

struct Server {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

impl Server {
    async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(Script { replies: replies.into_iter().collect(), ..Script::default() }));
        let shared = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, script }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn client(&self) -> PlatformClient {
        PlatformClient::new(&self.url()).unwrap()
    }

    fn seen(&self) -> Vec<String> {
        self.script.lock().unwrap().seen.clone()
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<Script>>) {
    while let Some(request) = read_request(&mut stream).await {
        let reply = {
            let mut script = script.lock().unwrap();
            script.seen.push(request);
            script.replies.pop_front().expect("a reply for every request")
        };
        match reply {
            Reply::Send(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Reply::SendAndClose(text) => {
                // The client may hang up first, when it has read enough.
                let _ = stream.write_all(text.as_bytes()).await;
                return;
            }
            Reply::Stall => std::future::pending().await,
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(head) = text.find("\r\n\r\n") {
            let length: usize = header(&text, "content-length").map_or(0, |value| value.parse().unwrap());
            if bytes.len() >= head + 4 + length {
                return Some(text);
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

fn header(request: &str, name: &str) -> Option<String> {
    request.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn send(status: &str, body: &str) -> Reply {
    Reply::Send(answer(status, body))
}

fn jwt() -> Secret {
    Secret::from("jwt-abc.def")
}

fn beat() -> HeartbeatRequest {
    HeartbeatRequest { active_count: Some(0), ..HeartbeatRequest::default() }
}

fn status_of(error: &ClientError) -> Option<u16> {
    error.status()
}

#[tokio::test]
async fn register_sends_bearer_and_body_and_reads_the_answer() {
    let server = Server::start([
        send("201 Created", r#"{"workerId":"wkr_1","runtimeToken":"t1","heartbeatInterval":30000}"#),
        send("200 OK", r#"{"runtimeToken":"t2"}"#),
    ])
    .await;
    let client = PlatformClient::new(&format!("{}//", server.url())).unwrap();
    let token = Secret::from("rsp_live_1");
    let request = RegisterRequest { hostname: "box".into(), capacity: Some(2), ..RegisterRequest::default() };
    let registered = client.register(&token, &request).await.unwrap();
    assert_eq!((registered.worker_id.as_str(), registered.runtime_token.expose()), ("wkr_1", "t1"));
    let refreshed = client.refresh_token(&token, "wkr_1").await.unwrap();
    assert_eq!((refreshed.worker_id.as_str(), refreshed.runtime_token.expose()), ("wkr_1", "t2"));

    let seen = server.seen();
    assert!(seen[0].starts_with("POST /api/workers/register HTTP/1.1\r\n"), "{}", seen[0]);
    assert_eq!(header(&seen[0], "authorization").unwrap(), "Bearer rsp_live_1");
    assert_eq!(header(&seen[0], "content-type").unwrap(), "application/json");
    assert!(header(&seen[0], "user-agent").unwrap().starts_with("rensei-daemon/"));
    assert!(seen[0].ends_with(r#"{"hostname":"box","capacity":2}"#), "{}", seen[0]);
    assert!(seen[1].starts_with("POST /api/workers/wkr_1/refresh-token "), "{}", seen[1]);
    assert!(seen[1].ends_with("\r\n\r\n{}"), "{}", seen[1]);
    assert_eq!(server.script.lock().unwrap().connections, 1, "the connection is used again");
}

#[tokio::test]
async fn answers_without_identity_or_token_are_errors() {
    let server = Server::start([send("201 Created", "{}"), send("200 OK", r#"{"workerId":"w"}"#)]).await;
    let client = server.client();
    let error = client.register(&jwt(), &RegisterRequest::default()).await.unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "workerId is missing");
    let error = client.refresh_token(&jwt(), "w").await.unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "runtimeToken is missing");
}

#[tokio::test]
async fn every_status_class() {
    let cases = [
        ("204 No Content", "", None),
        ("301 Moved Permanently", "", Some(301)),
        ("304 Not Modified", "", Some(304)),
        ("400 Bad Request", r#"{"error":"capacity must be positive"}"#, Some(400)),
        ("401 Unauthorized", r#"{"error":"Runtime token expired; register again"}"#, Some(401)),
        ("404 Not Found", "<html>nope</html>", Some(404)),
        ("429 Too Many Requests", "", Some(429)),
        ("503 Service Unavailable", "", Some(503)),
    ];
    let server = Server::start(cases.iter().map(|(status, body, _)| {
        let length =
            if *status == "204 No Content" { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        Reply::Send(format!("HTTP/1.1 {status}\r\n{length}retry-after: 3\r\n\r\n{body}"))
    }))
    .await;
    let client = server.client();
    for (status, _, expected) in cases {
        let result = client.heartbeat(&jwt(), "w", &beat()).await;
        let error = result.err();
        assert_eq!(error.as_ref().and_then(status_of), expected, "{status}");
        if let Some(error) = error {
            assert_eq!(error.retry_after(), Some(Duration::from_secs(3)), "{status}");
            assert!(error.to_string().starts_with(&format!("heartbeat: HTTP {}: ", expected.unwrap())), "{error}");
            let failure = match expected {
                Some(401) => Some(AuthFailure::RuntimeTokenExpired),
                Some(404) => Some(AuthFailure::WorkerNotFound),
                _ => None,
            };
            assert_eq!(error.auth_failure(), failure, "{status}");
        }
    }
}

#[tokio::test]
async fn retry_after_as_a_date_is_read_against_the_answers_own_clock() {
    let server = Server::start([Reply::Send(
        "HTTP/1.1 503 Service Unavailable\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
         retry-after: Sun, 06 Nov 1994 08:49:57 GMT\r\ncontent-length: 0\r\n\r\n"
            .into(),
    )])
    .await;
    let error = server.client().poll(&jwt(), "w", None).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(20)));
    assert!(error.is_retryable());
}

#[tokio::test]
async fn garbage_and_html_bodies() {
    let html = "<html><body>Sign in</body></html>";
    let server = Server::start([
        send("200 OK", html),
        send("200 OK", "{\"work\":["),
        send("200 OK", html),
        send("200 OK", ""),
        send("200 OK", html),
        send("200 OK", " \n"),
        send("200 OK", html),
    ])
    .await;
    let client = server.client();
    for _ in 0..2 {
        let error = client.poll(&jwt(), "w", None).await.unwrap_err();
        assert!(matches!(error, ClientError::Decode { .. }) && error.is_retryable(), "{error}");
        assert_eq!(error.to_string(), "poll: the answer cannot be read");
    }
    // A beat that was accepted is a success, whatever the answer says.
    for _ in 0..2 {
        assert!(client.heartbeat(&jwt(), "w", &beat()).await.unwrap().pending_mutations.is_empty());
    }
    let refresh = LockRefreshRequest::default();
    assert!(client.lock_refresh(&jwt(), "s", &refresh, None).await.is_err());
    assert!(client.lock_refresh(&jwt(), "s", &refresh, None).await.unwrap().refreshed);
    let report = StatusRequest::new("w", SessionStatus::Completed, Some(1));
    client.status(&jwt(), "s", &report).await.unwrap();
}

#[tokio::test]
async fn oversized_bodies_are_not_read() {
    let huge = "HTTP/1.1 200 OK\r\ncontent-length: 5000000\r\n\r\n".to_owned();
    let mut chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for _ in 0..5 {
        chunked.push_str(&format!("100000\r\n{}\r\n", "x".repeat(0x10_0000)));
    }
    let error_body = format!("jwt-abc.def {}", "y".repeat(1_000_000));
    let server = Server::start([
        Reply::SendAndClose(huge.clone()),
        Reply::SendAndClose(chunked),
        Reply::SendAndClose(answer("500 Internal Server Error", &error_body)),
        Reply::SendAndClose(huge),
    ])
    .await;
    let client = server.client();
    for _ in 0..2 {
        let error = client.poll(&jwt(), "w", None).await.unwrap_err();
        assert!(matches!(error, ClientError::TooLarge { limit: 4_194_304, .. }), "{error}");
    }
    let text = client.poll(&jwt(), "w", None).await.unwrap_err().to_string();
    assert!(text.starts_with("poll: HTTP 500: *** yyy") && text.len() < 2100, "{} {}", text.len(), &text[..40]);
    client.status(&jwt(), "s", &StatusRequest::new("w", SessionStatus::Failed, None)).await.unwrap();
}

#[tokio::test]
async fn broken_connections_and_slow_servers() {
    let server = Server::start([
        Reply::SendAndClose("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"work\":".into()),
        Reply::SendAndClose("HTTP/1.1 400 Bad Request\r\ncontent-length: 100\r\n\r\nhalf a".into()),
        Reply::SendAndClose("not http at all\r\n\r\n".into()),
        Reply::SendAndClose(String::new()),
        Reply::Stall,
        Reply::Send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".into()),
    ])
    .await;
    let tiny = Duration::from_millis(100);
    let timeouts = Timeouts { long: tiny, ..Timeouts::default() };
    let client = PlatformClient::with_timeouts(&server.url(), timeouts).unwrap();
    let error = client.poll(&jwt(), "w", None).await.unwrap_err();
    assert!(matches!(error, ClientError::Transport { .. }) && error.is_retryable(), "{error}");
    let error = client.poll(&jwt(), "w", None).await.unwrap_err();
    assert_eq!(error.to_string(), "poll: HTTP 400: half a", "a refusal that breaks off is still a refusal");
    for what in ["not HTTP", "closed", "slow header", "slow body"] {
        let error = client.poll(&jwt(), "w", None).await.unwrap_err();
        assert!(matches!(error, ClientError::Transport { .. }), "{what}: {error}");
        assert_eq!(error.to_string(), format!("poll: no answer from {}", server.url()));
        assert!(error.source().is_some());
    }
}

#[tokio::test]
async fn a_refused_connection_names_the_address_and_its_cause() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", unused.local_addr().unwrap());
    drop(unused);
    let error = PlatformClient::new(&url).unwrap().poll(&jwt(), "w", None).await.unwrap_err();
    let mut chain = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(source) = cause {
        chain.push(source.to_string());
        cause = source.source();
    }
    assert!(chain[0].contains(&url) && chain.last().unwrap().contains("refused"), "{chain:?}");
    assert!(error.is_retryable() && error.hint().unwrap().contains(&url));
}

#[tokio::test]
async fn redirects_are_not_followed_and_keep_the_bearer() {
    let other = Server::start([]).await;
    let location = format!("{}/login?next=x", other.url());
    let server =
        Server::start(["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"].map(|status| {
            Reply::Send(format!("HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"))
        }))
        .await;
    let client = server.client();
    for status in [302, 307, 308] {
        let error = client.heartbeat(&jwt(), "w", &beat()).await.unwrap_err();
        assert_eq!(error.status(), Some(status));
        assert!(error.to_string().contains(&format!("redirected to {},", other.url())), "{error}");
        assert!(error.hint().unwrap().contains(&other.url()));
    }
    assert_eq!(other.script.lock().unwrap().connections, 0, "nobody called the other host");
}

#[tokio::test]
async fn ids_and_waits_reach_the_server_as_meant() {
    let server = Server::start([
        send("200 OK", r#"{"work":null}"#),
        send("200 OK", r#"{"claimed":false,"reason":"taken"}"#),
        send("200 OK", r#"{"refreshed":true,"stop":true}"#),
        send("200 OK", ""),
        send("200 OK", ""),
    ])
    .await;
    let client = PlatformClient::new(&format!("{}/prefix/", server.url())).unwrap();
    let wait = Some(Duration::from_secs(25));
    assert!(client.poll(&jwt(), "w/1", wait).await.unwrap().work.is_empty());
    let claim = ClaimRequest { worker_id: "w".into() };
    assert!(!client.claim(&jwt(), "s", &claim).await.unwrap().claimed);
    assert!(client.lock_refresh(&jwt(), "s", &LockRefreshRequest::default(), wait).await.unwrap().stop);
    let raw = r#"{"sessionId":"../x",  "odd":1.50}"#;
    let nack = NackRequest {
        worker_id: "w".into(),
        reason: "bad id".into(),
        work: serde_json::from_str(raw).unwrap(),
        attempt: None,
        host_fault: false,
    };
    client.nack(&Secret::default(), "../x", &nack).await.unwrap();
    let report = CompletionRequest { summary: "done".into(), ..CompletionRequest::default() };
    client.completion(&jwt(), "s", &report).await.unwrap();

    let seen = server.seen();
    assert!(seen[0].starts_with("GET /prefix/api/workers/w%2F1/poll?wait=25 "), "{}", seen[0]);
    assert_eq!(header(&seen[0], "content-type"), None);
    assert!(seen[2].starts_with("POST /prefix/api/sessions/s/lock-refresh?wait=25 "), "{}", seen[2]);
    assert!(seen[3].starts_with("POST /prefix/api/sessions/..%2Fx/nack "), "{}", seen[3]);
    assert!(seen[3].contains(raw), "the item goes back byte for byte: {}", seen[3]);
    assert_eq!(header(&seen[3], "authorization"), None, "no token, no header");

    let error = client.poll(&jwt(), "..", None).await.unwrap_err();
    assert!(matches!(error, ClientError::InvalidId { .. }), "{error}");
    let error = client.poll(&Secret::from("tok\nen"), "w", None).await.unwrap_err();
    assert!(matches!(error, ClientError::InvalidToken { .. }) && !error.to_string().contains("tok\n"), "{error}");
}

#[tokio::test]
async fn operator_calls() {
    let session = r#"{"sessionId":"s1","project":"p","status":"running","repository":"r","priority":3,"attempt":1,
        "createdAt":1,"updatedAt":2}"#;
    let page = r#"{"activities":[{"id":7,"recordedAt":1,"type":"thought","content":"hm"}],"cursor":7,
        "sessionStatus":"running"}"#;
    let server = Server::start([
        send("200 OK", &format!(r#"{{"sessions":[{session}],"count":1}}"#)),
        send("200 OK", session),
        send("200 OK", page),
        send("409 Conflict", r#"{"error":"session has ended","code":"illegal_transition","hint":"nothing to do"}"#),
    ])
    .await;
    let client = OperatorClient::new(&server.url(), Secret::from("rsk_live_1")).unwrap();
    let query = ListQuery { project: Some("a&b".into()), status: Some(SessionStatus::Running), limit: Some(5) };
    assert_eq!(client.list_sessions(&query).await.unwrap().sessions[0].session_id, "s1");
    assert_eq!(client.wait_session("s1", 2, Duration::from_secs(30)).await.unwrap().updated_at, 2);
    assert_eq!(client.activities("s1", 0, None).await.unwrap().activities[0].id, 7);
    let error = client.cancel("s1", Some("enough")).await.unwrap_err();
    assert_eq!(error.to_string(), "cancel session: HTTP 409: session has ended");
    assert_eq!(error.hint().as_deref(), Some("nothing to do"));
    assert!(!error.is_moot() && !error.is_retryable());

    let seen = server.seen();
    assert!(seen[0].starts_with("GET /api/sessions?project=a%26b&status=running&limit=5 "), "{}", seen[0]);
    assert_eq!(header(&seen[0], "authorization").unwrap(), "Bearer rsk_live_1");
    assert!(seen[1].starts_with("GET /api/sessions/s1?after=2&wait=30 "), "{}", seen[1]);
    assert!(seen[2].starts_with("GET /api/sessions/s1/activities?after=0 "), "{}", seen[2]);
    assert!(seen[3].ends_with(r#"{"reason":"enough"}"#), "{}", seen[3]);
}

#[tokio::test]
async fn https_needs_no_process_wide_provider_and_fails_closed() {
    let server = Server::start([]).await;
    let timeouts = Timeouts { long: Duration::from_millis(200), ..Timeouts::default() };
    let client = PlatformClient::with_timeouts(&format!("https://{}", server.address), timeouts).unwrap();
    let error = client.poll(&jwt(), "w", None).await.unwrap_err();
    assert!(matches!(error, ClientError::Transport { .. }), "{error}");
    assert!(server.seen().is_empty(), "no request in clear text");
}
