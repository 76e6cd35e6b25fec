//! The credential cell under two lanes, a control plane that changes its mind at any time, and callers that go away.

use super::*;
use proptest::prelude::*;
use rensei_platform_client::Operation;
use rensei_proto::ErrorBody;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// What happens to the control plane or to a lane.
#[derive(Debug, Clone, Copy)]
enum Event {
    ExpireToken,
    ForgetWorker,
    /// Refresh and registration answer with this status; 0 is normal.
    Refresh(u16),
    Register(u16),
    /// So do all other calls.
    Lanes(u16),
    /// The answer to the next identity call takes this long, in milliseconds.
    Latency(u64),
    /// The caller in this lane goes away in the middle of what it does.
    Abandon(usize),
    /// The registration token is replaced, and the host, should it wait to be let in, tries at once.
    ReplaceToken,
}

#[derive(Debug, Default)]
struct Plane {
    minted: u64,
    worker: Option<String>,
    token: String,
    refresh: u16,
    register: u16,
    lanes: u16,
    latency: u64,
    /// A registration is justified: a worker was unknown, or there is no way to refresh.
    licence: bool,
    /// When each was asked for, and whether somebody had an identity when it was answered.
    registrations: Vec<(Instant, bool)>,
    violations: Vec<&'static str>,
}

/// In-memory control plane.
#[derive(Debug, Default)]
struct World {
    plane: Mutex<Plane>,
    in_flight: AtomicUsize,
}

struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

fn refused(operation: Operation, status: u16) -> ClientError {
    ClientError::Status { operation, status, body: Box::new(ErrorBody::new("as scripted")), retry_after: None }
}

impl World {
    fn plane(&self) -> std::sync::MutexGuard<'_, Plane> {
        self.plane.lock().unwrap()
    }

    /// Counts an identity call and lets it take its time.
    async fn enter(&self) -> InFlight<'_> {
        let others = self.in_flight.fetch_add(1, SeqCst);
        let guard = InFlight(&self.in_flight);
        if others > 0 {
            self.plane().violations.push("two identity calls at once");
        }
        let latency = self.plane().latency;
        tokio::time::sleep(Duration::from_millis(latency)).await;
        guard
    }

    /// A call of a lane. Its answer is judged by what is true when it arrives there.
    async fn ask(&self, credentials: &Credentials) -> Result<(), ClientError> {
        tokio::time::sleep(Duration::from_millis(7)).await;
        let mut plane = self.plane();
        if plane.lanes != 0 {
            plane.licence |= plane.lanes == 404;
            return Err(refused(Operation::Heartbeat, plane.lanes));
        }
        if plane.worker.as_deref() != Some(&credentials.worker_id) {
            plane.licence = true;
            return Err(refused(Operation::Heartbeat, 404));
        }
        if plane.token == credentials.token.expose() { Ok(()) } else { Err(refused(Operation::Heartbeat, 401)) }
    }

    fn apply(&self, event: Event) {
        let mut plane = self.plane();
        match event {
            Event::ExpireToken => plane.token.clear(),
            Event::ForgetWorker => plane.worker = None,
            Event::Refresh(status) => plane.refresh = status,
            Event::Register(status) => plane.register = status,
            Event::Lanes(status) => plane.lanes = status,
            Event::Latency(latency) => plane.latency = latency,
            Event::Abandon(_) | Event::ReplaceToken => {}
        }
    }
}

impl Plane {
    fn mint(&mut self) -> RegisterResponse {
        self.minted += 1;
        self.token = format!("token-{}", self.minted);
        RegisterResponse {
            worker_id: self.worker.clone().unwrap_or_default(),
            runtime_token: Secret::from(self.token.as_str()),
            ..RegisterResponse::default()
        }
    }
}

impl IdentityService for Arc<World> {
    async fn register(&self, _: &Secret, _: &RegisterRequest) -> Result<RegisterResponse, ClientError> {
        {
            let mut plane = self.plane();
            let has_identity = plane.minted > 0;
            plane.registrations.push((Instant::now(), has_identity));
            if !plane.licence {
                plane.violations.push("registered without need");
            }
        }
        let _guard = self.enter().await;
        let mut plane = self.plane();
        if plane.register != 0 {
            return Err(refused(Operation::Register, plane.register));
        }
        plane.licence = false;
        plane.worker = Some(format!("wkr_{}", plane.minted + 1));
        if let Some((_asked, has_identity)) = plane.registrations.last_mut() {
            *has_identity = true;
        }
        Ok(plane.mint())
    }

    async fn refresh_token(&self, _: &Secret, worker_id: &str) -> Result<RegisterResponse, ClientError> {
        let _guard = self.enter().await;
        let mut plane = self.plane();
        let known = plane.worker.as_deref() == Some(worker_id);
        let status = if plane.refresh == 0 && !known { 404 } else { plane.refresh };
        if status != 0 {
            plane.licence |= matches!(status, 404 | 405);
            return Err(refused(Operation::RefreshToken, status));
        }
        Ok(plane.mint())
    }
}

/// A lane: calls, and calls again after a pause; starts anew when its caller goes away.
async fn lane(link: Arc<Link<Arc<World>>>, abandon: Arc<tokio::sync::Notify>, successes: Arc<AtomicUsize>) {
    let mut delays = backoff();
    loop {
        let outcome = tokio::select! {
            outcome = link.call(|credentials| {
                let world = Arc::clone(&link.client);
                async move { world.ask(&credentials).await }
            }) => outcome,
            // Dropping the call is the point.
            () = abandon.notified() => continue,
        };
        let pause = match outcome {
            Ok(()) => {
                successes.fetch_add(1, SeqCst);
                delays = backoff();
                Duration::from_millis(900)
            }
            Err(error) => patience(&error).or_else(|| delays.next()).unwrap_or(MAX_DELAY),
        };
        tokio::time::sleep(pause).await;
    }
}

