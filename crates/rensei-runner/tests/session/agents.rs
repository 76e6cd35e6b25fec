//! What agents write, and what they leave running.

use crate::fixture::Fixture;
use crate::plane::content;
use rensei_proto::SessionStatus;
use rensei_proto::outcome::SessionResult;
use std::path::Path;

fn shown(fixture: &Fixture, kind: &str) -> Vec<String> {
    let of_kind = |activity: &&serde_json::Value| activity["type"] == kind;
    fixture.plane.read(|script| script.activities().filter(of_kind).map(|a| content(a).to_owned()).collect())
}

#[tokio::test]
async fn an_endless_line_costs_neither_memory_nor_the_session() {
    let fixture = Fixture::shell("head -c 104857600 /dev/zero | tr '\\0' x; echo; echo done").await;
    let (_, outcome) = fixture.run().await;
    assert_eq!(outcome.status, SessionStatus::Completed);
    let tail = &outcome.result.output_tail;
    assert_eq!(tail.last().unwrap(), "done");
    assert!(tail.iter().all(|line| line.len() <= SessionResult::TAIL_LINE_BYTES));
    assert!(shown(&fixture, "thought").iter().all(|content| content.len() <= 8192));
    assert_eq!(fixture.raw_output().metadata().unwrap().len(), 104_857_600 + 1 + 5);
}

#[tokio::test]
async fn any_bytes_are_output() {
    let fixture = Fixture::shell("printf 'a\\377b\\000c\\n\\033[31mred\\033[0m\\nno newline'").await;
    let (_, outcome) = fixture.run().await;
    assert_eq!(outcome.result.output_tail, ["a\u{fffd}bc", "red", "no newline"]);
    assert_eq!(shown(&fixture, "thought").join("\n"), "a\u{fffd}bc\nred\nno newline");
    assert_eq!(std::fs::read(fixture.raw_output()).unwrap(), b"a\xffb\0c\n\x1b[31mred\x1b[0m\nno newline");
}

#[tokio::test]
async fn only_the_last_lines_are_kept_and_none_is_lost_on_the_way() {
    let fixture = Fixture::shell("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done").await;
    let (_, outcome) = fixture.run().await;
    let wanted: Vec<String> = (2980..3000).map(|n| format!("line {n}")).collect();
    assert_eq!(outcome.result.output_tail, wanted);
    let all: Vec<String> = (0..3000).map(|n| format!("line {n}")).collect();
    assert_eq!(shown(&fixture, "thought").join("\n"), all.join("\n"));
}

#[tokio::test]
async fn output_that_is_not_taken_is_counted() {
    let fixture =
        Fixture::shell("echo ready; read go < fifo; seq 1 1000 | sed \"s/\\$/$(printf %08000d 0)/\"; echo last").await;
    make_fifo(&fixture.workarea().join("fifo"));
    let running = fixture.start();
    fixture.plane.until_activity("ready").await;
    // From here on the control plane takes its time: one activity is on its way while a thousand come.
    fixture.plane.edit(|script| script.fail("activity", 1, 503, &serde_json::json!({ "error": "busy" })));
    std::fs::write(fixture.workarea().join("fifo"), "go\n").unwrap();
    let outcome = running.end().await.outcome.unwrap();
    assert_eq!(outcome.result.output_tail.last().unwrap(), "last");
    let notes = shown(&fixture, "progress");
    let dropped: usize =
        notes.iter().filter_map(|note| note.strip_prefix("dropped ")?.split(' ').next()?.parse::<usize>().ok()).sum();
    let taken: usize = shown(&fixture, "thought").iter().map(|content| content.lines().count()).sum();
    assert!(dropped > 0, "{notes:?}");
    assert_eq!(dropped + taken, 1 + 1000 + 1);
}

#[tokio::test]
async fn the_last_output_reaches_a_control_plane_that_is_far_away() {
    let fixture = Fixture::shell("seq 1 40 | sed \"s/\\$/$(printf %08000d 0)/\"").await;
    fixture.plane.edit(|script| script.pace = std::time::Duration::from_millis(100));
    let (_, outcome) = fixture.run().await;
    assert_eq!(outcome.status, SessionStatus::Completed);
    let taken: usize = shown(&fixture, "thought").iter().map(|content| content.lines().count()).sum();
    assert_eq!(taken, 40);
}

fn make_fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[tokio::test]
async fn a_child_that_keeps_the_output_open_does_not_keep_the_session() {
    let fixture = Fixture::shell("sleep 1000 & echo $! > child; echo done").await;
    let (_, outcome) = fixture.run().await;
    assert_eq!(outcome.status, SessionStatus::Completed);
    assert_eq!(outcome.result.output_tail, ["done"]);
    let child = std::fs::read_to_string(fixture.workarea().join("child")).unwrap();
    let killed = std::process::Command::new("kill").arg(child.trim()).status().unwrap();
    assert!(killed.success(), "what an agent leaves is for the daemon to end, not for its worker");
}

#[tokio::test]
async fn an_agent_need_not_read_its_prompt() {
    let fixture = Fixture::shell("exec <&-; echo fine").await.with(|detail| detail.body = "x".repeat(1 << 20));
    let (_, outcome) = fixture.run().await;
    assert_eq!((outcome.status, outcome.result.output_tail), (SessionStatus::Completed, vec!["fine".to_owned()]));
}

#[tokio::test]
async fn the_prompt_arrives_whole() {
    let fixture = Fixture::shell("wc -c").await.with(|detail| detail.prompt_context = "y".repeat(1 << 20));
    let (_, outcome) = fixture.run().await;
    assert_eq!(outcome.result.output_tail, ["1048576"]);
}

#[tokio::test]
async fn the_agent_gets_its_session_and_no_secrets_and_stays_in_the_group() {
    let fixture = Fixture::shell("env; echo group=$(ps -o pgid= -p $$)").await;
    fixture.run().await;
    let output = std::fs::read_to_string(fixture.raw_output()).unwrap();
    let has = |line: &str| output.lines().any(|l| l == line);
    assert!(has(&format!("RENSEI_SESSION_ID={}", fixture.id)), "{output}");
    assert!(has(&format!("AGENTFACTORY_SESSION_ID={}", fixture.id)));
    assert!(!output.contains("hidden") && !output.contains("token-1"), "{output}");
    let own = rustix::process::getpgrp().as_raw_nonzero().get();
    let group = output.lines().find_map(|line| line.strip_prefix("group=")).unwrap();
    assert_eq!(group.trim().parse::<i32>().unwrap(), own);
}
