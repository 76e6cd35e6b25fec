//! The host's link to its control plane: who it is there, and how it gets back when it is rejected.
//!
//! | rejection | first try | then |
//! |---|---|---|
//! | 401 | refresh the token under the same worker id | on 404/405: register |
//! | 404 | – | register |
//!
//! Any other failure of the refresh keeps the identity: an outage must not cost it. Whoever has an identity waits for a
//! minute after the last full registration before the next; a host without one is not known to anybody, and tries again
//! with backoff. All of it is single-flight: a lane whose rejected pair is no longer current adopts the current one.
//!
//! That holds for a worker's own routes, heartbeat and poll. The routes of sessions may want another key than a worker's
//! token: a 401 there gets a token refreshed once, and never costs an identity.

mod flight;
mod health;
#[cfg(test)]
mod interleavings;
mod profile;
mod retry;

pub(crate) use profile::Profile;
pub(crate) use retry::{MAX_DELAY, backoff, patience};

use crate::clock::Clock;
use crate::credentials::{CredentialCache, CredentialCell, Credentials, Life};
use flight::{Asked, Identity, to_the_end};
use health::Health;
use rensei_platform_client::{AuthFailure, ClientError, PlatformClient};
use rensei_proto::platform::{RegisterRequest, RegisterResponse};
use rensei_proto::{Secret, error_chain};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Shortest time between a full registration and that of a host which has an identity.
const REGISTER_SPACING: Duration = Duration::from_secs(60);

/// Where identities come from.
pub(crate) trait IdentityService {
    /// A new worker.
    fn register(
        &self,
        token: &Secret,
        request: &RegisterRequest,
    ) -> impl Future<Output = Result<RegisterResponse, ClientError>> + Send;

    /// A new token for a worker.
    fn refresh_token(
        &self,
        token: &Secret,
        worker_id: &str,
    ) -> impl Future<Output = Result<RegisterResponse, ClientError>> + Send;
}

impl IdentityService for PlatformClient {
    async fn register(&self, token: &Secret, request: &RegisterRequest) -> Result<RegisterResponse, ClientError> {
        self.register(token, request).await
    }

    async fn refresh_token(&self, token: &Secret, worker_id: &str) -> Result<RegisterResponse, ClientError> {
        self.refresh_token(token, worker_id).await
    }
}

/// Client, identity and health of the connection.
#[derive(Debug)]
pub(crate) struct Link<S = PlatformClient> {
    pub(crate) client: S,
    pub(crate) cell: CredentialCell,
    pub(crate) url: String,
    registration_token: Mutex<Secret>,
    /// Another try is worth it, whatever the last one said.
    try_again: Notify,
    clock: Arc<dyn Clock>,
    profile: Profile,
    pub(crate) cache: Arc<CredentialCache>,
    /// Serialises recovery.
    recovery: Arc<tokio::sync::Mutex<Asked>>,
    health: Mutex<Health>,
    /// Wakes whoever watches how registrations stand.
    changes: watch::Sender<()>,
}

/// What a link is made of.
#[derive(Debug)]
pub(crate) struct LinkParts<S = PlatformClient> {
    pub(crate) client: S,
    pub(crate) url: String,
    pub(crate) registration_token: Secret,
    pub(crate) profile: Profile,
    pub(crate) cache: CredentialCache,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) changes: watch::Sender<()>,
}

