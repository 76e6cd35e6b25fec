//! A scripted control plane on a real socket.

mod http;
mod state;
mod traffic;

pub use traffic::{Recorded, WorkItem};

use crate::fault::{Answer, Call, Fault};
use serde_json::Value;
use state::State;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Far more than any step takes; reached only when something hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Occurs in every token that a [`FakePlatform`] mints or accepts, and nowhere else.
pub const TOKEN_MARK: &str = "s3cr3t-mark";
/// The registration token that a [`FakePlatform`] accepts.
pub const REGISTRATION_TOKEN: &str = "rsp_live_s3cr3t-mark-registration";

/// A control plane that does what its script says and is decent otherwise. Stops when dropped.
#[derive(Debug)]
pub struct FakePlatform {
    url: String,
    inner: Arc<Platform>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for FakePlatform {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What connections share.
#[derive(Debug)]
struct Platform {
    state: Mutex<State>,
    script: Mutex<Script>,
    log: Mutex<Vec<Recorded>>,
    /// Counts requests and changes of the state, for those who wait.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Script {
    next: HashMap<Call, VecDeque<Fault>>,
    standing: HashMap<Call, Fault>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Platform {
    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn record(&self, call: Option<Call>, request: &http::Request) {
        lock(&self.log).push(Recorded {
            call,
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            bearer: request.bearer.clone(),
            body: request.body.clone(),
            at: Instant::now(),
        });
        self.changed();
    }

    fn next_fault(&self, call: Call) -> Option<Fault> {
        let mut script = lock(&self.script);
        let queued = script.next.get_mut(&call).and_then(VecDeque::pop_front);
        queued.or_else(|| script.standing.get(&call).cloned())
    }

    /// Normal behaviour. Only a poll that may wait does wait.
    async fn answer(&self, call: Option<(Call, String)>, request: &http::Request) -> Answer {
        let Some((call, id)) = call else { return Answer::json(404, r#"{"error":"no such route"}"#) };
        let mut changes = self.changes.subscribe();
        let wait = request.query.strip_prefix("wait=").and_then(|seconds| seconds.parse().ok());
        let deadline = Instant::now() + Duration::from_secs(wait.unwrap_or(0));
        loop {
            changes.borrow_and_update();
            let answer = lock(&self.state).answer(call, &id, request);
            match answer {
                Some(answer) => {
                    self.changed();
                    return answer;
                }
                // Either there is news, or the time is up; both are found out by looking again.
                None if Instant::now() < deadline => {
                    let _elapsed = tokio::time::timeout_at(deadline, changes.changed()).await;
                }
                None => return Answer::json(200, r#"{"work":[],"preClaimed":true}"#),
            }
        }
    }
}

impl FakePlatform {
    /// Listens on a free port of the loopback address.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Platform {
            state: Mutex::default(),
            script: Mutex::default(),
            log: Mutex::default(),
            changes: watch::Sender::new(0),
        });
        let shared = Arc::clone(&inner);
        let server = tokio::spawn(async move {
            // Connections end with the server.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                match listener.accept().await {
                    Ok((stream, _peer)) => drop(connections.spawn(http::serve(Arc::clone(&shared), stream))),
                    // No descriptors: tests of hosts in this process take them away.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
                while connections.try_join_next().is_some() {}
            }
        });
        Self { url, inner, server }
    }

    /// Base URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    fn state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let outcome = change(&mut lock(&self.inner.state));
        self.inner.changed();
        outcome
    }

    /// Replaces the next answer to `call`; more than one are taken in order.
    pub fn fault(&self, call: Call, fault: impl Into<Fault>) {
        lock(&self.inner.script).next.entry(call).or_default().push_back(fault.into());
    }

    /// Replaces every answer to `call` that has no fault of its own, until [`FakePlatform::heal`].
    pub fn always(&self, call: Call, fault: impl Into<Fault>) {
        lock(&self.inner.script).standing.insert(call, fault.into());
    }

    /// Replaces every answer to any call, until [`FakePlatform::heal`].
    pub fn always_everywhere(&self, fault: impl Into<Fault>) {
        let fault = fault.into();
        Call::ALL.into_iter().for_each(|call| self.always(call, fault.clone()));
    }

    /// Forgets all faults that have not happened yet.
    pub fn heal(&self) {
        *lock(&self.inner.script) = Script::default();
    }

    /// Cadence that registrations are answered with, in milliseconds. Default: heartbeat 50, poll 20.
    pub fn cadence(&self, heartbeat_ms: u64, poll_ms: u64) {
        self.state(|state| state.cadence = (heartbeat_ms, poll_ms));
    }

    /// Takes this registration token instead of [`REGISTRATION_TOKEN`], and mints identities that carry `name`, so that
    /// those of two control planes can be told apart.
    pub fn identify(&self, registration_token: &str, name: &str) {
        self.state(|state| {
            registration_token.clone_into(&mut state.registration_token);
            state.prefix = format!("{name}-");
        });
    }

    /// Items that one poll is answered with at most. Default: 5.
    pub fn batch(&self, items: usize) {
        self.state(|state| state.batch = items);
    }

    /// Whether what is refused is handed out again. Default: no.
    pub fn requeue_refused(&self, requeue: bool) {
        self.state(|state| state.requeue = requeue);
    }

    /// Whether registrations announce long polls. Default: yes.
    pub fn long_poll(&self, announced: bool) {
        self.state(|state| state.long_poll = announced);
    }

    /// Whether polls answer with work that is claimed already. Default: yes.
    pub fn pre_claimed(&self, pre_claimed: bool) {
        self.state(|state| state.pre_claimed = pre_claimed);
    }

    /// Whether a host that says that it has just started gets again what its predecessor had and it does not list.
    /// Default: no.
    pub fn redispatch(&self, redispatch: bool) {
        self.state(|state| state.redispatch = redispatch);
    }

    /// Claims of this session are answered with `claimed: false`.
    pub fn refuse_claim(&self, session_id: &str) {
        self.state(|state| state.refused_claims.insert(session_id.to_owned()));
    }

    /// Reports of this session under another attempt are answered with 409 `lease_lost` from now on.
    pub fn current_attempt(&self, session_id: &str, attempt: u64) {
        self.state(|state| state.attempts.insert(session_id.to_owned(), attempt));
    }

    /// Runtime tokens are rejected from now on, with the phrase that says why.
    pub fn expire_tokens(&self) {
        self.state(|state| state.tokens.clear());
    }

    /// Workers are unknown from now on.
    pub fn forget_workers(&self) {
        self.state(|state| {
            state.workers.clear();
            state.tokens.clear();
        });
    }

    /// Adds an item of work.
    pub fn enqueue(&self, item: &WorkItem) {
        self.enqueue_raw(item.raw());
    }

    /// Adds an item of work that need not be one, nor JSON.
    pub fn enqueue_raw(&self, raw: impl Into<Vec<u8>>) {
        self.state(|state| state.queue.push_back(raw.into()));
    }

    /// Adds items that are answered to one poll.
    pub fn enqueue_batch<'a>(&self, raws: impl IntoIterator<Item = &'a str>) {
        self.state(|state| state.queue.extend(raws.into_iter().map(|raw| raw.as_bytes().to_vec())));
    }

