//! Sessions with real processes on a host without a control plane.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_daemon_core::{AcceptError, Daemon, DaemonBuilder, DaemonHandle, Finished, ProviderRegistry};
use rensei_proto::control::{DrainRequest, HostState, PostSession, Provider, SessionState, SessionView};
use rensei_proto::{SessionId, SessionStatus};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Far more than any step takes; reached only when something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

struct Host {
    handle: DaemonHandle,
    running: JoinHandle<Finished>,
}

fn write_config(root: &Path, max: usize) {
    std::fs::create_dir_all(root).unwrap();
    let yaml = format!(
        "machine: {{id: test}}\ncapacity: {{maxConcurrentSessions: {max}}}\nprojects:\n- id: app\n  repository: /srv/app\n"
    );
    std::fs::write(root.join("daemon.yaml"), yaml).unwrap();
}

/// A daemon whose worker is `/bin/sh -c "$SCRIPT"`, the script coming from each session's environment.
async fn start(root: &Path) -> Host {
    start_with(root, |builder| builder).await
}

async fn start_with(root: &Path, change: impl FnOnce(DaemonBuilder) -> DaemonBuilder) -> Host {
    if !root.join("daemon.yaml").exists() {
        write_config(root, 8);
    }
    let command: Vec<OsString> = ["/bin/sh", "-c", "eval \"$SCRIPT\""].map(OsString::from).to_vec();
    let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    let builder = Daemon::builder(root.to_owned()).worker_command(command).environment(environment);
    let daemon = change(builder).build().unwrap().with_control_url("http://127.0.0.1:1");
    let handle = daemon.handle();
    let running = tokio::spawn(daemon.run());
    handle.wait_for_phase(|phase| matches!(phase, rensei_daemon_core::Phase::Running)).await;
    Host { handle, running }
}

fn post(id: &str, script: &str, extra: serde_json::Value) -> PostSession {
    let mut body = serde_json::json!({"sessionId": id, "repository": "app", "env": {"SCRIPT": script}});
    body.as_object_mut().unwrap().extend(extra.as_object().cloned().unwrap_or_default());
    serde_json::from_value(body).unwrap()
}

fn id(text: &str) -> SessionId {
    SessionId::parse(text).unwrap()
}

impl Host {
    async fn post(&self, id: &str, script: &str) -> Result<(), AcceptError> {
        self.handle.post_session(post(id, script, serde_json::json!({}))).await.map(|_handle| ())
    }

    async fn ended(&self, id: &str) -> SessionView {
        until(|| self.handle.session_view(&self::id(id)).filter(|view| view.state.is_ended())).await
    }

    async fn stop(self) -> Finished {
        self.handle.stop();
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap()
    }
}

/// Looks until there is something to see.
async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("condition is reached in time")
}

fn marked(id: &str) -> Vec<u32> {
    rensei_process::find_by_env("RENSEI_SESSION_ID", id)
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path()).await;
    host.post("ok", "echo hello; exit 0").await.unwrap();
    host.post("bad", "echo one; echo two >&2; exit 3").await.unwrap();
    host.post("shot", "kill -9 $$").await.unwrap();
    let (ok, bad, shot) = (host.ended("ok").await, host.ended("bad").await, host.ended("shot").await);
    assert_eq!((ok.state, ok.exit_code), (SessionState::Completed, Some(0)));
    assert_eq!((bad.state, bad.exit_code), (SessionState::Failed, Some(3)));
    assert_eq!((shot.state, shot.signal), (SessionState::Failed, Some(9)));
    let outcome = bad.outcome.unwrap();
    assert_eq!(outcome.result.output_tail, ["one", "two"]);
    assert!(outcome.error.unwrap().contains("exit code 3"));
    let output = std::fs::read_to_string(host.handle.session_output(&id("ok")).unwrap()).unwrap();
    assert_eq!(output, "hello\n");
    host.stop().await;
}

/// A worker that ends well when it is told to end, and says when it can be told.
const POLITE: &str = "trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done";

impl Host {
    async fn post_polite(&self, id: &str, extra: serde_json::Value) {
        self.handle.post_session(post(id, POLITE, extra)).await.unwrap();
        self.says(id, "up\n").await;
    }