impl<S: IdentityService + Send + Sync + 'static> Link<S> {
    pub(crate) fn new(parts: LinkParts<S>) -> Self {
        Self {
            client: parts.client,
            cell: CredentialCell::new(),
            url: parts.url,
            registration_token: Mutex::new(parts.registration_token),
            try_again: Notify::new(),
            clock: parts.clock,
            profile: parts.profile,
            cache: Arc::new(parts.cache),
            recovery: Arc::default(),
            health: Mutex::default(),
            changes: parts.changes,
        }
    }

    /// Takes up the cached identity. False when there is none.
    pub(crate) fn resume(&self) -> bool {
        let Some(cached) = self.cache.load() else { return false };
        tracing::info!(event = "identity-cached", worker_id = cached.worker_id, "using cached identity");
        self.cell.publish(&cached, &self.life(&cached));
        true
    }

    /// Gets the first identity: the cached one, else by registering again and again.
    pub(crate) async fn connect(&self) {
        if self.cell.current().is_some() || self.resume() {
            return;
        }
        let mut delays = backoff();
        loop {
            // A first identity that is rejected at once does not lead to another registration at once.
            self.recovery.lock().await.registered = Some(Instant::now());
            match self.register().await {
                Ok(_credentials) => return,
                Err(error) => {
                    let delay = patience(&error).or_else(|| delays.next()).unwrap_or(REGISTER_SPACING);
                    tracing::warn!(error = error_chain(&error), retry_in_ms = millis(delay), "registration failed");
                    self.note_failure(&error);
                    // Both only wait.
                    tokio::select! {
                        () = tokio::time::sleep(delay) => {}
                        () = self.try_again.notified() => delays = backoff(),
                    }
                }
            }
        }
    }

    async fn register(&self) -> Identity {
        let request = self.profile.request();
        let asked = self.client.register(&self.registration_token(), &request).await;
        let answer = asked.inspect_err(|error| self.note_asked(error))?;
        Ok(self.adopt(answer, "reregister").await)
    }

    /// A new worker is on disk before anything is claimed in its name, so that whoever comes after a crash is the same one.
    /// For a new token of a known one nobody waits for the disk: the next start can get another.
    async fn adopt(&self, answer: RegisterResponse, how: &str) -> Arc<Credentials> {
        let is_known = self.cell.current().is_some_and(|current| current.worker_id == answer.worker_id);
        let (cache, generation, cached) = (Arc::clone(&self.cache), self.cell.next_generation(), answer.clone());
        let stored = tokio::task::spawn_blocking(move || cache.store(&cached, generation));
        if !is_known {
            let _panicked = stored.await;
        }
        {
            let mut health = self.health();
            health.refused = None;
            health.last_error = None;
        }
        tracing::info!(event = "runtime-token", how, worker_id = answer.worker_id, "[runtime-token] {how}");
        let credentials = self.cell.publish(&answer, &self.life(&answer));
        self.changes.send_replace(());
        credentials
    }

    /// Replaces a rejected identity. `rejected` is the one the caller used; when it is no longer current, the current
    /// one is returned without a call.
    pub(crate) async fn recover(self: &Arc<Self>, rejected: &Arc<Credentials>, reason: AuthFailure) -> Identity {
        let mut flight = Arc::clone(&self.recovery).lock_owned().await;
        if let Some(current) = self.cell.current()
            && current.generation != rejected.generation
        {
            return Ok(current);
        }
        tracing::warn!(event = "runtime-token", ?reason, worker_id = rejected.worker_id, "[runtime-token] rejected");
        if reason != AuthFailure::WorkerNotFound {
            let (link, rejected) = (Arc::clone(self), Arc::clone(rejected));
            let (returned, outcome) = to_the_end(flight, async move { link.refresh(&rejected).await }).await;
            match outcome {
                Err(error) if matches!(error.status(), Some(404 | 405)) => flight = returned,
                outcome => return outcome,
            }
        }
        if let Some(at) = flight.registered {
            tokio::time::sleep_until(at + REGISTER_SPACING).await;
        }
        // Also when it fails: a platform that is in trouble gets no more than one a minute from us.
        flight.registered = Some(Instant::now());
        let link = Arc::clone(self);
        to_the_end(flight, async move { link.register().await }).await.1
    }

    /// Replaces a pair that the route of a session rejected, if there is or can be a better one. At most one refresh is
    /// made for that until somebody else gets another token.
    async fn renew(self: &Arc<Self>, rejected: &Arc<Credentials>) -> Result<Option<Arc<Credentials>>, ClientError> {
        let flight = Arc::clone(&self.recovery).lock_owned().await;
        if let Some(current) = self.cell.current()
            && current.generation != rejected.generation
        {
            return Ok(Some(current));
        }
        if flight.settled == Some(rejected.generation) {
            return Ok(None);
        }
        let (link, current) = (Arc::clone(self), Arc::clone(rejected));
        let (mut flight, outcome) = to_the_end(flight, async move { link.refresh(&current).await }).await;
        match outcome {
            Ok(renewed) => {
                flight.settled = Some(renewed.generation);
                Ok(Some(renewed))
            }
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => {
                tracing::warn!(event = "runtime-token", error = error_chain(&error), "[runtime-token] not refreshed");
                flight.settled = Some(rejected.generation);
                Ok(None)
            }
        }
    }

    /// Replaces the token ahead of its expiry.
    pub(crate) async fn refresh_ahead(self: &Arc<Self>, current: &Arc<Credentials>) -> Result<(), ClientError> {
        let flight = Arc::clone(&self.recovery).lock_owned().await;
        if self.cell.current().is_some_and(|now| now.generation != current.generation) {
            return Ok(());
        }
        let (link, current) = (Arc::clone(self), Arc::clone(current));
        let (_flight, outcome) = to_the_end(flight, async move { link.refresh(&current).await }).await;
        outcome.map(|_credentials| ())
    }

    async fn refresh(&self, current: &Credentials) -> Identity {
        let asked = self.client.refresh_token(&self.registration_token(), &current.worker_id).await;
        let mut answer = asked.inspect_err(|error| self.note_asked(error))?;
        answer.worker_id.clone_from(&current.worker_id);
        if answer.heartbeat_interval == 0 {
            answer.heartbeat_interval = millis(current.heartbeat_interval);
        }
        if answer.poll_interval == 0 {
            answer.poll_interval = millis(current.poll_interval);
        }
        if answer.extensions.is_empty() && current.long_poll {
            answer.extensions.push(rensei_proto::platform::EXTENSION_LONG_POLL.to_owned());
        }
        Ok(self.adopt(answer, "refresh").await)
    }

    /// Performs a call with the current identity, and once more with a better one when it was rejected.
    pub(crate) async fn call<T, F>(
        self: &Arc<Self>,
        mut call: impl FnMut(Arc<Credentials>) -> F,
    ) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let credentials = self.cell.available().await;
        let error = match call(Arc::clone(&credentials)).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match error.auth_failure() {
            // A 403 means "known, but not allowed": another token would be refused as well.
            Some(AuthFailure::AuthFailure) | None => Err(error),
            Some(_) if !error.is_of_worker_route() => match self.renew(&credentials).await? {
                Some(renewed) => call(renewed).await,
                None => Err(error),
            },
            Some(reason) => {
                self.note_failure(&error);
                let recovered = self.recover(&credentials, reason).await?;
                call(recovered).await
            }
        }
    }

    pub(crate) fn registration_token(&self) -> Secret {
        self.registration_token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Registers and refreshes with this token from now on. A host that waits to be let in tries at once.
    pub(crate) fn replace_registration_token(&self, token: Secret) {
        if self.registration_token() == token {
            return;
        }
        tracing::info!(event = "runtime-token", "[runtime-token] registration token replaced");
        *self.registration_token.lock().unwrap_or_else(PoisonError::into_inner) = token;
        self.retry_now();
    }

    /// Cuts short the wait for the next registration, if there is one.
    pub(crate) fn retry_now(&self) {
        self.try_again.notify_one();
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::try_from(self.clock.wall()).unwrap_or_default()
    }

    fn life(&self, answer: &RegisterResponse) -> Life {
        Life { since_boot: self.clock.since_boot(), left: remaining_life(answer, self.now()) }
    }
}

