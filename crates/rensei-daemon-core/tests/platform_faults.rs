//! A whole host before a control plane that fails: every call, every status, every broken answer.
//!
//! What must hold is the same for all: nothing panics, no token is logged, the identity survives what does not say that
//! it is gone, and as soon as the control plane behaves again, work runs and its end is heard exactly once.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_proto::control::{RegistrationState, SessionState};
use rensei_testkit::{
    Answer, Call, Capture, FakePlatform, Fault, REGISTRATION_TOKEN, Recorded, TempHost, TempState, WorkItem,
};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Hosts that are tried at a time.
const PARALLEL: usize = 24;
/// All refusals of the wire description, and those that proxies add.
const REFUSALS: [u16; 22] =
    [301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 408, 409, 410, 413, 422, 429, 500, 501, 502, 503, 504, 505];
const SUCCESSES: [u16; 3] = [200, 201, 204];

/// Bodies of refusals: what a control plane says, what proxies say, and what nobody should.
fn bodies() -> Vec<Answer> {
    let deep = "[".repeat(10_000);
    let garbage = [
        r#"{"error":"as scripted","message":"of {bearer}"}"#.as_bytes(),
        b"",
        b"\xff\xfe\x00{\"error\":",
        br#"{"error":["Runtime"],"code":7,"workerId":{},"work":"x","claimed":1}"#,
        br#""{bearer}""#,
        deep.as_bytes(),
    ];
    let json = garbage.into_iter().map(|body| Answer::json(0, body));
    json.chain([Answer::html(0, "<html><title>Bad gateway</title>{bearer}</html>")]).collect()
}

