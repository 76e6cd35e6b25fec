//! Heartbeat and poll against a control plane on a real socket.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use axum::routing::{get, post};
use axum::{Json, Router};
use rensei_proto::control::{DrainRequest, SessionState};
use rensei_testkit::{Answer, Call, Capture, FakePlatform, Fault, PATIENCE, Recorded, TempState, WorkItem};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// Cadence at which a lane without long polls sleeps far longer than any test runs.
const AN_HOUR_MS: u64 = 3_600_000;

fn busy() -> Answer {
    Answer::json(503, r#"{"error":"busy"}"#)
}

/// Runs until the file exists.
fn until_exists(path: &Path) -> String {
    format!("while [ ! -e '{}' ]; do sleep 0.02; done", path.display())
}

/// Appends a letter to the file, so that runs can be counted.
fn counted(path: &Path) -> String {
    format!("printf x >> '{}'", path.display())
}

fn bodies(requests: &[Recorded]) -> Vec<Value> {
    requests.iter().map(Recorded::json).collect()
}

#[tokio::test]
async fn the_allowlist_is_repeated_until_a_beat_that_carried_it_succeeded() {
    let platform = FakePlatform::start().await;
    platform.fault(Call::Heartbeat, busy());
    platform.fault(Call::Heartbeat, Fault::CloseAfterReading);
    platform.fault(Call::Heartbeat, Fault::LoseAnswer);
    let host = TempState::new(&platform).start().await;
    platform.until_count(Call::Heartbeat, 8).await;
    let beats = bodies(&platform.requests_to(Call::Heartbeat));
    let expected = json!([{"id": "app", "repository": "/srv/app"}]);
    for (nth, beat) in beats.iter().enumerate() {
        assert_eq!(beat["allowlistHash"].as_str().unwrap().len(), 64);
        assert_eq!(beat.get("allowlist"), (nth <= 3).then_some(&expected), "beat {nth}");
        assert_eq!(beat["resumed"] == true, nth <= 3, "beat {nth}: {beat}");
    }
    host.stop().await;
}

#[tokio::test]
async fn a_new_worker_tells_its_allowlist_again_but_is_not_resumed() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start_registered().await;
    platform.until_count(Call::Heartbeat, 3).await;
    platform.forget_workers();
    platform.until_count(Call::Register, 2).await;
    platform.until_more(Call::Heartbeat, 4).await;
    let beats = platform.requests_to(Call::Heartbeat);
    let renewed: Vec<_> =
        beats.iter().filter(|beat| beat.path.contains("wkr_") && !beat.path.contains("wkr_1/")).collect();
    assert!(renewed.iter().any(|beat| beat.json().get("allowlist").is_some()), "{:?}", bodies(&beats));
    assert!(renewed.last().unwrap().json().get("allowlist").is_none());
    assert!(renewed.iter().all(|beat| beat.json().get("resumed").is_none()));
    host.stop().await;
}

#[tokio::test]
async fn a_new_registration_tells_the_projects_and_the_capacity_in_force() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start_registered().await;
    platform.until_count(Call::Heartbeat, 2).await;
    host.handle().set_projects(Vec::new());
    host.handle().set_max_sessions(3);
    platform.forget_workers();
    platform.until_count(Call::Register, 2).await;
    let told = bodies(&platform.requests_to(Call::Register));
    assert_eq!((told[0]["daemonProjects"][0]["id"].as_str(), told[0]["capacity"].as_u64()), (Some("app"), Some(8)));
    assert_eq!((told[1].get("daemonProjects"), told[1]["capacity"].as_u64()), (None, Some(3)));
    host.stop().await;
}