    async fn says(&self, id: &str, text: &str) {
        let output = self.handle.session_output(&self::id(id)).unwrap();
        until(|| (std::fs::read_to_string(&output).ok()? == text).then_some(())).await;
    }
}

/// State, status that the control plane hears, and why.
fn end_of(view: SessionView) -> (SessionState, SessionStatus, String) {
    let outcome = view.outcome.unwrap();
    (view.state, outcome.status, format!("{}: {}", outcome.failure_mode.unwrap(), outcome.error.unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_ended_did_not_complete_however_politely_it_left() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path()).await;
    host.post_polite("asked", serde_json::json!({})).await;
    host.post_polite("drained", serde_json::json!({})).await;
    host.post_polite("slow", serde_json::json!({"maxDurationSeconds": 1})).await;
    host.handle.stop_session(&id("asked"), Some("enough".to_owned())).unwrap();
    let mut ends = vec![("asked", host.ended("asked").await), ("slow", host.ended("slow").await)];
    host.handle.drain(DrainRequest { timeout_seconds: Some(1), keep_alive: true }).unwrap();
    ends.push(("drained", host.ended("drained").await));
    host.handle.wait_for_phase(|phase| matches!(phase, rensei_daemon_core::Phase::Paused)).await;
    host.handle.resume().unwrap();
    host.post_polite("with-daemon", serde_json::json!({})).await;
    let handle = host.handle.clone();
    assert_eq!(host.stop().await.forced, 2, "the drained one and the last one");
    ends.push(("with-daemon", handle.session_view(&id("with-daemon")).unwrap()));
    let expected = [
        (SessionStatus::Stopped, "stopped: stopped by an operator: enough; worker ended with exit code 0"),
        (SessionStatus::Failed, "timeout: ran longer than maxDurationSeconds (1); worker ended with exit code 0"),
        (SessionStatus::Stopped, "stopped: stopped at the end of a drain; worker ended with exit code 0"),
        (SessionStatus::Stopped, "stopped: stopped with the daemon; worker ended with exit code 0"),
    ];
    for ((id, view), (status, why)) in ends.into_iter().zip(expected) {
        assert_eq!(end_of(view), (SessionState::Terminated, status, why.to_owned()), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_had_finished_when_it_was_stopped_has_completed() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path()).await;
    let outcome = r#"{"version":1,"sessionId":"done","status":"completed","reported":true}"#;
    let script = format!("printf '%s' '{outcome}' > $RENSEI_SESSION_DIR/outcome.json; {POLITE}");
    host.post("done", &script).await.unwrap();
    host.says("done", "up\n").await;
    host.handle.stop_session(&id("done"), None).unwrap();
    assert_eq!(host.ended("done").await.state, SessionState::Completed);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_parallel_posts_to_four_slots_accept_exactly_four() {
    let dir = tempfile::tempdir().unwrap();
    write_config(dir.path(), 4);
    let host = start(dir.path()).await;
    let posts: Vec<_> = (0..16)
        .map(|n| {
            let handle = host.handle.clone();
            tokio::spawn(
                async move { handle.post_session(post(&format!("s{n}"), "sleep 60", serde_json::json!({}))).await },
            )
        })
        .collect();
    let mut accepted = 0;
    for task in posts {
        match task.await.unwrap() {
            Ok(_) => accepted += 1,
            Err(AcceptError::Full { active: 4, max: 4 }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((accepted, host.handle.live_sessions().len()), (4, 4));
    let finished = host.stop().await;
    assert_eq!(finished.forced, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    write_config(dir.path(), 1);
    let host = start(dir.path()).await;
    let refused = host.handle.post_session(post("a", "true", serde_json::json!({"repository": "other"}))).await;
    assert!(matches!(refused, Err(AcceptError::NotAllowed { .. })));
    host.post("a", "sleep 60").await.unwrap();
    assert!(matches!(host.post("a", "true").await, Err(AcceptError::Duplicate { .. })));
    assert!(matches!(host.post("b", "true").await, Err(AcceptError::Full { .. })));
    host.handle.pause().unwrap();
    assert!(matches!(host.post("b", "true").await, Err(AcceptError::NotRunning { state: "paused" })));
    host.handle.resume().unwrap();
    assert!(host.handle.stop_session(&id("a"), Some("enough".to_owned())).unwrap().stopped);
    let ended = host.ended("a").await;
    assert_eq!(ended.state, SessionState::Terminated);
    assert!(ended.reason.unwrap().contains("enough"));
    assert!(host.handle.stop_session(&id("nobody"), None).is_none());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn capacity_and_projects_change_while_sessions_run() {
    let dir = tempfile::tempdir().unwrap();
    write_config(dir.path(), 1);
    let host = start(dir.path()).await;
    host.post("a", "sleep 60").await.unwrap();
    host.handle.set_max_sessions(2);
    host.handle.set_projects(Vec::new());
    assert!(matches!(host.post("b", "true").await, Err(AcceptError::NotAllowed { .. })));
    let app =
        rensei_daemon_core::config::Project { id: "app".into(), repository: "/srv/app".into(), ..Default::default() };
    host.handle.set_projects(vec![app]);
    host.post("b", "true").await.unwrap();
    host.ended("b").await;
    host.handle.set_max_sessions(0);
    assert!(matches!(host.post("c", "true").await, Err(AcceptError::Full { active: 1, max: 0 })));
    assert_eq!(host.handle.live_sessions().len(), 1, "what runs goes on");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_session_outlives_it() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path()).await;
    // Leaves one child in its group and one outside, then ends well.
    host.post("tidy", "sleep 300 & setsid sleep 300 & exit 0").await.unwrap();
    // Leaves one in another session, ignores TERM, and has to be killed.
    host.post("wild", "setsid sleep 300 & trap '' TERM; echo up; while :; do sleep 0.1; done").await.unwrap();
    assert_eq!(host.ended("tidy").await.state, SessionState::Completed);
    let output = host.handle.session_output(&id("wild")).unwrap();
    until(|| (std::fs::read_to_string(&output).ok()? == "up\n").then_some(())).await;
    assert!(host.handle.stop_session(&id("wild"), None).unwrap().stopped);
    assert_eq!(host.ended("wild").await.signal, Some(9));
    until(|| (marked("tidy").is_empty() && marked("wild").is_empty()).then_some(())).await;
    host.stop().await;
}

/// Generations of a chain of processes, each of which starts the next one in a session of its own and is gone. They end
/// by themselves after a few seconds, whatever becomes of the test.
const GENERATIONS: usize = 300;
const GENERATION: &str = r#"[ "$LEFT" -gt 0 ] && [ -e "$TRAIL" ] || exit; echo >> "$TRAIL"; export LEFT=$((LEFT - 1)); sleep 0.03; setsid sh -c "$GENERATION" &"#;

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_fork_all_the_time_end_with_their_session() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path()).await;
    let trails = ["a", "b", "c"].map(|name| dir.path().join(name));
    let begun = |trail: &Path| std::fs::read(trail).map_or(0, |trail| trail.len());
    let chains: Vec<_> =
        trails.iter().map(|trail| format!(r#"TRAIL='{}' sh -c "$GENERATION""#, trail.display())).collect();
    for trail in &trails {
        std::fs::write(trail, "").unwrap();
    }
    let bomb =
        format!("export LEFT={GENERATIONS} GENERATION='{GENERATION}'; {}; echo up; exec sleep 300", chains.join("; "));
    host.post("calm", "sleep 300").await.unwrap();
    host.post("bomb", &bomb).await.unwrap();
    until(|| trails.iter().all(|trail| begun(trail) > 5).then_some(())).await;
    assert!(host.handle.stop_session(&id("bomb"), None).unwrap().stopped);
    assert_eq!(host.ended("bomb").await.state, SessionState::Terminated);
    // What forks all the time is easily missed by one look.
    until(|| (0..10).all(|_look| marked("bomb").is_empty()).then_some(())).await;
    for trail in &trails {
        assert!(begun(trail) < GENERATIONS, "it was killed and did not end by itself");
    }
    assert_eq!(host.handle.session_view(&id("calm")).unwrap().state, SessionState::Running);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_a_worker_replaced_hold_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path()).await;
    let script =
        "cd $RENSEI_SESSION_DIR; for f in output.log outcome.json stop.json; do rm -f $f; mkfifo $f; done; sleep 0.6";
    for id in ["pipes-1", "pipes-2", "pipes-3"] {
        host.post(id, script).await.unwrap();
    }
    for id in ["pipes-1", "pipes-2", "pipes-3"] {
        assert_eq!(host.ended(id).await.state, SessionState::Completed);
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_gets_nothing_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path()).await;
    host.post("over", "true").await.unwrap();
    host.ended("over").await;
    assert!(host.handle.session_detail(&id("over")).is_none());
    assert!(host.handle.acquire_workarea(&id("over")).await.is_err());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_limit_ends_a_session_as_failed() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path()).await;
    let limited = post("slow", "sleep 300", serde_json::json!({"maxDurationSeconds": 1}));
    host.handle.post_session(limited).await.unwrap();
    let ended = host.ended("slow").await;
    assert_eq!(ended.state, SessionState::Terminated);
    let outcome = ended.outcome.unwrap();
    assert_eq!(outcome.status, SessionStatus::Failed);
    assert!(outcome.error.unwrap().contains("maxDurationSeconds"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_waits_for_the_last_session_then_ends() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path()).await;
    let go = dir.path().join("go");
    host.post("last", &format!("while [ ! -e {} ]; do sleep 0.05; done", go.display())).await.unwrap();
    host.handle.drain(DrainRequest::default()).unwrap();
    assert!(matches!(host.post("late", "true").await, Err(AcceptError::NotRunning { state: "draining" })));
    std::fs::write(go, "").unwrap();
    let finished = tokio::time::timeout(PATIENCE, host.running).await.unwrap().unwrap();
    assert_eq!(finished.forced, 0);
    assert_eq!(host.handle.session_view(&id("last")).unwrap().state, SessionState::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_with_keep_alive_pauses_and_its_deadline_forces() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path()).await;
    host.post("endless", "sleep 300").await.unwrap();
    host.handle.drain(DrainRequest { timeout_seconds: Some(1), keep_alive: true }).unwrap();
    host.handle.wait_for_phase(|phase| matches!(phase, rensei_daemon_core::Phase::Paused)).await;
    assert_eq!(host.ended("endless").await.state, SessionState::Terminated);
    host.handle.resume().unwrap();
    host.post("again", "true").await.unwrap();
    host.ended("again").await;
    assert_eq!(host.stop().await.forced, 1);
}

/// The daemon disappears without a word: its runtime is dropped, its processes stay.
fn crash_with(root: &Path, sessions: &[(&str, &str)]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let host = start(root).await;
        for (id, script) in sessions {
            host.post(id, script).await.unwrap();
        }
        for (id, _) in sessions {
            let record = root.join("sessions").join(id).join("record.jsonl");
            until(|| std::fs::read_to_string(&record).ok()?.contains("\"process\"").then_some(())).await;
        }
        host.running.abort();
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
}

#[test]
fn survivors_of_a_crash_are_adopted_and_the_dead_are_buried() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let waits = format!("while [ ! -e {} ]; do sleep 0.05; done; echo done", go.display());
    crash_with(dir.path(), &[("survivor", &waits), ("victim", "sleep 300 & sleep 300")]);
    let victim: u32 = {
        let record = std::fs::read_to_string(dir.path().join("sessions/victim/record.jsonl")).unwrap();
        let started = record.lines().find(|line| line.contains("\"started\"")).unwrap();
        let started: serde_json::Value = serde_json::from_str(started).unwrap();
        u32::try_from(started["process"]["pid"].as_u64().unwrap()).unwrap()
    };
    // Only the leader dies, as by `kill -9` of the worker; its child stays behind.
    let killed = std::process::Command::new("kill").args(["-9", &victim.to_string()]).status().unwrap();
    assert!(killed.success());

    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let host = start(dir.path()).await;
        let survivor = host.handle.session_view(&id("survivor")).unwrap();
        assert!(survivor.adopted && survivor.state == SessionState::Running, "{survivor:?}");
        let buried = host.ended("victim").await;
        assert_eq!(buried.outcome.unwrap().status, SessionStatus::Failed);
        until(|| marked("victim").is_empty().then_some(())).await;
        std::fs::write(&go, "").unwrap();
        assert!(host.ended("survivor").await.reason.unwrap().contains("exit code is not known"));
        let output = std::fs::read_to_string(host.handle.session_output(&id("survivor")).unwrap()).unwrap();
        assert_eq!(output, "done\n");
        host.stop().await;
    });
}

/// The line of a journal that names the session's process.
fn started_line(journal: &str) -> (&str, serde_json::Value) {
    let line = journal.lines().find(|line| line.contains("\"started\"")).unwrap();
    (line, serde_json::from_str(line).unwrap())
}

/// A crash, after which a stranger lives under the pid that the journal names, made a little different by `change`.
fn a_stranger_survives(change: fn(&mut serde_json::Value)) {
    let dir = tempfile::tempdir().unwrap();
    crash_with(dir.path(), &[("old", "exec sleep 300")]);
    for pid in marked("old") {
        std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    }
    let mut stranger = std::process::Command::new("sleep").arg("300").spawn().unwrap();
    let path = dir.path().join("sessions/old/record.jsonl");
    let journal = std::fs::read_to_string(&path).unwrap();
    let (line, mut strange) = started_line(&journal);
    strange["process"] = serde_json::to_value(rensei_process::ProcessIdentity::of(stranger.id()).unwrap()).unwrap();
    change(&mut strange["process"]);
    std::fs::write(&path, journal.replace(line, &strange.to_string())).unwrap();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let host = start(dir.path()).await;
        let ended = host.ended("old").await;
        assert_eq!(ended.outcome.unwrap().status, SessionStatus::Failed);
        host.stop().await;
    });
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was not signalled");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn a_recycled_pid_is_left_alone() {
    a_stranger_survives(|process| {
        let started = process["startTime"].as_u64().unwrap();
        process["startTime"] = (started - 1).into();
    });
}

#[test]
fn after_a_reboot_no_old_pid_is_signalled_and_sessions_are_lost() {
    a_stranger_survives(|process| process["bootId"] = "8f0c57f1-7d5b-4f4c-9c1f-2f9a3f1c3f10".into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_daemon_leaves_its_sessions_to_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let dropped = start(dir.path()).await;
    let go = dir.path().join("go");
    dropped.post("heir", &format!("while [ ! -e {} ]; do sleep 0.02; done", go.display())).await.unwrap();
    dropped.running.abort();
    assert!(dropped.running.await.unwrap_err().is_cancelled());
    let next = start(dir.path()).await;
    assert!(next.handle.session_view(&id("heir")).unwrap().adopted);
    std::fs::write(go, "").unwrap();
    next.ended("heir").await;
    // The first one has seen nothing of this, nor has it written anything: there is one end.
    assert_eq!(dropped.handle.session_view(&id("heir")).unwrap().state, SessionState::Running);
    let journal = std::fs::read_to_string(dir.path().join("sessions/heir/record.jsonl")).unwrap();
    assert_eq!(journal.matches("\"ended\"").count(), 1, "{journal}");
    next.stop().await;
}

#[test]
fn a_worker_that_no_journal_names_is_found_by_its_marker() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let waits = format!("while [ ! -e {} ]; do sleep 0.05; done", go.display());
    crash_with(dir.path(), &[("nameless", &waits)]);
    // As if the daemon had been killed between the start of the process and the line that says so.
    let path = dir.path().join("sessions/nameless/record.jsonl");
    let journal = std::fs::read_to_string(&path).unwrap();
    let (line, started) = started_line(&journal);
    std::fs::write(&path, journal.replace(line, "")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let host = start(dir.path()).await;
        let adopted = host.handle.session_view(&id("nameless")).unwrap();
        assert_eq!((adopted.adopted, u64::from(adopted.pid)), (true, started["process"]["pid"].as_u64().unwrap()));
        std::fs::write(&go, "").unwrap();
        host.ended("nameless").await;
        host.stop().await;
    });
}

