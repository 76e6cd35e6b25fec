//! A daemon in this process with its control API on a real port.

use rensei_control_api::{ControlClient, ControlListener};
use rensei_daemon_core::{Daemon, DaemonBuilder, DaemonHandle, Phase};
use rensei_proto::SessionId;
use rensei_proto::control::SessionState;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Far more than any step takes; reached only when something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Configuration of a host with four slots.
pub(crate) const CONFIG: &str =
    "machine: {id: test}\ncapacity: {maxConcurrentSessions: 4}\nprojects:\n- {id: app, repository: /srv/app}\n";

/// A daemon and its API. Sessions run the script in their variable `SCRIPT`.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) daemon: DaemonHandle,
    pub(crate) state: TempDir,
    pub(crate) shutdown: Option<oneshot::Sender<()>>,
    pub(crate) served: JoinHandle<()>,
    /// Until it is told to run, the daemon is starting.
    waiting: Option<Daemon>,
}

impl Server {
    /// A running daemon with the usual configuration.
    pub(crate) async fn start() -> Self {
        Self::with(CONFIG, |builder| builder).await
    }

    /// A running daemon.
    pub(crate) async fn with(config: &str, change: impl FnOnce(DaemonBuilder) -> DaemonBuilder) -> Self {
        let mut server = Self::starting(config, change);
        server.run().await;
        server
    }

    /// A daemon that is served but does not run yet.
    pub(crate) fn starting(config: &str, change: impl FnOnce(DaemonBuilder) -> DaemonBuilder) -> Self {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("daemon.yaml"), config).unwrap();
        let listener = ControlListener::bind("127.0.0.1", 0).unwrap();
        let address = listener.local_addr();
        let command: Vec<OsString> = ["/bin/sh", "-c", "eval \"$SCRIPT\""].map(OsString::from).to_vec();
        let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        let builder = Daemon::builder(state.path().to_owned()).worker_command(command).environment(environment);
        let daemon = change(builder).build().unwrap().with_control_url(&listener.url());
        let handle = daemon.handle();
        let (shutdown, stopping) = oneshot::channel();
        let served = tokio::spawn(listener.serve(handle.clone(), async move {
            let _ = stopping.await;
        }));
        Self { address, daemon: handle, state, shutdown: Some(shutdown), served, waiting: Some(daemon) }
    }

    /// Lets the daemon run.
    pub(crate) async fn run(&mut self) {
        tokio::spawn(self.waiting.take().unwrap().run());
        self.daemon.wait_for_phase(|phase| matches!(phase, Phase::Running)).await;
    }

    pub(crate) fn root(&self) -> &Path {
        self.state.path()
    }

    pub(crate) fn client(&self) -> ControlClient {
        ControlClient::new(&format!("http://{}", self.address)).unwrap()
    }

    pub(crate) async fn call(&self, request_line: &str, headers: &[&str], body: &str) -> Reply {
        call(self.address, request_line, headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call(&format!("GET {path}"), &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Reply {
        self.call(&format!("POST {path}"), &["content-type: application/json"], body).await
    }

    /// Starts a session with this script.
    pub(crate) async fn session(&self, id: &str, script: &str) -> SessionId {
        let post = json!({"sessionId": id, "repository": "app", "env": {"SCRIPT": script}});
        let reply = self.post("/api/daemon/sessions", &post.to_string()).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        SessionId::parse(id).unwrap()
    }

    /// Waits until what the status says is wrong is as `wanted`.
    pub(crate) async fn until_incident(&self, wanted: impl Fn(&Option<String>) -> bool) -> Option<String> {
        let found = async {
            loop {
                match self.daemon.status().incident {
                    incident if wanted(&incident) => return incident,
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap()
    }

    /// Waits until a session has ended.
    pub(crate) async fn ended(&self, id: &SessionId) -> SessionState {
        let ended = async {
            loop {
                match self.daemon.session_view(id) {
                    Some(view) if view.state.is_ended() => return view.state,
                    _ => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.daemon.stop();
    }
}

/// One request on a connection of its own.
pub(crate) async fn call(address: SocketAddr, request_line: &str, headers: &[&str], body: &str) -> Reply {
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
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    Reply::parse(&bytes)
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
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

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        assert!(self.body.ends_with('\n'), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// The text of an error body.
    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }
}