/// Everything that may stand in place of one answer.
fn faults() -> Vec<Fault> {
    let mut faults = Vec::new();
    for status in REFUSALS.into_iter().chain(SUCCESSES) {
        // Every status with two of the bodies: over all statuses every body is seen often.
        let all = bodies();
        let first = usize::from(status) % all.len();
        for body in [&all[first], &all[(first + 3) % all.len()]] {
            faults.push(Fault::Echo(body.clone().status(status)));
        }
    }
    let expired = r#"{"error":"Runtime token expired; present the registration token"}"#;
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    faults.extend([
        Answer::json(401, expired).into(),
        Answer::html(401, "<b>Runtime token expired</b>").into(),
        Answer::json(429, "{}").header("retry-after", "1").into(),
        Answer::json(429, "{}").header("retry-after", "0").into(),
        Answer::json(503, "{}").header("date", date).header("retry-after", "Sun, 06 Nov 1994 08:49:38 GMT").into(),
        Answer::json(503, "{}").header("date", date).header("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT").into(),
        Fault::CloseBeforeReading,
        Fault::CloseAfterReading,
        Fault::LoseAnswer,
        Fault::NotHttp,
        Fault::Truncated(Answer::json(200, r#"{"workerId":"w","runtimeToken":"t","work":[],"claimed":true}"#)),
        Fault::Flood(200, 10 << 20),
        Fault::Flood(500, 10 << 20),
        Fault::Announce(200, 1 << 30),
    ]);
    faults
}

/// What a fault at a worker's own route costs.
fn is_status(fault: &Fault, wanted: &[u16]) -> bool {
    matches!(fault, Fault::Answer(answer) | Fault::Echo(answer) if wanted.contains(&answer.status_code()))
}

/// Tries every fault at `call`, many at a time.
async fn each_fault<F>(call: Call, scenario: impl Fn(FakePlatform, Fault) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let capture = Capture::install();
    let permits = Arc::new(Semaphore::new(PARALLEL));
    let mut tries = JoinSet::new();
    for fault in faults() {
        let platform = FakePlatform::start().await;
        platform.cadence(30, 10);
        let (name, scenario) =
            (format!("{call:?} {fault:?}").chars().take(300).collect::<String>(), scenario(platform, fault));
        let permits = Arc::clone(&permits);
        tries.spawn(async move {
            let _permit = permits.acquire_owned().await.unwrap();
            tokio::spawn(scenario).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        });
    }
    while let Some(tried) = tries.join_next().await {
        tried.unwrap();
    }
    capture.assert_clean();
}

/// Runs all scenarios at once: most of their time is spent waiting for backoff.
async fn together<F: Future<Output = ()> + Send + 'static>(scenarios: impl IntoIterator<Item = F>) {
    let mut running: JoinSet<()> = scenarios.into_iter().collect();
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}

/// The host does its job: work that comes now runs, and its end is heard once.
async fn works(platform: &FakePlatform, host: &TempHost) {
    platform.enqueue(&WorkItem::new("after").attempt(1));
    assert_eq!(platform.ended("after").await["status"], "completed");
    host.until(|host| host.view("after").filter(|view| view.reported)).await;
    assert_eq!(platform.ends()["after"].len(), 1);
}

/// Workers that the control plane has heard of, in order.
fn workers(platform: &FakePlatform) -> Vec<String> {
    let mut ids: Vec<_> = platform.requests_to(Call::Heartbeat).iter().map(|beat| beat.id()).collect();
    ids.dedup();
    ids
}

#[tokio::test]
async fn any_fault_at_registration_is_survived() {
    each_fault(Call::Register, |platform, fault| async move {
        // An answer that was lost or cannot be used made a worker that nobody will hear of.
        platform.fault(Call::Register, fault.clone());
        let host = TempState::new(&platform).start().await;
        works(&platform, &host).await;
        assert_eq!(platform.count(Call::Register), 2, "{fault:?}");
        assert_eq!(workers(&platform).len(), 1);
        assert_eq!(host.handle().registration().state, RegistrationState::Registered);
        host.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_refused_registration_is_shown_as_refused_until_it_is_not() {
    for status in [401, 403] {
        let platform = FakePlatform::start().await;
        platform.always(Call::Register, Answer::json(status, r#"{"error":"unknown token"}"#));
        let host = TempState::new(&platform).start().await;
        let shown = host.until(|host| Some(host.handle().registration()).filter(|r| r.last_error.is_some())).await;
        assert_eq!(shown.state, RegistrationState::Refused);
        assert!(shown.last_error.unwrap().contains("unknown token"));
        platform.heal();
        works(&platform, &host).await;
        host.until(|host| (host.handle().registration().state == RegistrationState::Registered).then_some(())).await;
        host.stop().await;
    }
}

#[tokio::test]
async fn any_fault_at_a_heartbeat_costs_the_identity_only_when_it_says_so() {
    each_fault(Call::Heartbeat, |platform, fault| async move {
        let host = TempState::new(&platform).start_registered().await;
        platform.until_count(Call::Poll, 1).await;
        platform.fault(Call::Heartbeat, fault.clone());
        platform.until_more(Call::Heartbeat, 2).await;
        works(&platform, &host).await;
        let gone = is_status(&fault, &[404]);
        platform.until(|platform| (workers(platform).len() > usize::from(gone)).then_some(())).await;
        assert_eq!(platform.count(Call::Register), 1 + usize::from(gone), "{fault:?}");
        assert_eq!(platform.count(Call::RefreshToken), usize::from(is_status(&fault, &[401])), "{fault:?}");
        assert_eq!(workers(&platform).len(), 1 + usize::from(gone));
        host.stop().await;
    })
    .await;
}

#[tokio::test]
async fn any_fault_at_a_poll_costs_the_identity_only_when_it_says_so() {
    each_fault(Call::Poll, |platform, fault| async move {
        let host = TempState::new(&platform).start_registered().await;
        platform.fault(Call::Poll, fault.clone());
        platform.until_more(Call::Poll, 1).await;
        if fault == Fault::LoseAnswer {
            // What a lost answer carried comes back by the control plane's own deadline, which is not ours.
            platform.enqueue(&WorkItem::new("lost"));
            platform.until(|platform| (platform.queued() == 0).then_some(())).await;
        }
        works(&platform, &host).await;
        let gone = is_status(&fault, &[404]);
        assert_eq!(platform.count(Call::Register), 1 + usize::from(gone), "{fault:?}");
        assert_eq!(platform.count(Call::RefreshToken), usize::from(is_status(&fault, &[401])), "{fault:?}");
        assert!(host.view("lost").is_none());
        host.stop().await;
    })
    .await;
}

#[tokio::test]
async fn any_fault_at_a_refresh_keeps_the_identity_unless_there_is_no_refresh() {
    each_fault(Call::RefreshToken, |platform, fault| async move {
        let host = TempState::new(&platform).start_registered().await;
        platform.until_count(Call::Poll, 1).await;
        platform.fault(Call::RefreshToken, fault.clone());
        platform.expire_tokens();
        works(&platform, &host).await;
        let impossible = is_status(&fault, &[404, 405]);
        platform.until(|platform| (workers(platform).len() > usize::from(impossible)).then_some(())).await;
        assert_eq!(platform.count(Call::Register), 1 + usize::from(impossible), "{fault:?}");
        assert_eq!(workers(&platform).len(), 1 + usize::from(impossible), "{fault:?}");
        // A refresh that succeeded elsewhere, and lost its answer, is done again.
        assert!(platform.count(Call::RefreshToken) <= 3, "{fault:?}: {}", platform.count(Call::RefreshToken));
        host.stop().await;
    })
    .await;
}

#[tokio::test]
async fn any_fault_at_a_claim_costs_at_most_that_claim() {
    each_fault(Call::Claim, |platform, fault| async move {
        platform.pre_claimed(false);
        platform.fault(Call::Claim, fault.clone());
        platform.enqueue(&WorkItem::new("first").attempt(1));
        let host = TempState::new(&platform).start().await;
        platform.until_count(Call::Claim, 1).await;
        works(&platform, &host).await;
        assert_eq!(platform.count(Call::Register), 1, "{fault:?}");
        assert!(platform.ends().get("first").is_none_or(|ends| ends.len() == 1));
        host.stop().await;
    })
    .await;
}

#[tokio::test]
async fn any_fault_at_a_nack_is_outlived() {
    each_fault(Call::Nack, |platform, fault| async move {
        platform.fault(Call::Nack, fault.clone());
        platform.enqueue(&WorkItem::new("foreign").with("repository", "https://evil.example/x/y"));
        let host = TempState::new(&platform).start().await;
        platform.nacked("foreign").await;
        works(&platform, &host).await;
        // Given back again, unless it was said that this is of no use.
        let repeated = !is_status(&fault, &[200, 201, 204, 400, 403, 404, 405, 409, 410, 413, 422])
            && !matches!(fault, Fault::Truncated(_) | Fault::Flood(200, _) | Fault::Announce(200, _));
        if repeated {
            platform.until_count(Call::Nack, 2).await;
        }
        assert_eq!(platform.count(Call::Register), 1, "{fault:?}");
        host.stop().await;
    })
    .await;
}

/// Runs until the file exists.
fn until_exists(path: &Path) -> String {
    format!("while [ ! -e '{}' ]; do sleep 0.02; done", path.display())
}

#[tokio::test]
async fn any_fault_at_the_terminal_status_is_repeated_until_it_is_heard() {
    each_fault(Call::Status, |platform, fault| async move {
        let host = TempState::new(&platform).start().await;
        let go = host.root().join("go");
        platform.enqueue(&WorkItem::new("first").attempt(5).script(&until_exists(&go)));
        platform.reported("first", "running").await;
        platform.fault(Call::Status, fault.clone());
        std::fs::write(go, "").unwrap();
        host.until(|host| host.view("first").filter(|view| view.reported)).await;
        let ends = platform.ends();
        let accepted_unheard = is_status(&fault, &[200, 201, 204])
            || matches!(fault, Fault::Truncated(_) | Fault::Flood(200, _) | Fault::Announce(200, _));
        if is_status(&fault, &[409]) || accepted_unheard {
            assert!(!ends.contains_key("first"), "{fault:?}: said to be of no use, or accepted, and yet repeated");
        } else {
            let ends = &ends["first"];
            assert_eq!((&ends[0]["status"], &ends[0]["attempt"]), (&"completed".into(), &5.into()), "{fault:?}");
            assert_eq!(ends.len(), 1 + usize::from(fault == Fault::LoseAnswer), "{fault:?}");
        }
        works(&platform, &host).await;
        assert_eq!(platform.count(Call::Register), 1, "{fault:?}");
        host.stop().await;
    })
    .await;
}

/// Calls for an identity so far.
fn identity_calls(platform: &FakePlatform) -> (usize, usize) {
    (platform.count(Call::Register), platform.count(Call::RefreshToken))
}

/// A status route that wants another key, as some control planes have it, costs neither the identity nor, in the end, a
/// place in the host's memory.
#[tokio::test]
async fn reports_that_are_refused_for_good_are_given_up_and_cost_no_identity() {
    let capture = Capture::install();
    let unable = [200, 404].map(|refresh| (401, refresh));
    together(unable.into_iter().chain([(403, 200), (404, 200), (422, 200)]).map(|(status, refresh)| async move {
        let platform = FakePlatform::start().await;
        let host = TempState::new(&platform).start().await;
        if refresh != 200 {
            platform.always(Call::RefreshToken, Answer::json(refresh, r#"{"error":"no such route"}"#));
        }
        platform.always(Call::Status, Answer::json(status, r#"{"error":"as scripted"}"#));
        let ids = ["a", "b", "c"];
        for id in ids {
            platform.enqueue(&WorkItem::new(id).attempt(1).script("exit 0"));
            host.ended(id).await;
        }
        // A host says which sessions it is not done with.
        let before = platform.count(Call::Heartbeat);
        let is_free = |beat: &Recorded| beat.json()["sessions"] == serde_json::json!([]);
        platform.until(|p| p.requests_to(Call::Heartbeat).iter().skip(before + 1).any(is_free).then_some(())).await;
        let moot = status == 404;
        for id in ids {
            let view = host.view(id).unwrap();
            assert_eq!((view.reported, view.notes.len()), (moot, usize::from(!moot)), "{status} {view:?}");
            let shown = format!("HTTP {status}: as scripted");
            assert!(view.notes.iter().all(|note| note.contains("refused") && note.contains(&shown)), "{view:?}");
        }
        let tries = platform.count(Call::Status);
        // Three of each, once more with a new token, and perhaps the news that it runs.
        assert!(tries <= 3 * 8, "{status}: {tries} tries");
        let refreshes = usize::from(status == 401);
        assert_eq!(identity_calls(&platform), (1, refreshes), "{status} {refresh}");
        // Once given up, that stays so over a restart.
        let (_, state) = host.stop().await;
        let host = state.start().await;
        platform.until_more(Call::Heartbeat, 5).await;
        assert_eq!((platform.count(Call::Status), host.view("a").unwrap().reported), (tries, moot));
        platform.heal();
        works(&platform, &host).await;
        assert_eq!((identity_calls(&platform), workers(&platform).len()), ((1, refreshes), 1));
        host.stop().await;
    }))
    .await;
    capture.assert_clean();
}

#[tokio::test]
async fn any_fault_at_the_running_status_leaves_the_session_alone() {
    each_fault(Call::Status, |platform, fault| async move {
        platform.fault(Call::Status, fault.clone());
        let host = TempState::new(&platform).start().await;
        let go = host.root().join("go");
        platform.enqueue(&WorkItem::new("first").attempt(5).script(&until_exists(&go)));
        platform.reported("first", "running").await;
        platform.until_more(Call::Heartbeat, 3).await;
        assert_eq!(host.view("first").unwrap().state, SessionState::Running, "{fault:?}");
        std::fs::write(go, "").unwrap();
        assert_eq!(platform.ended("first").await["status"], "completed", "{fault:?}");
        host.until(|host| host.view("first").filter(|view| view.reported)).await;
        assert_eq!(platform.ends()["first"].len(), 1);
        host.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_session_that_was_given_to_somebody_else_is_stopped() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start().await;
    platform.current_attempt("moved", 2);
    platform.enqueue(&WorkItem::new("moved").attempt(1).script("exec sleep 300"));
    assert_eq!(host.ended("moved").await.state, SessionState::Terminated);
    host.until(|host| host.view("moved").filter(|view| view.reported)).await;
    assert!(platform.ends().is_empty());
    works(&platform, &host).await;
    host.stop().await;
}

#[tokio::test]
async fn a_session_that_was_lost_in_a_partition_is_stopped_by_the_next_beat() {
    let platform = FakePlatform::start().await;
    platform.cadence(30, 10);
    let host = TempState::new(&platform).start().await;
    // Neither this worker nor its host says anything of the session by itself: only beats do.
    platform.enqueue(&WorkItem::new("moved").attempt(2).script("exec sleep 300"));
    platform.reported("moved", "running").await;
    let lost = |attempt| {
        let lost = format!(r#"{{"acknowledged":true,"lostSessions":[7,{{"sessionId":"moved","attempt":{attempt}}}]}}"#);
        Answer::json(200, lost)
    };
    platform.fault(Call::Heartbeat, lost("1"));
    platform.fault(Call::Heartbeat, lost("null"));
    platform.until_more(Call::Heartbeat, 4).await;
    assert_eq!(host.view("moved").unwrap().state, SessionState::Running, "another claim is meant");
    platform.fault(Call::Heartbeat, lost("2"));
    assert_eq!(host.ended("moved").await.state, SessionState::Terminated);
    host.until(|host| host.view("moved").filter(|view| view.reported)).await;
    assert!(platform.ends().is_empty());
    works(&platform, &host).await;
    host.stop().await;
}

#[tokio::test]
async fn a_result_from_before_a_partition_is_fenced_off_after_it() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start().await;
    let go = host.root().join("go");
    platform.enqueue(&WorkItem::new("moved").attempt(1).script(&until_exists(&go)));
    platform.reported("moved", "running").await;
    platform.always_everywhere(Fault::CloseAfterReading);
    platform.until_more(Call::Heartbeat, 2).await;
    std::fs::write(go, "").unwrap();
    platform.reported("moved", "completed").await;
    // Meanwhile the control plane has counted this host out and dispatched the session again.
    platform.current_attempt("moved", 2);
    platform.heal();
    host.until(|host| host.view("moved").filter(|view| view.reported)).await;
    assert!(platform.ends().is_empty());
    let reports = platform.requests_to(Call::Status);
    assert!(reports.iter().all(|report| report.json()["attempt"] == 1), "the number it was claimed under");
    works(&platform, &host).await;
    host.stop().await;
}

#[tokio::test]
async fn an_outage_costs_no_session_and_no_identity() {
    let capture = Capture::install();
    together([500, 502, 503].map(|outage| async move {
        let platform = FakePlatform::start().await;
        let host = TempState::new(&platform).start().await;
        let go = host.root().join("go");
        for id in ["a", "b", "c"] {
            platform.enqueue(&WorkItem::new(id).attempt(1).script(&until_exists(&go)));
            platform.reported(id, "running").await;
        }
        platform.always_everywhere(Answer::html(outage, "<h1>down</h1>"));
        platform.until_more(Call::Heartbeat, 3).await;
        host.until(|host| (host.handle().registration().state == RegistrationState::Unreachable).then_some(())).await;
        assert_eq!(host.handle().live_sessions().len(), 3, "what runs goes on");
        std::fs::write(&go, "").unwrap();
        for id in ["a", "b", "c"] {
            assert_eq!(host.ended(id).await.state, SessionState::Completed);
        }
        // A poll that was held may take the news of the outage with it; nothing else is asked more often than backoff.
        platform.until_more(Call::Heartbeat, 20).await;
        let reports = platform.requests_to(Call::Status).iter().filter(|r| r.json()["status"] == "completed").count();
        assert!((1..=3 * 4).contains(&reports), "{reports} reports in 20 beats of 50 ms");
        platform.heal();
        for id in ["a", "b", "c"] {
            assert_eq!(platform.ended(id).await["status"], "completed");
        }
        works(&platform, &host).await;
        assert_eq!(platform.count(Call::Register), 1);
        assert!(platform.ends().values().all(|ends| ends.len() == 1));
        host.stop().await;
    }))
    .await;
    capture.assert_clean();
}

#[tokio::test]
async fn ends_of_an_outage_are_reported_once_by_the_next_daemon() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start_apart().await;
    let go = host.root().join("go");
    for id in ["well", "badly", "survivor"] {
        let tail = if id == "badly" { "exit 3" } else { "exit 0" };
        let stay = host.root().join("stay");
        let gate = if id == "survivor" { until_exists(&stay) } else { until_exists(&go) };
        platform.enqueue(&WorkItem::new(id).attempt(2).script(&format!("{gate}; {tail}")));
        platform.reported(id, "running").await;
    }
    platform.always_everywhere(Answer::json(503, "{}"));
    std::fs::write(&go, "").unwrap();
    host.ended("well").await;
    host.ended("badly").await;
    platform.reported("well", "completed").await;
    platform.reported("badly", "failed").await;
    assert!(platform.ends().is_empty());
    let state = host.crash().await;
    std::fs::write(state.root().join("stay"), "").unwrap();

    platform.heal();
    let host = state.start_apart().await;
    let (well, badly) = (platform.ended("well").await, platform.ended("badly").await);
    assert_eq!((&well["status"], &well["attempt"]), (&"completed".into(), &2.into()));
    assert_eq!((&badly["status"], &badly["result"]["exitCode"]), (&"failed".into(), &3.into()));
    platform.ended("survivor").await;
    for id in ["well", "badly", "survivor"] {
        host.until(|host| host.view(id).filter(|view| view.reported)).await;
    }
    let resumed = platform.requests_to(Call::Heartbeat).iter().filter(|beat| beat.json()["resumed"] == true).count();
    assert!(resumed >= 2, "each daemon says that it is a new one");

    // A third daemon has nothing left to say.
    let host = host.crash().await.start().await;
    works(&platform, &host).await;
    assert!(platform.ends().values().all(|ends| ends.len() == 1), "{:?}", platform.ends());
    assert_eq!(platform.count(Call::Register), 1, "the same worker all along");
    host.stop().await;
}

#[tokio::test]
async fn an_unknown_worker_registers_anew_but_not_twice_in_a_minute() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start_registered().await;
    platform.until_count(Call::Poll, 1).await;
    platform.forget_workers();
    platform.until_count(Call::Register, 2).await;
    works(&platform, &host).await;
    // Forgotten again at once: the host holds back. What is asked meanwhile is answered 404, and stays unasked then.
    platform.forget_workers();
    let rejected = platform.count(Call::Heartbeat);
    platform.until_count(Call::Heartbeat, rejected + 1).await;
    let item = WorkItem::new("meanwhile");
    platform.enqueue(&item);
    host.until(|host| (host.handle().registration().state != RegistrationState::Registered).then_some(())).await;
    assert_eq!(platform.count(Call::Register), 2);
    host.stop().await;
    assert_eq!((platform.count(Call::Register), platform.queued()), (2, 1));
}

#[tokio::test]
async fn a_control_plane_that_rejects_everything_is_not_flooded() {
    let rejections =
        [(401, r#"{"error":"Runtime token expired"}"#), (401, ""), (403, ""), (404, ""), (429, ""), (500, "")];
    together(rejections.map(|(status, body)| async move {
        let platform = FakePlatform::start().await;
        platform.cadence(20, 1);
        let beats = FakePlatform::start().await;
        let (host, clock) = (TempState::new(&platform).start().await, TempState::new(&beats).start().await);
        platform.until_count(Call::Poll, 1).await;
        let answer = Answer::json(status, body).header("retry-after", "0");
        for call in [Call::Heartbeat, Call::Poll, Call::RefreshToken, Call::Register] {
            platform.always(call, answer.clone());
        }
        let before = platform.requests().len();
        // Another host's beats every 50 ms measure the time: about two seconds.
        beats.until_more(Call::Heartbeat, 40).await;
        let asked = platform.requests().len() - before;
        let registered = platform.count(Call::Register);
        // Heartbeats at their own cadence, each with at most one refresh; the rest backs off.
        assert!(asked <= 300, "{status} {body}: {asked} requests");
        assert_eq!(registered, 1, "{status} {body}: the first one is less than a minute ago");
        platform.heal();
        if status != 404 {
            works(&platform, &host).await;
            assert_eq!(workers(&platform).len(), 1, "{status}: the identity survived");
        }
        host.stop().await;
        clock.stop().await;
    }))
    .await;
}

/// Fails when `silent` is asked while `other` is asked thirty times.
async fn is_silent(platform: &FakePlatform, silent: Call, other: Call) {
    let before = platform.count(silent);
    platform.until_more(other, 30).await;
    assert_eq!(platform.count(silent), before, "{silent:?}");
}

#[tokio::test]
async fn retry_after_silences_a_lane_and_only_that_lane() {
    let values = ["3600", "Sun, 06 Nov 1994 09:49:37 GMT"];
    let lanes = [(Call::Heartbeat, Call::Poll), (Call::Poll, Call::Heartbeat)];
    let cases = values.into_iter().flat_map(|value| [429, 503].into_iter().map(move |status| (value, status)));
    let cases = cases.flat_map(|case| lanes.into_iter().map(move |lanes| (case, lanes)));
    together(cases.map(|((value, status), (silent, other))| async move {
        let platform = FakePlatform::start().await;
        platform.cadence(15, 15);
        platform.long_poll(false);
        let host = TempState::new(&platform).start().await;
        platform.until_count(Call::Poll, 2).await;
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        platform.always(silent, Answer::json(status, "{}").header("date", date).header("retry-after", value));
        platform.until_more(silent, 1).await;
        is_silent(&platform, silent, other).await;
        host.stop().await;
    }))
    .await;
}

#[tokio::test]
async fn sessions_that_come_and_go_do_not_cut_a_retry_after_short() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start().await;
    platform.until_count(Call::Poll, 1).await;
    platform.always(Call::Heartbeat, Answer::json(429, "{}").header("retry-after", "3600"));
    platform.until_more(Call::Heartbeat, 1).await;
    let before = platform.count(Call::Heartbeat);
    for id in ["first", "second", "third"] {
        platform.enqueue(&WorkItem::new(id));
        assert_eq!(platform.ended(id).await["status"], "completed");
    }
    assert_eq!(platform.count(Call::Heartbeat), before);
    host.stop().await;
}

#[tokio::test]
async fn no_bearer_leaves_for_another_host() {
    let capture = Capture::install();
    let (platform, elsewhere) = (FakePlatform::start().await, FakePlatform::start().await);
    for call in Call::ALL {
        for status in [301, 302, 303, 307, 308] {
            let target = format!("{}/api/workers/register", elsewhere.url());
            platform.fault(call, Answer::html(status, "moved").header("location", &target));
        }
    }
    platform.enqueue(&WorkItem::new("foreign").with("repository", "https://evil.example/x/y"));
    let host = TempState::new(&platform).start().await;
    // Six tries of the slowest backoff are too many to wait for: the first redirects of each call are enough.
    platform.until_count(Call::Register, 2).await;
    platform.heal();
    works(&platform, &host).await;
    for (call, status) in [(Call::Heartbeat, 301), (Call::Poll, 302), (Call::Status, 307), (Call::Nack, 308)] {
        platform.fault(call, Answer::html(status, "").header("location", elsewhere.url()));
    }
    platform.enqueue(&WorkItem::new("foreign-2").with("repository", "https://evil.example/x/y"));
    platform.enqueue(&WorkItem::new("redirected"));
    assert_eq!(platform.ended("redirected").await["status"], "completed");
    host.stop().await;
    assert!(elsewhere.requests().is_empty(), "{:?}", elsewhere.requests());
    capture.assert_clean();
}

#[tokio::test]
async fn a_heartbeat_that_hangs_does_not_hold_work_up() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start().await;
    platform.until_count(Call::Poll, 1).await;
    platform.fault(Call::Heartbeat, Fault::Hang);
    platform.until_more(Call::Heartbeat, 1).await;
    works(&platform, &host).await;
    host.stop().await;
}

#[tokio::test]
async fn a_poll_that_is_never_answered_does_not_hold_heartbeats_or_reports_up() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start().await;
    let go = host.root().join("go");
    platform.enqueue(&WorkItem::new("running").attempt(1).script(&until_exists(&go)));
    platform.reported("running", "running").await;
    platform.always(Call::Poll, Fault::Hang);
    platform.until_more(Call::Heartbeat, 5).await;
    std::fs::write(go, "").unwrap();
    assert_eq!(platform.ended("running").await["status"], "completed");
    host.stop().await;
}

#[tokio::test]
async fn identities_that_could_never_be_used_are_not_kept() {
    let platform = FakePlatform::start().await;
    for body in [r#"{"workerId":"..","runtimeToken":"t"}"#, r#"{"workerId":"w","runtimeToken":"a\nb"}"#] {
        platform.fault(Call::Register, Answer::json(201, body));
    }
    let host = TempState::new(&platform).start().await;
    works(&platform, &host).await;
    assert_eq!(workers(&platform), ["wkr_1"]);
    host.stop().await;
}

#[tokio::test]
async fn a_dead_identity_in_the_cache_is_replaced_once() {
    let platform = FakePlatform::start().await;
    let state = TempState::new(&platform);
    let cached = serde_json::json!({"workerId": "wkr_dead", "runtimeToken": "eyJ.s3cr3t-mark.dead", "heartbeatInterval": 50,
        "pollInterval": 20, "orchestratorUrl": platform.url()});
    std::fs::write(state.root().join("daemon.jwt"), cached.to_string()).unwrap();
    let capture = Capture::install();
    let host = state.start().await;
    works(&platform, &host).await;
    assert_eq!((platform.count(Call::Register), platform.count(Call::RefreshToken)), (1, 0));
    let (_, state) = host.stop().await;
    let host = state.start().await;
    works_again(&platform).await;
    assert_eq!(platform.count(Call::Register), 1, "the new identity was cached");
    host.stop().await;
    capture.assert_clean();
}

async fn works_again(platform: &FakePlatform) {
    platform.enqueue(&WorkItem::new("again"));
    assert_eq!(platform.ended("again").await["status"], "completed");
}

#[tokio::test]
async fn the_registration_token_is_shown_to_registration_and_refresh_only() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start().await;
    platform.until_count(Call::Poll, 1).await;
    platform.expire_tokens();
    platform.enqueue(&WorkItem::new("foreign").with("repository", "https://evil.example/x/y"));
    works(&platform, &host).await;
    for request in platform.requests() {
        let with_registration = request.bearer.as_deref() == Some(REGISTRATION_TOKEN);
        let expected = matches!(request.call, Some(Call::Register | Call::RefreshToken));
        assert_eq!(with_registration, expected, "{} {}", request.method, request.path);
        assert!(!String::from_utf8_lossy(&request.body).contains("s3cr3t-mark"), "{}", request.path);
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_that_go_on_with_a_refused_registration_token_are_shown_to_run() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start_registered().await;
    let stands = |host: &TempHost| host.handle().registration();
    host.until(|host| (stands(host).state == RegistrationState::Registered).then_some(())).await;
    platform.always(Call::RefreshToken, Answer::json(401, r#"{"error":"token revoked"}"#));
    platform.fault(Call::Heartbeat, Answer::json(401, "{}"));
    host.until(|host| (stands(host).state == RegistrationState::Refused).then_some(())).await;
    // The runtime token itself is good.
    platform.until_more(Call::Heartbeat, 2).await;
    let (shown, stats) = (stands(&host), host.handle().stats(false, false));
    assert_eq!(shown.state, RegistrationState::Refused);
    assert!(shown.last_error.unwrap().contains("token revoked"));
    assert!(
        stats.registration.heartbeat_running && stats.registration.poll_running && host.handle().doctor().heartbeat
    );
    platform.heal();
    host.stop().await;
}
