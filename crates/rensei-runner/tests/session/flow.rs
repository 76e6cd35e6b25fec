//! From the agent's work to the remote's branch.

use crate::fixture::Fixture;
use rensei_proto::SessionStatus;
use serde_json::json;

#[tokio::test]
async fn a_change_is_committed_pushed_and_reported() {
    let fixture = Fixture::shell("cat > prompt.txt; echo said; echo warned >&2; echo more >> README.md")
        .await
        .with(|detail| (detail.title, detail.prompt_context) = ("Add the prompt".into(), "do\nit".into()));
    let (finished, outcome) = fixture.run().await;
    assert_eq!((finished.exit_code, finished.error), (0, None));
    assert_eq!((outcome.status, outcome.reported), (SessionStatus::Completed, true));
    assert_eq!(fixture.outcome_file(), outcome);

    let commit = fixture.pushed().unwrap();
    let result = &outcome.result;
    assert_eq!(result.commit_sha.as_ref(), Some(&commit));
    assert_eq!(result.base_sha.as_ref(), Some(&fixture.base));
    assert_eq!((result.pushed, result.exit_code), (true, Some(0)));
    assert_eq!(result.branch, Some(format!("agent/{}", fixture.id)));
    let diff = result.diff.as_ref().unwrap();
    assert_eq!((diff.files_changed, diff.insertions, diff.deletions), (2, 3, 0));
    assert_eq!(fixture.on_remote(&["show", &format!("{commit}:prompt.txt")]), "do\nit");
    assert_eq!(fixture.on_remote(&["log", "-1", "--format=%s", &commit]), "Add the prompt");
    assert_eq!(fixture.on_remote(&["log", "-1", "--format=%P", &commit]), fixture.base);

    let statuses = fixture.plane.statuses();
    assert_eq!(statuses, ["running", "finalizing", "completed"]);
    let last = fixture.plane.read(|script| script.bodies("status").last().cloned().unwrap());
    assert_eq!((&last["attempt"], &last["workerId"]), (&json!(3), &json!("wkr_1")));
    assert_eq!(last["result"]["commitSha"], json!(commit));
    assert_eq!(last.get("error"), None);
    let summary = fixture.plane.read(|script| script.bodies("completion").next().unwrap()["summary"].clone());
    assert_eq!(summary, json!(format!("Session completed: 2 files changed, pushed agent/{}", fixture.id)));
    assert_eq!(outcome.summary.as_deref(), summary.as_str());
}

#[tokio::test]
async fn everything_is_said_before_the_end_is() {
    let fixture = Fixture::shell("echo to stdout; echo to stderr >&2; touch new").await;
    fixture.run().await;
    let seen: Vec<(String, String)> = fixture.plane.read(|script| {
        let line = |(route, body): &(&str, serde_json::Value)| match *route {
            "activity" => (body["activity"]["type"].clone(), body["activity"]["content"].clone()),
            "status" => ("status".into(), body["status"].clone()),
            route => (route.into(), "".into()),
        };
        let text = |value: serde_json::Value| value.as_str().unwrap().to_owned();
        script.seen.iter().map(line).map(|(kind, content)| (text(kind), text(content))).collect()
    });
    let at = |kind: &str, content: &str| {
        let found = seen.iter().position(|(k, c)| k == kind && c.contains(content));
        found.unwrap_or_else(|| panic!("{kind} {content} in {seen:?}"))
    };
    let end = at("completion", "");
    assert!(at("thought", "to stdout") < end && at("progress", "to stderr") < end);
    assert!(at("action", "workarea at") < at("action", "committed"));
    assert!(at("action", "committed") < at("action", "pushed") && at("action", "pushed") < end);
    assert_eq!(at("status", "completed"), seen.len() - 1);
}

#[tokio::test]
async fn commits_of_the_agent_itself_are_pushed_as_they_are() {
    let fixture =
        Fixture::shell("echo x > f && git add f && git -c user.name=A -c user.email=a@b commit -qm 'by the agent'")
            .await;
    let (_, outcome) = fixture.run().await;
    assert_eq!(outcome.status, SessionStatus::Completed);
    let commit = fixture.pushed().unwrap();
    assert_eq!(fixture.on_remote(&["log", "--format=%s", &format!("{}..{commit}", fixture.base)]), "by the agent");
    assert_eq!(outcome.result.diff.unwrap().files_changed, 1);
}

#[tokio::test]
async fn without_a_change_nothing_is_pushed() {
    let fixture = Fixture::shell("true").await;
    let (finished, outcome) = fixture.run().await;
    assert_eq!((finished.exit_code, outcome.status), (0, SessionStatus::Completed));
    assert_eq!(outcome.summary.as_deref(), Some("Session completed: no changes"));
    assert_eq!((outcome.result.pushed, outcome.result.branch), (false, None));
    assert_eq!(fixture.pushed(), None);
    assert_eq!(fixture.plane.statuses(), ["running", "completed"]);
}