#[tokio::test]
async fn acknowledgements_ride_until_a_beat_that_carried_them_succeeded() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start().await;
    platform.enqueue(&WorkItem::new("victim").attempt(1).script("exec sleep 300"));
    platform.reported("victim", "running").await;
    for mutation in [
        json!({"id": "dmut_kill", "op": "session.kill", "params": {"sessionId": "victim", "reason": "enough"}}),
        json!({"id": "dmut_gone", "op": "session.kill", "params": {"sessionId": "never-here"}}),
        json!({"id": "dmut_odd", "op": "host.explode", "params": {"deep": [[[]]]}}),
        json!({"id": "dmut_bad", "op": "session.kill", "params": "../../etc"}),
        json!({"id": "dmut_long", "op": "x".repeat(300_000)}),
        json!({"id": "dmut_bare"}),
        json!({"op": "session.kill", "params": {"sessionId": "without-an-id"}}),
    ] {
        platform.offer_mutation(mutation);
    }
    // The first beats that carry acknowledgements are refused or lost.
    platform.until(|platform| carries(platform, "dmut_kill")).await;
    platform.fault(Call::Heartbeat, busy());
    platform.fault(Call::Heartbeat, Fault::LoseAnswer);
    platform.until(|platform| (platform.open_mutations() == 1).then_some(())).await;
    assert_eq!(platform.ended("victim").await["status"], "stopped");
    platform.until_more(Call::Heartbeat, 3).await;
    let last = platform.requests_to(Call::Heartbeat).last().unwrap().clone();
    assert!(last.body.len() < 4096, "{}", last.body.len());
    let failures = failures(&platform);
    assert!(failures["dmut_odd"].contains("unsupported mutation op"), "{failures:?}");
    assert!(failures["dmut_bad"].contains("requires"), "{failures:?}");
    assert!(failures["dmut_long"].len() < 1000 && failures["dmut_bare"].contains("unsupported"));
    assert!(!failures.contains_key("dmut_kill") && !failures.contains_key("dmut_gone"));
    host.stop().await;
}

fn carries(platform: &FakePlatform, id: &str) -> Option<()> {
    let beats = platform.requests_to(Call::Heartbeat);
    beats
        .iter()
        .any(|beat| beat.json()["appliedMutations"].as_array().is_some_and(|ids| ids.contains(&json!(id))))
        .then_some(())
}

fn failures(platform: &FakePlatform) -> std::collections::BTreeMap<String, String> {
    let beats = bodies(&platform.requests_to(Call::Heartbeat));
    let all = beats.iter().flat_map(|beat| beat["mutationFailures"].as_array().cloned().unwrap_or_default());
    all.map(|failure| (failure["id"].as_str().unwrap().to_owned(), failure["error"].as_str().unwrap().to_owned()))
        .collect()
}

#[tokio::test]
async fn a_drain_is_told_at_once_and_so_is_what_is_held() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start().await;
    let go = host.root().join("go");
    platform.enqueue(&WorkItem::new("held").attempt(7).script(&until_exists(&go)));
    platform.reported("held", "running").await;
    let host_beats = host.handle().clone();
    platform.until(|p| (p.requests_to(Call::Heartbeat).last()?.json()["activeCount"] == 1).then_some(())).await;
    host_beats.drain(DrainRequest { timeout_seconds: None, keep_alive: true }).unwrap();
    platform.until(|p| (p.requests_to(Call::Heartbeat).last()?.json()["status"] == "draining").then_some(())).await;
    let beat = platform.requests_to(Call::Heartbeat).last().unwrap().json();
    assert_eq!(beat["sessions"], json!([{"sessionId": "held", "attempt": 7}]));
    std::fs::write(go, "").unwrap();
    assert_eq!(platform.ended("held").await["status"], "completed");
    host.stop().await;
}

#[tokio::test]
async fn a_drain_does_not_wait_for_the_next_beat() {
    let platform = FakePlatform::start().await;
    platform.cadence(AN_HOUR_MS, 20);
    let host = TempState::new(&platform).start().await;
    platform.until_count(Call::Heartbeat, 1).await;
    host.until(|host| host.handle().registration().last_heartbeat_at).await;
    host.handle().drain(DrainRequest { timeout_seconds: None, keep_alive: true }).unwrap();
    platform.until_count(Call::Heartbeat, 2).await;
    host.stop().await;
}