fn linked(world: &Arc<World>) -> Arc<Link<Arc<World>>> {
    Arc::new(Link::new(LinkParts {
        client: Arc::clone(world),
        // A place where nothing can be written: the file has tests of its own.
        cache: CredentialCache::new("/dev/null/daemon.jwt".into(), "http://h"),
        clock: Arc::new(crate::clock::SystemClock),
        url: "http://h".to_owned(),
        registration_token: Secret::from("rsp_live_x"),
        profile: Profile::default(),
        changes: watch::Sender::new(()),
    }))
}

async fn play(events: Vec<(u64, Event)>) -> Result<(), TestCaseError> {
    let world = Arc::new(World::default());
    world.plane().licence = true;
    let link = linked(&world);
    let abandons: [_; 2] = std::array::from_fn(|_| Arc::new(tokio::sync::Notify::new()));
    let successes: [_; 2] = std::array::from_fn(|_| Arc::new(AtomicUsize::new(0)));
    let mut lanes = tokio::task::JoinSet::new();
    for (abandon, successes) in abandons.iter().zip(&successes) {
        lanes.spawn(lane(Arc::clone(&link), Arc::clone(abandon), Arc::clone(successes)));
    }
    let connecting = Arc::clone(&link);
    lanes.spawn(async move { connecting.connect().await });
    for (nth, (delay, event)) in events.into_iter().enumerate() {
        tokio::time::sleep(Duration::from_millis(delay)).await;
        world.apply(event);
        match event {
            Event::Abandon(nth) => abandons[nth].notify_waiters(),
            Event::ReplaceToken => link.replace_registration_token(Secret::from(format!("rsp_live_{nth}").as_str())),
            _ => {}
        }
    }
    for healthy in [Event::Refresh(0), Event::Register(0), Event::Lanes(0), Event::Latency(5)] {
        world.apply(healthy);
    }
    let before: Vec<_> = successes.iter().map(|count| count.load(SeqCst)).collect();
    // Longest pause of our own, plus a minute between registrations for each of the two, plus change.
    tokio::time::sleep(Duration::from_secs(300)).await;
    for (count, before) in successes.iter().zip(before) {
        prop_assert!(count.load(SeqCst) > before, "a lane that never came back: {:?}", world.plane());
    }
    let current = link.cell.current().unwrap();
    let plane = world.plane();
    prop_assert_eq!(plane.worker.as_deref(), Some(current.worker_id.as_str()), "a dead identity is kept");
    prop_assert_eq!(plane.token.as_str(), current.token.expose());
    prop_assert!(plane.violations.is_empty(), "{:?}", plane.violations);
    // Before the first identity it is tried again and again.
    for pair in plane.registrations.windows(2) {
        let ((earlier, has_identity), (later, _)) = (pair[0], pair[1]);
        prop_assert!(!has_identity || later - earlier >= REGISTER_SPACING, "again within {:?}", later - earlier);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_registration_is_finished_also_when_its_caller_goes_away() {
    let world = Arc::new(World::default());
    world.plane().licence = true;
    let link = linked(&world);
    link.connect().await;
    let old = link.cell.available().await;
    tokio::time::sleep(REGISTER_SPACING).await;
    world.apply(Event::ForgetWorker);
    world.apply(Event::Latency(5_000));
    world.plane().licence = true;
    let begun = Instant::now();
    let (recovering, rejected) = (Arc::clone(&link), Arc::clone(&old));
    let recover = async move { recovering.recover(&rejected, AuthFailure::WorkerNotFound).await };
    assert!(tokio::time::timeout(Duration::from_secs(1), recover).await.is_err(), "its caller goes away");
    // The next one gets what was asked for, long before it might ask itself.
    let new = link.recover(&old, AuthFailure::WorkerNotFound).await.unwrap();
    assert_eq!((new.generation, begun.elapsed()), (2, Duration::from_secs(5)));
}

fn event() -> impl Strategy<Value = Event> {
    let refresh = prop::sample::select(vec![0, 0, 400, 401, 403, 404, 405, 429, 500, 503]);
    let register = prop::sample::select(vec![0, 0, 400, 401, 404, 429, 500, 503]);
    let lanes = prop::sample::select(vec![0, 0, 0, 401, 403, 404, 429, 500, 503]);
    prop_oneof![
        3 => Just(Event::ExpireToken),
        3 => Just(Event::ForgetWorker),
        2 => refresh.prop_map(Event::Refresh),
        2 => register.prop_map(Event::Register),
        2 => lanes.prop_map(Event::Lanes),
        1 => (0..20_000_u64).prop_map(Event::Latency),
        2 => (0..2_usize).prop_map(Event::Abandon),
        1 => Just(Event::ReplaceToken),
    ]
}

/// Delays of very different sizes, so that events fall into calls, between calls and between minutes.
fn delay() -> impl Strategy<Value = u64> {
    prop_oneof![0..10_u64, 10..2_000_u64, 2_000..90_000_u64]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(7734), ..ProptestConfig::with_cases(192) })]

    #[test]
    fn single_flight_spaced_and_alive(events in prop::collection::vec((delay(), event()), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(events))?;
    }
}