#[tokio::test]
async fn a_failing_agent_fails_the_session_but_its_work_is_kept() {
    let fixture = Fixture::shell("echo half > half.txt; echo working; echo 'no such thing' >&2; exit 3").await;
    let (finished, outcome) = fixture.run().await;
    assert_eq!(finished.exit_code, 1);
    assert_eq!((outcome.status, outcome.reported), (SessionStatus::Failed, true));
    assert_eq!(outcome.failure_mode.as_deref(), Some("provider-error"));
    assert_eq!(outcome.error.as_deref(), Some("agent exited with exit code 3"));
    assert_eq!((outcome.result.exit_code, outcome.result.signal), (Some(3), None));
    let mut tail = outcome.result.output_tail.clone();
    tail.sort();
    assert_eq!(tail, ["no such thing", "working"]);
    let commit = fixture.pushed().unwrap();
    assert_eq!(fixture.on_remote(&["show", &format!("{commit}:half.txt")]), "half");
    assert!(fixture.on_remote(&["log", "-1", "--format=%b", &commit]).contains("exit code 3"));
    let last = fixture.plane.read(|script| script.bodies("status").last().cloned().unwrap());
    assert_eq!(last["error"]["message"], "agent exited with exit code 3");
    assert_eq!(last["result"]["exitCode"], 3);
    let errors = |script: &crate::plane::Script| script.activities().filter(|a| a["type"] == "error").count();
    assert_eq!(fixture.plane.read(errors), 1);
}

#[tokio::test]
async fn an_agent_that_is_killed_fails_with_the_signal() {
    let fixture = Fixture::shell("kill -9 $$").await;
    let (_, outcome) = fixture.run().await;
    assert_eq!(outcome.error.as_deref(), Some("agent was ended by signal 9 (KILL)"));
    assert_eq!((outcome.result.exit_code, outcome.result.signal), (None, Some(9)));
}

#[tokio::test]
async fn a_push_that_is_refused_fails_the_session() {
    let fixture = Fixture::shell("touch new").await;
    let workarea = fixture.plane.read(|script| script.workarea.clone().unwrap());
    let gone = rensei_proto::control::Workarea { repository: format!("{}-gone", workarea.repository), ..workarea };
    fixture.plane.edit(|script| script.workarea = Ok(gone));
    let (finished, outcome) = fixture.run().await;
    assert_eq!((finished.exit_code, outcome.status), (1, SessionStatus::Failed));
    assert_eq!(outcome.failure_mode.as_deref(), Some("push-failed"));
    assert!(!outcome.result.pushed && outcome.result.commit_sha.is_some());
    assert_eq!(fixture.plane.statuses().last().unwrap(), "failed");
}

#[tokio::test]
async fn no_workarea_fails_the_session_with_the_daemons_words() {
    let fixture = Fixture::shell("true").await;
    let refusal = json!({ "error": "ref `nope` does not exist", "hint": "use an existing branch" });
    fixture.plane.edit(|script| script.workarea = Err((422, refusal)));
    let (finished, outcome) = fixture.run().await;
    assert_eq!(finished.exit_code, 1);
    assert_eq!(outcome.failure_mode.as_deref(), Some("worktree-provision"));
    let error = outcome.error.unwrap();
    assert!(error.contains("ref `nope` does not exist") && error.contains("use an existing branch"), "{error}");
    assert_eq!(fixture.plane.statuses(), ["failed"]);
}

#[tokio::test]
async fn an_unknown_runtime_names_those_there_are() {
    let fixture = Fixture::new("clippy", json!({})).await;
    let (finished, outcome) = fixture.run().await;
    assert_eq!(finished.exit_code, 1);
    assert_eq!(outcome.failure_mode.as_deref(), Some("provider-resolve"));
    assert_eq!(outcome.error.as_deref(), Some("unknown agent runtime `clippy`; available: shell, stub"));
    assert_eq!(fixture.plane.statuses(), ["failed"]);
}

#[tokio::test]
async fn a_shell_without_command_says_where_it_belongs() {
    for config in [json!({}), json!({ "command": " " }), json!({ "command": ["ls"] })] {
        let (_, outcome) = Fixture::new("shell", config).await.run().await;
        assert_eq!((outcome.status, outcome.failure_mode.as_deref()), (SessionStatus::Failed, Some("spawn-failed")));
        assert!(outcome.error.unwrap().contains("`providerConfig.command`"));
    }
}

#[tokio::test]
async fn a_local_session_needs_no_control_plane() {
    let fixture = Fixture::shell("touch new").await.with(|detail| {
        (detail.platform_url, detail.worker_id, detail.auth_token) = (String::new(), String::new(), None);
    });
    let (_, outcome) = fixture.run().await;
    assert_eq!((outcome.status, outcome.reported), (SessionStatus::Completed, true));
    assert!(fixture.pushed().is_some());
    assert!(fixture.plane.read(|script| script.seen.is_empty()));
}