#[tokio::test]
async fn the_slot_of_a_local_session_that_was_the_last_one_is_offered_at_once() {
    let platform = FakePlatform::start().await;
    platform.cadence(AN_HOUR_MS, 20);
    let host = TempState::with_slots(&platform, 1).start().await;
    platform.until_count(Call::Heartbeat, 1).await;
    let post = json!({"sessionId": "own", "repository": "app", "env": {"SCRIPT": "exit 0"}});
    host.handle().post_session(serde_json::from_value(post).unwrap()).await.unwrap();
    platform.until_count(Call::Heartbeat, 2).await;
    assert_eq!(bodies(&platform.requests_to(Call::Heartbeat))[1]["activeCount"], 0);
    host.stop().await;
}

#[tokio::test]
async fn one_bad_item_goes_back_byte_for_byte_and_its_neighbours_run() {
    let capture = Capture::install();
    let platform = FakePlatform::start().await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let bad = [
        // Odd spacing, repeated keys, big numbers and unknown fields must survive the way back.
        ("twice", r#"{ "sessionId" : "twice","title":"a", "title" : "b","n":1e400, "attempt": 3 }"#.to_owned()),
        ("half", r#"{"sessionId":"half","title":"\ud800","ünknown":[1,  2]}"#.to_owned()),
        ("deep", format!(r#"{{"sessionId":"deep","stageLifecycle":{deep},"attempt":"seven"}}"#)),
        ("foreign", r#"{"sessionId":"foreign","repository":"https://evil.example/x/app2","attempt":4}"#.to_owned()),
        ("nul-env", r#"{"sessionId":"nul-env","repository":"app","env":{"A":"x\u0000y"}}"#.to_owned()),
        ("nul-ref", r#"{"sessionId":"nul-ref","repository":"app","ref":"x\u0000y"}"#.to_owned()),
    ];
    let good = [
        WorkItem::new("number").with("queuedAt", 1_777_658_441_780_u64).attempt(1).raw(),
        WorkItem::new("text").with("queuedAt", "1777658441780").attempt(1).raw(),
        WorkItem::new("future").with("newField", json!({"a": [1]})).with("priority", "high").raw(),
        WorkItem::new("deep-unknown").raw().replacen('{', &format!("{{\"later\":{deep},"), 1),
    ];
    let nameless = [r#"{"sessionId":"../../etc/passwd"}"#, r#"{"title":"nobody"}"#, "null", "7", r#""text""#];
    let batch = bad.iter().map(|(_, raw)| raw.as_str()).chain(nameless).chain(good.iter().map(String::as_str));
    platform.enqueue_batch(batch);
    let host = TempState::new(&platform).start().await;
    for id in ["number", "text", "future", "deep-unknown"] {
        assert_eq!(platform.ended(id).await["status"], "completed", "{id}");
    }
    for (id, raw) in &bad {
        let nack = platform.nacked(id).await;
        let sent = String::from_utf8(nack.body.clone()).unwrap();
        assert!(sent.contains(raw.as_str()), "{id}: {sent}");
    }
    let twice = platform.nacked("twice").await.body;
    assert!(String::from_utf8(twice).unwrap().contains(r#""attempt":3"#), "the fencing number beside the item");
    assert!(platform.nacked("foreign").await.json()["reason"].as_str().unwrap().contains("allowlist"));
    assert_eq!(platform.count(Call::Nack), bad.len());
    host.stop().await;
    capture.assert_clean();
}

#[tokio::test]
async fn what_is_not_claimed_is_claimed_first_and_skipped_when_it_is_somebody_elses() {
    let platform = FakePlatform::start().await;
    platform.pre_claimed(false);
    platform.refuse_claim("theirs");
    platform.fault(Call::Claim, busy());
    let (unclear, ours, theirs) = (WorkItem::new("unclear"), WorkItem::new("ours"), WorkItem::new("theirs"));
    platform.enqueue_batch([unclear.raw().as_str(), &theirs.raw(), &ours.raw()]);
    let host = TempState::new(&platform).start().await;
    assert_eq!(platform.ended("ours").await["status"], "completed");
    let claims: Vec<_> = platform.requests_to(Call::Claim).iter().map(|claim| (claim.id(), claim.json())).collect();
    let expected = |id: &str| (id.to_owned(), json!({"workerId": "wkr_1"}));
    assert_eq!(claims, [expected("unclear"), expected("theirs"), expected("ours")]);
    assert!(host.view("theirs").is_none() && host.view("unclear").is_none());
    // A claim that failed is offered again, and then it is ours.
    platform.enqueue(&unclear);
    assert_eq!(platform.ended("unclear").await["status"], "completed");
    assert_eq!(platform.count(Call::Nack), 0);
    host.stop().await;
}

#[tokio::test]
async fn the_same_attempt_runs_once_however_often_it_is_delivered() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start().await;
    let (runs, go) = (host.root().join("runs"), host.root().join("go"));
    let item = WorkItem::new("once").attempt(3).script(&format!("{}; {}", counted(&runs), until_exists(&go)));
    let raw = item.raw();
    platform.enqueue_batch([raw.as_str(), &raw]);
    platform.reported("once", "running").await;
    // While it runs, in another answer.
    platform.enqueue(&item);
    platform.until(|platform| (platform.queued() == 0).then_some(())).await;
    platform.enqueue(&WorkItem::new("marker-1"));
    platform.ended("marker-1").await;
    std::fs::write(&go, "").unwrap();
    platform.ended("once").await;
    // After its end, and after a restart of the host.
    platform.enqueue(&item);
    platform.enqueue(&WorkItem::new("marker-2"));
    platform.ended("marker-2").await;
    let (_, state) = host.stop().await;
    let host = state.start().await;
    platform.enqueue(&item);
    platform.enqueue(&WorkItem::new("marker-3"));
    platform.ended("marker-3").await;
    assert_eq!(std::fs::read_to_string(&runs).unwrap(), "x");
    assert_eq!((platform.ends()["once"].len(), platform.count(Call::Nack)), (1, 0));
    // A new attempt is new work.
    platform.enqueue(&item.attempt(4));
    platform.until(|platform| (platform.ends()["once"].len() == 2).then_some(())).await;
    assert_eq!(std::fs::read_to_string(&runs).unwrap(), "xx");
    host.stop().await;
}

#[tokio::test]
async fn another_attempt_of_a_live_session_goes_back_and_the_stale_one_is_stopped() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start().await;
    let item = WorkItem::new("moved").script("exec sleep 300");
    platform.enqueue(&item.clone().attempt(1));
    platform.reported("moved", "running").await;
    platform.current_attempt("moved", 2);
    platform.enqueue(&item.attempt(2));
    let nack = platform.nacked("moved").await.json();
    assert_eq!((nack["attempt"].as_u64(), nack["work"]["attempt"].as_u64()), (Some(2), Some(2)));
    let ended = host.ended("moved").await;
    assert_eq!(ended.state, SessionState::Terminated);
    // Its late end is fenced off, and that is the end of it.
    host.until(|host| host.view("moved").filter(|view| view.reported)).await;
    assert!(!platform.ends().contains_key("moved"));
    host.stop().await;
}

/// Polls that were asked between now and the tenth heartbeat from now.
async fn polls_meanwhile(platform: &FakePlatform) -> usize {
    let before = platform.count(Call::Poll);
    platform.until_more(Call::Heartbeat, 10).await;
    platform.count(Call::Poll) - before
}

#[tokio::test]
async fn no_poll_while_paused_draining_full_or_suspended() {
    let platform = FakePlatform::start().await;
    platform.long_poll(false);
    platform.cadence(20, 1);
    let host = TempState::with_slots(&platform, 1).start().await;
    platform.until_count(Call::Poll, 3).await;

    // A poll that is under way when the state changes may still be answered: hence at most one.
    host.handle().pause().unwrap();
    platform.until_more(Call::Heartbeat, 2).await;
    assert_eq!(polls_meanwhile(&platform).await, 0, "paused");
    host.handle().resume().unwrap();
    platform.until_more(Call::Poll, 3).await;

    platform.host_status(Some("pool_draining"));
    platform.until_more(Call::Heartbeat, 3).await;
    assert_eq!(polls_meanwhile(&platform).await, 0, "suspended");
    assert_eq!(host.handle().registration().suspended.as_deref(), Some("pool_draining"));
    platform.host_status(Some("ok"));
    platform.until_more(Call::Poll, 3).await;
    assert_eq!(host.handle().registration().suspended, None);

    let go = host.root().join("go");
    platform.enqueue(&WorkItem::new("full").attempt(1).script(&until_exists(&go)));
    platform.reported("full", "running").await;
    platform.until_more(Call::Heartbeat, 2).await;
    assert_eq!(polls_meanwhile(&platform).await, 0, "full");
    let beat = platform.requests_to(Call::Heartbeat).last().unwrap().json();
    assert_eq!((&beat["status"], &beat["activeCount"], &beat["maxSessions"]), (&json!("busy"), &json!(1), &json!(1)));

    host.handle().drain(DrainRequest { timeout_seconds: None, keep_alive: true }).unwrap();
    std::fs::write(&go, "").unwrap();
    platform.ended("full").await;
    host.handle().wait_for_phase(|phase| matches!(phase, rensei_daemon_core::Phase::Paused)).await;
    assert_eq!(polls_meanwhile(&platform).await, 0, "drained");
    host.handle().resume().unwrap();
    platform.enqueue(&WorkItem::new("again").attempt(1));
    platform.ended("again").await;
    host.stop().await;
}

#[tokio::test]
async fn nothing_is_polled_before_a_beat_was_heard() {
    let platform = FakePlatform::start().await;
    platform.always(Call::Heartbeat, busy());
    let host = TempState::new(&platform).start().await;
    platform.until_count(Call::Heartbeat, 4).await;
    assert_eq!(platform.count(Call::Poll), 0);
    platform.heal();
    platform.until_count(Call::Poll, 1).await;
    host.stop().await;
}

#[tokio::test]
async fn work_that_comes_in_while_paused_goes_back() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start().await;
    // This poll is held; the pause comes while it is.
    platform.until_count(Call::Poll, 1).await;
    host.handle().pause().unwrap();
    let item = WorkItem::new("late").attempt(9);
    platform.enqueue(&item);
    let nack = platform.nacked("late").await;
    assert!(String::from_utf8(nack.body.clone()).unwrap().contains(&item.raw()));
    assert!(nack.json()["reason"].as_str().unwrap().contains("paused"), "{}", nack.json());
    host.stop().await;
}

#[tokio::test]
async fn what_is_refused_and_offered_again_does_not_make_the_lane_spin() {
    for long_poll in [true, false] {
        let platform = FakePlatform::start().await;
        platform.long_poll(long_poll);
        platform.cadence(20, 1);
        let item = WorkItem::new("foreign").with("repository", "https://evil.example/x/y").attempt(1).raw();
        let answer = format!("{{\"preClaimed\":true,\"work\":[{item}]}}");
        platform.always(Call::Poll, Answer::json(200, answer));
        let host = TempState::new(&platform).start().await;
        platform.nacked("foreign").await;
        platform.until_more(Call::Heartbeat, 30).await;
        let (polls, beats) = (platform.count(Call::Poll), platform.count(Call::Heartbeat));
        assert!(polls < beats / 2, "{polls} polls in {beats} beats of 20 ms, long poll {long_poll}");
        host.stop().await;
    }
}

#[tokio::test]
async fn a_long_poll_is_asked_only_where_it_is_announced() {
    for announced in [true, false] {
        let platform = FakePlatform::start().await;
        platform.long_poll(announced);
        let host = TempState::new(&platform).start().await;
        platform.until_count(Call::Poll, 1).await;
        let poll = platform.requests_to(Call::Poll).remove(0);
        assert_eq!(poll.query, if announced { "wait=25" } else { "" });
        assert!(poll.body.is_empty() && poll.method == "GET");
        host.stop().await;
    }
}

#[tokio::test]
async fn a_held_poll_is_woken_by_work_and_the_next_one_follows() {
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start().await;
    for nth in 0..10 {
        platform.until_count(Call::Poll, nth + 1).await;
        platform.enqueue(&WorkItem::new(&format!("s{nth}")).attempt(1));
        assert_eq!(platform.ended(&format!("s{nth}")).await["status"], "completed");
    }
    assert!(platform.count(Call::Poll) <= 12, "{}", platform.count(Call::Poll));
    host.stop().await;
}

#[tokio::test]
async fn the_most_urgent_work_gets_the_slot_and_the_rest_goes_back() {
    let platform = FakePlatform::start().await;
    let item = |id: &str, priority: Value| {
        json!({"sessionId": id, "repository": "app", "attempt": 1, "priority": priority,
            "resources": {"vCpu": 2, "memoryMb": 512}, "env": {"SCRIPT": "exec sleep 300"}})
    };
    // 0 and what is no number say nothing, which is as good as 3.
    let work = [item("later", 4.into()), item("silent", 0.into()), item("odd", "now".into()), item("urgent", 1.into())];
    let answer = json!({"work": work, "preClaimed": true});
    platform.fault(Call::Poll, Answer::json(200, answer.to_string()));
    let host = TempState::with_slots(&platform, 2).start().await;
    platform.until_count(Call::Nack, 2).await;
    let mut refused: Vec<_> =
        platform.requests_to(Call::Nack).iter().map(|nack| nack.json()["work"]["sessionId"].clone()).collect();
    refused.sort_by_key(Value::to_string);
    assert_eq!(refused, ["later", "odd"]);
    assert!(host.view("silent").is_some());
    let urgent = host.view("urgent").unwrap();
    let asked = rensei_proto::Resources { v_cpu: Some(2), memory_mb: Some(512) };
    assert_eq!(urgent.resources, Some(asked));
    assert!(host.handle().live_sessions().iter().all(|handle| handle.resources == Some(asked)));
    let record = std::fs::read_to_string(host.root().join("sessions/urgent/record.jsonl")).unwrap();
    assert!(record.contains(r#""resources":{"vCpu":2,"memoryMb":512}"#), "{record}");
    host.stop().await;
}

#[tokio::test]
async fn what_changes_while_a_beat_is_under_way_is_told_at_once() {
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let answer = Arc::new(tokio::sync::Notify::new());
    let held = Arc::clone(&answer);
    let register = || async { Json(json!({"workerId": "w", "runtimeToken": "t", "heartbeatInterval": AN_HOUR_MS})) };
    let heartbeat = move |_beat: Json<Value>| {
        told.send(()).unwrap();
        let held = Arc::clone(&held);
        async move {
            held.notified().await;
            Json(json!({"acknowledged": true}))
        }
    };
    let router = Router::new()
        .route("/api/workers/register", post(register))
        .route("/api/workers/{id}/heartbeat", post(heartbeat))
        .route("/api/workers/{id}/poll", get(std::future::pending::<Json<Value>>));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let nobody = FakePlatform::start().await;
    let host = TempState::new(&nobody).configure(&url, 8).start().await;
    heard.recv().await.unwrap();
    host.handle().pause().unwrap();
    answer.notify_one();
    // By the interval alone it would come an hour later.
    tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    host.stop().await;
}
