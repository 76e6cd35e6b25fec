//! Who learns of a session's end, and how it begins.

use crate::fixture::Fixture;
use rensei_proto::SessionStatus;
use serde_json::json;

/// A URL on which nobody listens.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn an_end_that_cannot_be_reported_is_left_to_the_daemon() {
    let fixture = Fixture::shell("touch new").await.with(|detail| detail.platform_url = nowhere());
    let (finished, outcome) = fixture.run().await;
    assert_eq!((finished.exit_code, outcome.status), (0, SessionStatus::Completed));
    assert!(!outcome.reported);
    let left = fixture.outcome_file();
    assert!(!left.reported);
    assert_eq!((left.status, left.result), (outcome.status, outcome.result));
    assert!(fixture.pushed().is_some(), "the work is pushed all the same");
}

#[tokio::test]
async fn a_report_is_repeated_until_it_is_accepted() {
    let fixture = Fixture::shell("true").await;
    fixture.plane.edit(|script| script.fail("completion", 1, 500, &json!({ "error": "database is locked" })));
    let (_, outcome) = fixture.run().await;
    assert!(outcome.reported);
    assert_eq!(fixture.plane.read(|script| script.bodies("completion").count()), 1);
    assert_eq!(fixture.plane.statuses().last().unwrap(), "completed");
}

#[tokio::test]
async fn a_refused_completion_does_not_keep_the_status() {
    let fixture = Fixture::shell("true").await;
    fixture.plane.edit(|script| script.fail("completion", 1, 400, &json!({ "error": "no" })));
    let (_, outcome) = fixture.run().await;
    assert!(outcome.reported);
    assert_eq!(fixture.plane.read(|script| script.asked["completion"]), 1);
    assert_eq!(fixture.plane.statuses().last().unwrap(), "completed");
}

#[tokio::test]
async fn a_moot_report_is_done_and_a_refused_one_is_not() {
    for (status, reported) in [(404, true), (409, true), (400, false), (403, false)] {
        let fixture = Fixture::shell("true").await;
        // The first status is `running`.
        fixture.plane.edit(|script| {
            script.fail("status", 1, 200, &json!({}));
            script.fail("status", 3, status, &json!({ "error": "no" }));
        });
        let (_, outcome) = fixture.run().await;
        assert_eq!((outcome.reported, fixture.outcome_file().reported), (reported, reported), "{status}");
    }
}

#[tokio::test]
async fn an_end_that_is_refused_for_a_moment_is_heard_all_the_same() {
    let fixture = Fixture::shell("true").await;
    fixture.plane.edit(|script| {
        script.fail("status", 1, 200, &json!({}));
        script.fail("status", 1, 404, &json!({ "error": "no such backend" }));
    });
    let (_, outcome) = fixture.run().await;
    assert!(outcome.reported);
    assert_eq!(fixture.plane.statuses(), ["completed"]);
}

#[tokio::test]
async fn replaced_credentials_are_fetched_and_used() {
    let fixture = Fixture::shell("echo ready; read go < fifo; touch new; echo later").await;
    let made = std::process::Command::new("mkfifo").arg(fixture.workarea().join("fifo")).status().unwrap();
    assert!(made.success());
    let running = fixture.start();
    fixture.plane.until_activity("ready").await;
    fixture.plane.edit(|script| {
        script.accepted_token = "token-2".to_owned();
        script.detail.worker_id = "wkr_2".to_owned();
        script.detail.auth_token = Some(rensei_proto::Secret::from("token-2"));
        script.detail.attempt = Some(99);
    });
    std::fs::write(fixture.workarea().join("fifo"), "go\n").unwrap();
    let outcome = running.end().await.outcome.unwrap();
    assert_eq!((outcome.status, outcome.reported), (SessionStatus::Completed, true));
    let last = fixture.plane.read(|script| script.bodies("status").last().cloned().unwrap());
    assert_eq!(last["workerId"], "wkr_2");
    assert_eq!(last["attempt"], 3, "a later claim is not this worker's");
    assert!(fixture.plane.read(|script| script.activities().any(|a| a["content"] == "later")));
    // Activities and status may both find out at the same time; whoever comes later uses what they got.
    assert!(fixture.plane.read(|script| script.asked["detail"]) <= 3);
}