/// What is asked of a draining host, in order, and how long each drain is said to last at most.
#[tokio::test(flavor = "multi_thread")]
async fn drains_of_any_length_and_in_any_order_are_defined() {
    use rensei_daemon_core::Phase;
    let drain = |timeout_seconds, keep_alive| DrainRequest { timeout_seconds, keep_alive };
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path()).await;
    host.post("endless", "exec sleep 300").await.unwrap();
    let state = || host.handle.status().status;
    // None and 0 mean the configured time; one that no clock can hold is as long as can be.
    let configured = host.handle.drain(drain(None, false)).unwrap();
    assert_eq!(host.handle.drain(drain(Some(0), false)).unwrap(), configured);
    host.handle.drain(drain(Some(u64::MAX), false)).unwrap();
    assert!(state() == HostState::Draining && !host.handle.live_sessions().is_empty());
    // A resume takes it back, as often as one likes, and sessions go on.
    for _ in 0..2 {
        host.handle.resume().unwrap();
        assert_eq!(state(), HostState::Ready);
    }
    host.post("more", "exit 0").await.unwrap();
    host.ended("more").await;
    // A pause is not what a drain is; a second drain replaces the first, also its keep-alive.
    host.handle.drain(drain(Some(3600), false)).unwrap();
    assert!(host.handle.pause().is_err() && state() == HostState::Draining);
    host.handle.drain(drain(Some(1), true)).unwrap();
    host.handle.wait_for_phase(|phase| matches!(phase, Phase::Paused)).await;
    assert_eq!(host.ended("endless").await.state, SessionState::Terminated);
    // A drain of an empty, paused host is complete at once; a stop during a drain ends it now.
    host.handle.drain(drain(None, true)).unwrap();
    host.handle.wait_for_phase(|phase| matches!(phase, Phase::Paused)).await;
    host.handle.resume().unwrap();
    host.post("last", "exec sleep 300").await.unwrap();
    host.handle.drain(drain(Some(3600), true)).unwrap();
    let finished = host.stop().await;
    assert_eq!(finished.forced, 2, "one by the deadline, one by the stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_puts_in_place_of_the_hosts_files_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path()).await;
    let victim = dir.path().join("victim");
    std::fs::write(&victim, "mine").unwrap();
    let plants = ["mkfifo .stop.tmp", "rm record.jsonl; mkfifo record.jsonl", "ln -s ../../victim .stop.tmp"];
    for (nth, plant) in plants.iter().enumerate() {
        let name = format!("s{nth}");
        host.post(&name, &format!("cd \"$RENSEI_SESSION_DIR\"; {plant}; touch planted; exec sleep 300")).await.unwrap();
        let planted = dir.path().join("sessions").join(&name).join("planted");
        until(|| planted.exists().then_some(())).await;
        assert!(host.handle.stop_session(&id(&name), None).unwrap().stopped);
        assert_eq!(host.ended(&name).await.state, SessionState::Terminated, "{plant}");
    }
    assert_eq!(std::fs::read_to_string(victim).unwrap(), "mine");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_journal_is_read_up_to_its_last_whole_line() {
    let dir = tempfile::tempdir().unwrap();
    let journal = |id: &str| dir.path().join("sessions").join(id).join("record.jsonl");
    let host = start(dir.path()).await;
    for id in ["whole", "torn", "lost"] {
        host.post(id, "exit 0").await.unwrap();
        host.ended(id).await;
    }
    host.stop().await;
    let cut = |id: &str, keep: fn(usize) -> usize| {
        let bytes = std::fs::read(journal(id)).unwrap();
        std::fs::write(journal(id), &bytes[..keep(bytes.len())]).unwrap();
    };
    cut("torn", |len| len - 5);
    cut("lost", |_| 20);

    let host = start(dir.path()).await;
    assert_eq!(host.handle.session_view(&id("whole")).unwrap().state, SessionState::Completed);
    // Its end was not written whole: it had been running, its process is gone.
    assert_eq!(host.ended("torn").await.state, SessionState::Failed);
    assert!(host.handle.session_view(&id("lost")).is_none());
    assert!(dir.path().join("sessions/.damaged-lost/record.jsonl").exists());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_cannot_be_one_is_named() {
    use rensei_proto::control::RegistrationState::{Local, Refused};
    let cases = [
        ("orchestrator: {url: 'http://127.0.0.1:1', authToken: '${NOPE}'}", Refused, "NOPE"),
        ("orchestrator: {url: 'http://127.0.0.1:1', authToken: wak_x}", Refused, "no registration token"),
        ("orchestrator: {url: 'http://127.0.0.1:1'}", Refused, "missing"),
        ("orchestrator: {url: 'file:///tmp/queue'}", Local, ""),
    ];
    for (orchestrator, state, word) in cases {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("daemon.yaml"), format!("machine: {{id: m}}\n{orchestrator}\n")).unwrap();
        let host = start(dir.path()).await;
        let registration = host.handle.registration();
        assert_eq!(registration.state, state, "{orchestrator}");
        assert!(registration.last_error.unwrap_or_default().contains(word), "{orchestrator}");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_texts_are_cut_in_lists_and_events_and_whole_in_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path()).await;
    let mut events = host.handle.events();
    let session = dir.path().join("sessions/wordy");
    host.post("wordy", "while [ ! -e go ]; do sleep 0.02; done").await.unwrap();
    let (summary, tail) = ("é".repeat(100_000), vec!["é".repeat(450); 20]);
    let outcome = serde_json::json!({"version": 1, "sessionId": "wordy", "status": "completed", "summary": summary,
        "result": {"outputTail": tail, "branch": "b".repeat(10_000)}});
    std::fs::write(session.join("outcome.json"), outcome.to_string()).unwrap();
    std::fs::write(session.join("go"), "").unwrap();
    let view = host.ended("wordy").await;
    let cut = view.outcome.clone().unwrap();
    let text = cut.summary.unwrap();
    assert!((4000..=4096).contains(&text.len()) && text.ends_with('…'), "{}", text.len());
    let lines = &cut.result.output_tail;
    assert_eq!((lines.len(), lines[0].as_str(), &lines[1]), (5, "…", &tail[0]), "the last ones, in 4 KiB");
    assert!(serde_json::to_string(&view).unwrap().len() < 12_000);
    let told = loop {
        if let rensei_daemon_core::SessionEvent::Ended { view } = &*events.next().await.unwrap() {
            break view.clone();
        }
    };
    assert_eq!(told.outcome, view.outcome);
    let check_whole = |handle: &DaemonHandle| {
        let whole = handle.session_record(&id("wordy")).unwrap().outcome.unwrap();
        assert_eq!((whole.summary.unwrap(), whole.result.output_tail), (summary.clone(), tail.clone()));
    };
    check_whole(&host.handle);
    host.stop().await;
    let next = start(dir.path()).await;
    assert_eq!(next.handle.session_view(&id("wordy")).unwrap().outcome, view.outcome);
    check_whole(&next.handle);
    next.stop().await;
}

/// What is in a directory that takes a while to delete.
fn fill(directory: &Path, files: usize) {
    (0..files).for_each(|nth| std::fs::write(directory.join(format!("f{nth}")), "").unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_free_when_nothing_is_left_of_a_session_that_could_not_be_started() {
    let dir = tempfile::tempdir().unwrap();
    let sessions = dir.path().join("sessions");
    let root = sessions.clone();
    let host = start_with(dir.path(), |builder| {
        builder.pre_spawn_hook(PATIENCE, move |spec, env| {
            if env.get(std::ffi::OsStr::new("SCRIPT")).is_none_or(|script| script != "refuse") {
                return Ok(env);
            }
            fill(&root.join(spec.session_id.as_str()), 3000);
            Err("refused".into())
        })
    })
    .await;
    for id in ["x0", "x1", "x2"] {
        let handle = host.handle.clone();
        let refused = tokio::spawn(async move { handle.post_session(post(id, "refuse", serde_json::json!({}))).await });
        let hooked = sessions.join(id).join("f0");
        until(|| hooked.exists().then_some(())).await;
        loop {
            match host.post(id, "exec sleep 300").await {
                Ok(()) => break,
                Err(AcceptError::Duplicate { .. }) => tokio::time::sleep(Duration::from_millis(1)).await,
                Err(other) => panic!("{id}: {other:?}"),
            }
        }
        assert!(matches!(refused.await.unwrap(), Err(AcceptError::Hook(_))));
        assert!(sessions.join(id).join("record.jsonl").exists() && sessions.join(id).join("output.log").exists());
    }
    host.stop().await;
}

/// A journal of a session that ended, for another id and time.
fn journal_of(journal: &str, id: &str, nth: usize) -> String {
    let lines = journal.lines().filter(|line| !line.is_empty()).map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        for part in ["view", "detail"] {
            if line.get(part).is_some() {
                line[part]["sessionId"] = id.into();
            }
        }
        if line.get("view").is_some() {
            line["view"]["acceptedAt"] = format!("2026-01-01T00:00:00.{nth:03}Z").into();
            line["view"]["outcome"] = serde_json::Value::Null;
        }
        line.to_string()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_id_that_comes_again_keeps_what_is_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let sessions = dir.path().join("sessions");
    let host = start(dir.path()).await;
    host.post("pattern", "true").await.unwrap();
    host.ended("pattern").await;
    host.stop().await;
    let pattern = std::fs::read_to_string(sessions.join("pattern/record.jsonl")).unwrap();
    std::fs::remove_dir_all(sessions.join("pattern")).unwrap();
    for nth in 0..549 {
        let name = format!("s-{nth:03}");
        let directory = sessions.join(&name);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("record.jsonl"), journal_of(&pattern, &name, nth)).unwrap();
        fill(&directory, if nth < 49 { 60 } else { 0 });
    }
    std::fs::create_dir(sessions.join(".forgotten-7")).unwrap();
    let host = start(dir.path()).await;
    assert!(host.handle.session_view(&id("s-000")).is_some() && !sessions.join(".forgotten-7").exists());
    // One more, and the oldest fifty are forgotten.
    host.post("new", "true").await.unwrap();
    until(|| host.handle.session_view(&id("s-049")).is_none().then_some(())).await;
    host.post("s-049", "exec sleep 300").await.unwrap();
    let is_old = |name: &str| name.starts_with('.') || (name < "s-049" && name.starts_with("s-"));
    let names = || std::fs::read_dir(&sessions).unwrap().map(|entry| entry.unwrap().file_name());
    until(|| (!names().any(|name| is_old(name.to_str().unwrap()))).then_some(())).await;
    assert!(sessions.join("s-049/record.jsonl").exists());
    assert_eq!(host.handle.session_view(&id("s-049")).unwrap().state, SessionState::Running);
    host.stop().await;
}

/// Has nothing, and hangs from the moment that it is told to until the other side of the channel is gone.
struct Hanging(Arc<AtomicBool>, Mutex<mpsc::Receiver<()>>);

impl ProviderRegistry for Hanging {
    fn providers(&self) -> Vec<Provider> {
        if self.0.load(Ordering::SeqCst) {
            let _closed = self.1.lock().unwrap().recv();
        }
        Vec::new()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_is_looked_after_also_while_the_registry_of_the_embedder_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let (hang, (go, may_go)) = (Arc::new(AtomicBool::new(false)), mpsc::channel());
    let registry = Hanging(Arc::clone(&hang), Mutex::new(may_go));
    let host = start_with(dir.path(), |builder| builder.provider_registry(registry)).await;
    hang.store(true, Ordering::SeqCst);
    let (handle, posted) = (host.handle.clone(), post("s-1", "exit 3", serde_json::json!({})));
    let accept = tokio::spawn(async move { handle.post_session(posted).await });
    assert_eq!(host.ended("s-1").await.exit_code, Some(3));
    assert!(!accept.is_finished(), "the registry hangs");
    drop(go);
    accept.await.unwrap().unwrap();
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_that_is_being_let_in_holds_up_the_end_of_a_drain() {
    use rensei_daemon_core::{Phase, config::Project};
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path()).await;
    // Finding the project among so many takes a while, between the look at the phase and the place in the table.
    let project = |id: String| Project { repository: format!("https://git.example/{id}"), id, ..Default::default() };
    let many = (0..5000).map(|nth| project(format!("other-{nth}"))).chain([project("app".to_owned())]);
    host.handle.set_projects(many.collect());
    for round in 0..8 {
        let name = format!("late-{round}");
        let (handle, posted) = (host.handle.clone(), post(&name, "exec sleep 300", serde_json::json!({})));
        let accept = tokio::spawn(async move { handle.post_session(posted).await });
        tokio::time::sleep(Duration::from_millis(round * 3)).await;
        host.handle.drain(DrainRequest { timeout_seconds: Some(3600), keep_alive: true }).unwrap();
        if accept.await.unwrap().is_ok() {
            assert_eq!(host.handle.status().status, HostState::Draining, "{name} runs");
            host.handle.stop_session(&id(&name), None).unwrap();
        }
        host.handle.wait_for_phase(|phase| matches!(phase, Phase::Paused)).await;
        assert!(host.handle.live_sessions().is_empty(), "{name}");
        host.handle.resume().unwrap();
    }
    host.stop().await;
}
