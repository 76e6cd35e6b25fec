//! The scripted runtime.

use crate::fixture::Fixture;
use rensei_proto::{SessionStatus, StageBudget};
use serde_json::json;

async fn stub(behavior: &str) -> Fixture {
    Fixture::new("stub", json!({ "stub.behavior": behavior, "stub.progressTicks": 0 })).await
}

#[tokio::test]
async fn the_happy_path_leaves_a_real_change() {
    let fixture = stub("succeed-with-pr").await;
    let (_, outcome) = fixture.run().await;
    assert_eq!((outcome.status, outcome.provider_name.as_str()), (SessionStatus::Completed, "stub"));
    let commit = fixture.pushed().unwrap();
    assert!(fixture.on_remote(&["show", &format!("{commit}:rensei-stub.md")]).contains(&fixture.id));
    let last = fixture.plane.read(|script| script.bodies("status").last().cloned().unwrap());
    assert_eq!(last["providerSessionId"], json!(format!("stub-session-{}", fixture.id)));
    assert_eq!((&last["inputTokens"], &last["outputTokens"]), (&json!(10), &json!(20)));
    let tools = fixture.plane.read(|script| script.activities().filter(|a| a["toolName"] == "Write").count());
    assert_eq!(tools, 2);
}

#[tokio::test]
async fn every_other_script_ends_as_announced() {
    for (behavior, status, mode) in [
        ("slow-tool", SessionStatus::Completed, None),
        ("cost-overrun", SessionStatus::Completed, None),
        ("silent-fail", SessionStatus::Failed, Some("silent-exit")),
        ("fail-on-clone", SessionStatus::Failed, Some("provider-error")),
        ("mid-stream-error", SessionStatus::Failed, Some("provider-error")),
    ] {
        let (_, outcome) = stub(behavior).await.run().await;
        assert_eq!((outcome.status, outcome.failure_mode.as_deref()), (status, mode), "{behavior}");
    }
}

#[tokio::test]
async fn a_hanging_agent_is_ended_by_its_budget_and_by_its_host() {
    let limit = StageBudget { max_duration_seconds: Some(1), ..StageBudget::default() };
    let fixture = stub("hang-then-timeout").await.with(|detail| detail.stage_budget = Some(limit));
    let (_, outcome) = fixture.run().await;
    assert_eq!(outcome.failure_mode.as_deref(), Some("budget-exceeded"));

    let fixture = stub("hang-then-timeout").await;
    let running = fixture.start();
    fixture.plane.until(|script| script.bodies("status").count() > 0).await;
    assert_eq!(running.shut_down().await.outcome.unwrap().status, SessionStatus::Stopped);
}

#[tokio::test]
async fn an_agent_that_uses_too_much_has_failed() {
    let limit = StageBudget { max_tokens: Some(1_000_000), ..StageBudget::default() };
    let fixture = stub("cost-overrun").await.with(|detail| detail.stage_budget = Some(limit));
    let (_, outcome) = fixture.run().await;
    assert_eq!(outcome.error.as_deref(), Some("budget exceeded: max-tokens (50000000 of 1000000)"));
}