    /// Items that no poll has fetched yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        lock(&self.inner.state).queue.len()
    }

    /// Offers a mutation with every heartbeat until one acknowledges it.
    pub fn offer_mutation(&self, mutation: Value) {
        self.state(|state| state.mutations.push(mutation));
    }

    /// Mutations that were not acknowledged yet.
    #[must_use]
    pub fn open_mutations(&self) -> usize {
        lock(&self.inner.state).mutations.len()
    }

    /// Sets `hostStatus` of heartbeat answers.
    pub fn host_status(&self, status: Option<&str>) {
        self.state(|state| state.host_status = status.map(str::to_owned));
    }

    /// Everything that was asked, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.inner.log).clone()
    }

    /// Everything that was asked of one call, in order.
    #[must_use]
    pub fn requests_to(&self, call: Call) -> Vec<Recorded> {
        lock(&self.inner.log).iter().filter(|request| request.call == Some(call)).cloned().collect()
    }

    /// How often a call was asked.
    #[must_use]
    pub fn count(&self, call: Call) -> usize {
        lock(&self.inner.log).iter().filter(|request| request.call == Some(call)).count()
    }

    /// Accepted terminal status reports, by session, in the order of their arrival.
    #[must_use]
    pub fn ends(&self) -> BTreeMap<String, Vec<Value>> {
        lock(&self.inner.state).ends.clone()
    }

    /// Waits until `look` sees something. It looks after every request and every change of the script's state.
    ///
    /// # Panics
    /// After [`crate::PATIENCE`], with what was asked last.
    pub async fn until<T>(&self, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let mut changes = self.inner.changes.subscribe();
        let seen = tokio::time::timeout(PATIENCE, async {
            loop {
                changes.borrow_and_update();
                if let Some(seen) = look(self) {
                    return seen;
                }
                changes.changed().await.unwrap();
            }
        });
        match seen.await {
            Ok(seen) => seen,
            Err(_elapsed) => panic!("waited in vain; last requests: {}", self.last_requests()),
        }
    }

    fn last_requests(&self) -> String {
        let requests = self.requests();
        let last = requests.iter().rev().take(12).rev();
        let show = |request: &Recorded| {
            let body = String::from_utf8_lossy(&request.body);
            format!("\n  {} {} {}", request.method, request.path, body.chars().take(200).collect::<String>())
        };
        last.map(show).collect()
    }

    /// Waits until `call` was asked at least `count` times in all.
    pub async fn until_count(&self, call: Call, count: usize) {
        self.until(|platform| (platform.count(call) >= count).then_some(())).await;
    }

    /// Waits until `call` was asked `more` times from now.
    pub async fn until_more(&self, call: Call, more: usize) {
        self.until_count(call, self.count(call) + more).await;
    }

    /// Waits for the accepted terminal status of a session; the answer is its body.
    pub async fn ended(&self, session_id: &str) -> Value {
        self.until(|platform| platform.ends().get(session_id).and_then(|ends| ends.first().cloned())).await
    }

    /// Waits for any report of this status for a session, accepted or not.
    pub async fn reported(&self, session_id: &str, status: &str) -> Value {
        self.until(|platform| {
            let reports = platform.requests_to(Call::Status).into_iter();
            reports.filter(|r| r.id() == session_id).map(|r| r.json()).find(|body| body["status"] == status)
        })
        .await
    }

    /// Waits until a session was given back; the answer is the request.
    pub async fn nacked(&self, session_id: &str) -> Recorded {
        self.until(|platform| platform.requests_to(Call::Nack).into_iter().find(|r| r.id() == session_id)).await
    }
}
