//! A server on a free port with one organisation, and a client that shows everything.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Request};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use rensei_platform::{InitOptions, InitOutput, LegacyAuth, ManualClock, Platform, ServeOptions, init};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const START_MS: i64 = 1_800_000_000_000;
pub(crate) const LEASE: Duration = Duration::from_secs(90);
pub(crate) const ACCEPT: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{:#}", self.body);
        self.body
    }

    /// An error with its code.
    #[track_caller]
    pub(crate) fn expect_code(self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{:#}", self.body);
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    pub(crate) address: SocketAddr,
}

impl Http {
    pub(crate) async fn raw(&self, request: Request<Full<Bytes>>) -> Answer {
        let response = self.client.request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("not JSON: {bytes:?}"));
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) fn request(&self, method: &str, path: &str, token: &str, body: Vec<u8>) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(format!("http://{}{path}", self.address))
            .header("content-type", "application/json");
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.body(Full::new(Bytes::from(body))).unwrap()
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.raw(self.request("GET", path, token, Vec::new())).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.raw(self.request("POST", path, token, body.to_string().into_bytes())).await
    }

    pub(crate) async fn delete(&self, path: &str, token: &str) -> Answer {
        self.raw(self.request("DELETE", path, token, Vec::new())).await
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) http: Http,
    pub(crate) clock: ManualClock,
    pub(crate) tenant: InitOutput,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
    pub(crate) dir: Arc<TempDir>,
}

pub(crate) fn options(dir: &Path) -> ServeOptions {
    ServeOptions { lease: LEASE, accept_deadline: ACCEPT, ..ServeOptions::new(dir, ([127, 0, 0, 1], 0).into()) }
}

pub(crate) async fn tenant(dir: &Path, org: &str, project: &str) -> InitOutput {
    let repository = Some("https://example.com/acme/web.git".to_owned());
    init(InitOptions { data_dir: dir.to_owned(), org: org.into(), project: project.into(), repository }).await.unwrap()
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(LegacyAuth::Both).await
    }

    pub(crate) async fn start_with(legacy: LegacyAuth) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let tenant = tenant(dir.path(), "acme", "web").await;
        Self::serve(dir, tenant, ManualClock::new(START_MS), legacy).await
    }

    pub(crate) async fn serve(dir: Arc<TempDir>, tenant: InitOutput, clock: ManualClock, legacy: LegacyAuth) -> Self {
        let options = ServeOptions { legacy_session_auth: legacy, ..options(dir.path()) };
        let platform = Platform::bind_with_clock(options, Arc::new(clock.clone())).await.unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let http = Http { client, address: platform.local_addr() };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            platform.run(async { drop(stopped.await) }).await.unwrap();
        });
        Self { http, clock, tenant, stop: Some(stop), task: Some(task), dir }
    }

    /// Stops the server and waits for its end.
    pub(crate) async fn stop(&mut self) {
        drop(self.stop.take());
        self.task.take().unwrap().await.unwrap();
    }

    /// Stops it and starts another one on the same directory.
    pub(crate) async fn restart(mut self) -> Self {
        self.stop().await;
        Self::serve(Arc::clone(&self.dir), self.tenant.clone(), self.clock.clone(), LegacyAuth::Both).await
    }

    pub(crate) fn api_key(&self) -> &str {
        self.tenant.api_key.expose()
    }

    /// Registers a host of the newer lane.
    pub(crate) async fn worker(&self, machine: &str, capacity: i64) -> Worker {
        let body = json!({ "machineId": machine, "hostname": machine, "capacity": capacity, "runtime": "go" });
        let token = self.tenant.registration_token.expose();
        Worker::of(&self.http, &self.http.post("/api/workers/register", token, body).await.expect(201))
    }

    /// Creates a session and answers its id.
    pub(crate) async fn create(&self, body: Value) -> String {
        let session = self.http.post("/api/sessions", self.api_key(), body).await.expect(201);
        session["sessionId"].as_str().unwrap().to_owned()
    }

    /// Waits until so many requests are held.
    pub(crate) async fn until_held(&self, count: usize) {
        while self.http.get("/api/health", "").await.expect(200)["heldRequests"] != count {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn show(&self, id: &str) -> Value {
        self.http.get(&format!("/api/sessions/{id}"), self.api_key()).await.expect(200)
    }

    /// Waits until the session has the status; the server wakes the wait.
    pub(crate) async fn until_status(&self, id: &str, status: &str) -> Value {
        let mut session = self.show(id).await;
        for _ in 0..20 {
            if session["status"] == status {
                return session;
            }
            let path = format!("/api/sessions/{id}?wait=10&after={}", session["updatedAt"]);
            session = self.http.get(&path, self.api_key()).await.expect(200);
        }
        panic!("never {status}: {session:#}");
    }
}

/// A registered host.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) http: Http,
}

impl Worker {
    pub(crate) fn of(http: &Http, answer: &Value) -> Self {
        let text = |field: &str| answer[field].as_str().unwrap().to_owned();
        Self { id: text("workerId"), token: text("runtimeToken"), http: http.clone() }
    }

    pub(crate) async fn poll(&self, wait: u64) -> Vec<Value> {
        let query = if wait > 0 { format!("?wait={wait}") } else { String::new() };
        let answer = self.http.get(&format!("/api/workers/{}/poll{query}", self.id), &self.token).await.expect(200);
        let work = answer["work"].as_array().unwrap().clone();
        assert_eq!(answer["preClaimed"], !work.is_empty());
        assert_eq!(answer["claimedSessionIds"].as_array().unwrap().len(), work.len());
        work
    }

    /// Polls until it gets one session, and answers its id and attempt.
    pub(crate) async fn take(&self) -> (String, u64) {
        let work = self.poll(20).await;
        assert_eq!(work.len(), 1, "{work:?}");
        (work[0]["sessionId"].as_str().unwrap().to_owned(), work[0]["attempt"].as_u64().unwrap())
    }

    pub(crate) async fn status(&self, id: &str, status: &str, attempt: Option<u64>) -> Answer {
        let body = json!({ "workerId": self.id, "status": status, "attempt": attempt });
        self.http.post(&format!("/api/sessions/{id}/status"), &self.token, body).await
    }

    pub(crate) async fn session_call(&self, id: &str, call: &str, mut body: Value) -> Answer {
        body["workerId"] = json!(self.id);
        self.http.post(&format!("/api/sessions/{id}/{call}"), &self.token, body).await
    }

    pub(crate) async fn beat(&self, mut body: Value) -> Answer {
        if body["activeCount"].is_null() {
            body["activeCount"] = json!(0);
        }
        self.http.post(&format!("/api/workers/{}/heartbeat", self.id), &self.token, body).await
    }

    /// A refusal for reasons of the host.
    pub(crate) async fn cannot_take(&self, id: &str, attempt: u64) -> Answer {
        let body = json!({ "work": {}, "attempt": attempt, "reason": "disk full", "hostFault": true });
        self.session_call(id, "nack", body).await
    }

    pub(crate) async fn nack(&self, id: &str, attempt: u64) -> Answer {
        let work = json!({ "sessionId": id, "issueId": "i", "issueIdentifier": "I", "priority": 3, "queuedAt": 1 });
        self.session_call(id, "nack", json!({ "work": work, "attempt": attempt, "reason": "not allowed here" })).await
    }
}