#[tokio::test]
async fn the_last_good_credentials_are_kept_when_the_daemon_has_no_others() {
    let fixture = Fixture::shell("true").await;
    fixture.plane.edit(|script| script.fail("completion", 1, 401, &json!({ "error": "Runtime token expired" })));
    let (_, outcome) = fixture.run().await;
    assert!(outcome.reported);
    assert_eq!(fixture.plane.read(|script| script.bodies("completion").count()), 1);
}

#[tokio::test]
async fn a_session_that_the_daemon_does_not_know_is_not_begun() {
    let fixture = Fixture::shell("touch ran").await;
    fixture.plane.edit(|script| script.fail("detail", 1, 404, &json!({ "error": "session not found" })));
    let finished = fixture.start().end().await;
    assert_eq!(finished.exit_code, 2);
    let error = finished.error.unwrap();
    assert!(error.starts_with("preflight: ") && error.ends_with("session not found"), "{error}");
    let outcome = finished.outcome.unwrap();
    assert_eq!((outcome.status, outcome.reported), (SessionStatus::Failed, false));
    assert_eq!(outcome.failure_mode.as_deref(), Some("preflight"));
    assert_eq!(fixture.outcome_file(), outcome);
    assert_eq!(fixture.plane.read(|script| script.asked["detail"]), 1, "a refusal is final");
    assert!(!fixture.workarea().join("ran").exists());
}

#[tokio::test]
async fn a_daemon_in_trouble_is_asked_again_but_not_for_long() {
    let fixture = Fixture::shell("true").await;
    fixture.plane.edit(|script| script.fail("detail", 2, 500, &json!({ "error": "x" })));
    assert_eq!(fixture.start().end().await.exit_code, 0);
    let fixture = Fixture::shell("true").await;
    fixture.plane.edit(|script| script.broken.push("detail"));
    assert_eq!(fixture.start().end().await.exit_code, 2);
}

#[tokio::test]
async fn a_daemon_that_restarts_while_its_worker_starts_is_waited_for() {
    let fixture = Fixture::shell("touch ran").await;
    fixture.plane.edit(|script| {
        script.fail("detail", 8, 503, &json!({ "error": "daemon is still starting", "status": "starting" }));
    });
    let (finished, outcome) = fixture.run().await;
    assert_eq!((finished.exit_code, outcome.status), (0, SessionStatus::Completed));
    assert_eq!(fixture.plane.read(|script| script.asked["detail"]), 9);
}

#[tokio::test]
async fn bad_input_ends_before_anything_is_asked() {
    let fixture = Fixture::shell("true").await;
    for (id, text) in [("", "--session-id"), ("../x", "invalid sessionId"), ("a/b", "invalid sessionId")] {
        let options = rensei_runner::RunOptions { session_id: id.to_owned(), ..fixture.options() };
        let finished = rensei_runner::run(options, std::future::pending()).await;
        assert_eq!((finished.exit_code, finished.outcome), (2, None));
        assert!(finished.error.unwrap().contains(text));
    }
    for url in ["", "not a url"] {
        let options = rensei_runner::RunOptions { daemon_url: url.to_owned(), ..fixture.options() };
        let finished = rensei_runner::run(options, std::future::pending()).await;
        assert_eq!((finished.exit_code, finished.outcome.unwrap().failure_mode.as_deref()), (2, Some("preflight")));
    }
    assert!(fixture.plane.read(|script| script.asked.is_empty()));
}

#[tokio::test]
async fn a_control_plane_url_that_makes_no_sense_is_a_preflight_error() {
    let fixture = Fixture::shell("true").await.with(|detail| detail.platform_url = "ftp://x".into());
    let finished = fixture.start().end().await;
    assert_eq!(finished.exit_code, 2);
    assert!(finished.error.unwrap().contains("ftp"));
}