/// What is left of a token by this machine's clock. `None` when unknown, or when the clocks plainly disagree: then the
/// assumed life applies and a rejection repairs the rest.
fn remaining_life(answer: &RegisterResponse, now: jiff::Timestamp) -> Option<Duration> {
    let expires: jiff::Timestamp = answer.runtime_token_expires_at.as_deref()?.parse().ok()?;
    let seconds = expires.as_second() - now.as_second();
    u64::try_from(seconds).ok().filter(|left| *left > 0).map(Duration::from_secs)
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use axum::extract::State;
    use axum::http::StatusCode;
    use axum::routing::post;
    use axum::{Json, Router};
    use serde_json::{Value, json};
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    /// A control plane that answers refresh as told and counts calls.
    #[derive(Debug, Default)]
    struct Script {
        refresh_status: u16,
        registrations: AtomicUsize,
        refreshes: AtomicUsize,
    }

    async fn register(State(script): State<Arc<Script>>) -> Json<Value> {
        let nth = script.registrations.fetch_add(1, SeqCst) + 1;
        Json(json!({"workerId": format!("wkr_{nth}"), "runtimeToken": format!("token-{nth}")}))
    }

    async fn refresh(State(script): State<Arc<Script>>) -> (StatusCode, Json<Value>) {
        let nth = script.refreshes.fetch_add(1, SeqCst) + 1;
        let status = StatusCode::from_u16(script.refresh_status).unwrap();
        (status, Json(json!({"runtimeToken": format!("fresh-{nth}"), "error": "as scripted"})))
    }

    struct Bench {
        link: Arc<Link>,
        script: Arc<Script>,
        dir: tempfile::TempDir,
    }

    async fn bench(refresh_status: u16) -> Bench {
        let script = Arc::new(Script { refresh_status, ..Script::default() });
        let router = Router::new()
            .route("/api/workers/register", post(register))
            .route("/api/workers/{id}/refresh-token", post(refresh))
            .with_state(Arc::clone(&script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let dir = tempfile::tempdir().unwrap();
        let link = Link::new(LinkParts {
            client: PlatformClient::new(&url).unwrap(),
            cache: CredentialCache::new(dir.path().join("daemon.jwt"), &url),
            clock: Arc::new(SystemClock),
            url,
            registration_token: Secret::from("rsp_live_x"),
            profile: Profile::default(),
            changes: watch::Sender::new(()),
        });
        link.connect().await;
        let bench = Bench { link: Arc::new(link), script, dir };
        Bench { link: Arc::new(bench.restarted().await), ..bench }
    }

    /// Waits until the identity with this token is on disk.
    async fn cached(dir: &tempfile::TempDir, token: &str) {
        let path = dir.path().join("daemon.jwt");
        while !std::fs::read_to_string(&path).unwrap_or_default().contains(token) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn a_refreshed_token_is_in_use_before_it_is_on_disk() {
        let bench = bench(200).await;
        let old = bench.link.cell.available().await;
        let (cache, (disk, stalled), (end, ended)) =
            (Arc::clone(&bench.link.cache), std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
        let stall = std::thread::spawn(move || {
            let _nothing_is_written = cache.stalled();
            disk.send(()).unwrap();
            ended.recv().unwrap_err();
        });
        stalled.recv().unwrap();
        let new = bench.link.recover(&old, AuthFailure::RuntimeTokenExpired).await.unwrap();
        assert_eq!(bench.link.cell.available().await.token.expose(), new.token.expose());
        drop(end);
        stall.join().unwrap();
        cached(&bench.dir, "fresh-1").await;
    }

    impl Bench {
        /// The same host in its next life, which has registered in none but the first.
        async fn restarted(&self) -> Link {
            let link = Link::new(LinkParts {
                client: PlatformClient::new(&self.link.url).unwrap(),
                cache: CredentialCache::new(self.dir.path().join("daemon.jwt"), &self.link.url),
                clock: Arc::new(SystemClock),
                url: self.link.url.clone(),
                registration_token: Secret::from("rsp_live_x"),
                profile: Profile::default(),
                changes: watch::Sender::new(()),
            });
            link.connect().await;
            link
        }

        fn counts(&self) -> (usize, usize) {
            (self.script.registrations.load(SeqCst), self.script.refreshes.load(SeqCst))
        }
    }

    #[tokio::test]
    async fn expired_token_is_refreshed_under_the_same_worker_id_and_cached() {
        let bench = bench(200).await;
        let old = bench.link.cell.available().await;
        let new = bench.link.recover(&old, AuthFailure::RuntimeTokenExpired).await.unwrap();
        assert_eq!((new.worker_id.as_str(), new.token.expose()), ("wkr_1", "fresh-1"));
        assert_eq!(bench.counts(), (1, 1));
        cached(&bench.dir, "fresh-1").await;
    }

    #[tokio::test]
    async fn missing_refresh_endpoint_leads_to_one_registration() {
        for status in [404, 405] {
            let bench = bench(status).await;
            let old = bench.link.cell.available().await;
            let new = bench.link.recover(&old, AuthFailure::Unauthorized).await.unwrap();
            assert_eq!(new.worker_id, "wkr_2");
            assert_eq!(bench.counts(), (2, 1));
        }
    }

    #[tokio::test]
    async fn any_other_refresh_failure_keeps_the_identity() {
        for status in [401, 403, 429, 500, 503] {
            let bench = bench(status).await;
            let old = bench.link.cell.available().await;
            let error = bench.link.recover(&old, AuthFailure::Unauthorized).await.unwrap_err();
            assert_eq!(error.status(), Some(status));
            assert_eq!(bench.link.cell.available().await.worker_id, "wkr_1");
            assert_eq!(bench.counts(), (1, 1));
        }
    }

    #[tokio::test]
    async fn unknown_worker_registers_without_a_probe() {
        let bench = bench(200).await;
        let old = bench.link.cell.available().await;
        let new = bench.link.recover(&old, AuthFailure::WorkerNotFound).await.unwrap();
        assert_eq!(new.worker_id, "wkr_2");
        assert_eq!(bench.counts(), (2, 0));
    }

    #[tokio::test]
    async fn lanes_that_are_rejected_together_recover_once() {
        let bench = bench(200).await;
        let old = bench.link.cell.available().await;
        let lanes: Vec<_> = (0..8)
            .map(|_| {
                let (link, old) = (Arc::clone(&bench.link), Arc::clone(&old));
                tokio::spawn(async move { link.recover(&old, AuthFailure::Unauthorized).await.unwrap().generation })
            })
            .collect();
        for lane in lanes {
            assert_eq!(lane.await.unwrap(), 2);
        }
        assert_eq!(bench.counts(), (1, 1));
    }

    #[tokio::test]
    async fn a_restart_is_the_same_worker() {
        let bench = bench(200).await;
        let again = bench.restarted().await;
        assert_eq!(again.cell.available().await.worker_id, "wkr_1");
        assert_eq!(bench.counts(), (1, 0));
    }
}
