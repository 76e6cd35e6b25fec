//! Sessions that somebody ends before they are done.

use crate::fixture::Fixture;
use rensei_proto::{SessionStatus, StageBudget};
use serde_json::json;

/// Ignores TERM, like everything it starts, and says when it is ready.
const STUBBORN: &str = "trap '' TERM; touch new; echo $$ > pid; echo ready; while :; do sleep 1000; done";
/// Ends when told to.
const PATIENT: &str = "touch new; echo ready; exec sleep 1000";

#[tokio::test]
async fn an_operators_stop_ends_the_agent_and_pushes_nothing() {
    let fixture = Fixture::shell(PATIENT).await;
    let running = fixture.start();
    fixture.plane.until_activity("ready").await;
    let stop = json!({ "refreshed": true, "stop": true, "stopReason": "wrong branch" });
    fixture.plane.edit(|script| script.lease = Some((200, stop)));
    let finished = running.end().await;
    let outcome = finished.outcome.unwrap();
    assert_eq!((finished.exit_code, outcome.status, outcome.reported), (1, SessionStatus::Stopped, true));
    assert_eq!(outcome.summary.as_deref(), Some("Session stopped by an operator: wrong branch"));
    assert_eq!(outcome.result.signal, Some(15));
    assert_eq!(fixture.pushed(), None);
    assert_eq!(fixture.plane.statuses(), ["running", "stopped"]);
}

#[tokio::test]
async fn an_agent_that_ignores_the_request_is_killed_with_all_it_started() {
    let fixture = Fixture::shell(STUBBORN).await;
    let running = fixture.start();
    fixture.plane.until_activity("ready").await;
    let outcome = running.shut_down().await.outcome.unwrap();
    assert_eq!((outcome.status, outcome.reported), (SessionStatus::Stopped, true));
    assert_eq!(outcome.result.signal, Some(9));
    assert_eq!(rensei_process::find_by_env("RENSEI_SESSION_ID", &fixture.id), Vec::<u32>::new());
    assert_eq!(fixture.pushed(), None);
    assert_eq!(fixture.plane.statuses().last().unwrap(), "stopped");
}

#[tokio::test]
async fn a_signal_to_the_whole_group_is_a_stop_and_not_a_failure() {
    let fixture = Fixture::shell(PATIENT).await;
    let running = fixture.start();
    fixture.plane.until_activity("ready").await;
    for pid in rensei_process::find_by_env("RENSEI_SESSION_ID", &fixture.id) {
        assert!(std::process::Command::new("kill").arg(pid.to_string()).status().unwrap().success());
    }
    let outcome = running.shut_down().await.outcome.unwrap();
    assert_eq!(outcome.status, SessionStatus::Stopped);
    assert_eq!(fixture.pushed(), None);
}

#[tokio::test]
async fn a_lost_lease_ends_the_agent_without_push_or_report() {
    for lost in [
        (409, json!({ "error": "another attempt owns the session", "code": "lease_lost" })),
        (404, json!({ "error": "session not found" })),
        (403, json!({ "error": "owned by another worker" })),
        (200, json!({ "refreshed": false })),
    ] {
        let fixture = Fixture::shell(PATIENT).await;
        let running = fixture.start();
        fixture.plane.until_activity("ready").await;
        fixture.plane.edit(|script| script.lease = Some(lost.clone()));
        let finished = running.end().await;
        let outcome = finished.outcome.unwrap();
        assert_eq!((finished.exit_code, outcome.status), (1, SessionStatus::Failed), "{lost:?}");
        assert_eq!(outcome.failure_mode.as_deref(), Some("lost-ownership"));
        assert!(outcome.reported && fixture.outcome_file().reported, "nobody is to report it");
        assert_eq!(fixture.pushed(), None);
        assert_eq!(fixture.plane.statuses(), ["running"]);
        assert_eq!(fixture.plane.read(|script| script.bodies("completion").count()), 0);
    }
}

#[tokio::test]
async fn a_control_plane_in_trouble_takes_nothing_away() {
    let fixture = Fixture::shell("echo ready; read go < fifo; touch new").await;
    let made = std::process::Command::new("mkfifo").arg(fixture.workarea().join("fifo")).status().unwrap();
    assert!(made.success());
    fixture.plane.edit(|script| script.broken = vec!["lock-refresh", "activity", "status", "completion"]);
    let running = fixture.start();
    // Three refusals in a row, and the session still runs; then the control plane recovers.
    fixture.plane.until(|script| script.asked.get("lock-refresh").is_some_and(|times| *times >= 3)).await;
    fixture.plane.edit(|script| script.broken.clear());
    fixture.plane.until_activity("ready").await;
    // Else it would hold the session for one that nobody has started.
    fixture.plane.until(|script| script.bodies("status").any(|body| body["status"] == "running")).await;
    std::fs::write(fixture.workarea().join("fifo"), "go\n").unwrap();
    let outcome = running.end().await.outcome.unwrap();
    assert_eq!((outcome.status, outcome.reported), (SessionStatus::Completed, true));
    assert_eq!(fixture.plane.statuses().last().unwrap(), "completed");
}

#[tokio::test]
async fn a_stage_that_takes_too_long_is_ended() {
    let fixture = Fixture::shell(PATIENT).await.with(|detail| {
        detail.stage_budget = Some(StageBudget { max_duration_seconds: Some(1), ..StageBudget::default() });
    });
    let (finished, outcome) = fixture.run().await;
    assert_eq!((finished.exit_code, outcome.status), (1, SessionStatus::Failed));
    assert_eq!(outcome.failure_mode.as_deref(), Some("budget-exceeded"));
    assert_eq!(outcome.error.as_deref(), Some("budget exceeded: max-duration-seconds (1 s)"));
    assert_eq!((outcome.result.pushed, fixture.pushed()), (false, None));
    assert_eq!(fixture.plane.statuses(), ["running", "failed"]);
}

#[tokio::test]
async fn a_stop_before_the_agent_starts_it_never() {
    let fixture = Fixture::shell("touch ran").await;
    fixture
        .plane
        .edit(|script| script.workarea = Err((503, json!({ "error": "daemon is starting", "status": "starting" }))));
    fixture.plane.edit(|script| script.lease = Some((200, json!({ "refreshed": true, "stop": true }))));
    let (_, outcome) = fixture.run().await;
    assert_eq!(outcome.status, SessionStatus::Stopped);
    assert_eq!(outcome.summary.as_deref(), Some("Session stopped by an operator"));
    assert!(!fixture.workarea().join("ran").exists());
    assert_eq!(fixture.plane.statuses(), ["stopped"]);
}

#[tokio::test]
async fn a_stop_before_anything_is_known_ends_the_worker_at_once() {
    let fixture = Fixture::shell("touch ran").await;
    let finished = rensei_runner::run(fixture.options(), std::future::ready(())).await;
    assert_eq!((finished.exit_code, finished.outcome.unwrap().status), (1, SessionStatus::Stopped));
    assert!(!fixture.outcome_file().reported);
    assert!(!fixture.workarea().join("ran").exists());
}
