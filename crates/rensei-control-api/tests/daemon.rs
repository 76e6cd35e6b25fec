//! The control API in front of a real daemon, called by the real client.

#![cfg(all(feature = "client", feature = "server"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use rensei_control_api::{ControlClient, ControlError, ControlListener, OutputQuery, StatsQuery};
use rensei_daemon_core::{Daemon, DaemonHandle, Phase};
use rensei_proto::control::{DrainRequest, EvictPoolRequest, HostState, PostSession, SessionState, Workarea};
use rensei_proto::{Secret, SessionId};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Far more than any step takes; reached only when something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Leaves its token where the test finds it, as a whole, and runs the session's script.
const WORKER: &str = "echo $RENSEI_SESSION_TOKEN > .token && mv .token token; eval \"$SCRIPT\"";

struct Host {
    client: ControlClient,
    root: PathBuf,
    handle: DaemonHandle,
    running: JoinHandle<()>,
}

/// A daemon for four sessions; its worker runs the script in the session's environment.
async fn start(root: &Path, repository: &str) -> Host {
    let yaml = format!(
        "machine: {{id: test}}\ncapacity: {{maxConcurrentSessions: 4}}\nprojects:\n- {{id: app, repository: {repository}}}\n"
    );
    std::fs::write(root.join("daemon.yaml"), yaml).unwrap();
    let listener = ControlListener::bind("127.0.0.1", 0).unwrap();
    let url = listener.url();
    let command: Vec<OsString> = ["/bin/sh", "-c", WORKER].map(OsString::from).to_vec();
    let environment = ["PATH", "HOME"].map(|name| (name.to_owned(), std::env::var(name).unwrap_or_default()));
    let daemon = Daemon::builder(root.to_owned())
        .worker_command(command)
        .environment(BTreeMap::from(environment))
        .build()
        .unwrap()
        .with_control_url(&url);
    let handle = daemon.handle();
    let (ended, shutdown) = oneshot::channel::<()>();
    let served = listener.serve(handle.clone(), async {
        let _ = shutdown.await;
    });
    let running = tokio::spawn(async move {
        let daemon = async {
            daemon.run().await;
            drop(ended);
        };
        tokio::join!(served, daemon);
    });
    handle.wait_for_phase(|phase| matches!(phase, Phase::Running)).await;
    Host { client: ControlClient::new(&url).unwrap(), root: root.to_owned(), handle, running }
}

impl Host {
    /// Asks for a workarea as the worker of the session does.
    async fn workarea(&self, id: &SessionId) -> Result<Workarea, ControlError> {
        let file = self.root.join("sessions").join(id.as_str()).join("token");
        let waiting = async {
            let mut tick = tokio::time::interval(Duration::from_millis(5));
            while !file.exists() {
                tick.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
        let token = Secret::from(std::fs::read_to_string(&file).unwrap().trim().to_owned());
        self.client.clone().bearer(&token).workarea(id).await
    }

    async fn post(&self, id: &str, script: &str) -> Result<SessionId, ControlError> {
        let json = serde_json::json!({"sessionId": id, "repository": "app", "env": {"SCRIPT": script}});
        let post: PostSession = serde_json::from_value(json).unwrap();
        self.client.post_session(&post).await.map(|handle| handle.session_id)
    }

    /// The whole output of a session, read until it has ended.
    async fn follow(&self, id: &SessionId) -> String {
        let mut output = self.client.output(id, OutputQuery { follow: true, ..OutputQuery::default() }).await.unwrap();
        let mut whole = Vec::new();
        while let Some(piece) = output.next_chunk().await {
            whole.extend_from_slice(&piece.unwrap());
        }
        String::from_utf8(whole).unwrap()
    }

    async fn stop(self) {
        assert!(self.client.stop().await.unwrap().ok);
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap();
        assert!(matches!(self.client.status().await, Err(ControlError::NotRunning { .. })));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_from_post_to_record() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path(), "/srv/app").await;
    assert_eq!(host.client.status().await.unwrap().status, HostState::Ready);
    let id = host.post("post-1", "for i in 1 2 3; do echo line $i; sleep 0.05; done; exit 3").await.unwrap();
    assert_eq!(host.client.session_detail(&id).await.unwrap().session_id, id);
    assert_eq!(host.follow(&id).await, "line 1\nline 2\nline 3\n");
    let record = host.client.session_record(&id).await.unwrap();
    assert_eq!((record.state, record.exit_code), (SessionState::Failed, Some(3)));
    assert_eq!(host.client.all_sessions().await.unwrap().len(), 1);
    assert!(host.client.sessions().await.unwrap().is_empty());
    assert_eq!(host.client.session_detail(&id).await.unwrap_err().http_status(), Some(404));
    host.stop().await;
}

/// Writes the beginning of its log and waits; then the log is as if its file system could not free the middle, and shorter.
const CLOSED_UP: &str = r#"head -c 1048576 /dev/zero | tr '\0' x; head -c 100000 /dev/zero | tr '\0' y
while [ ! -e go ]; do sleep 0.02; done
truncate -s 1048576 "$RENSEI_SESSION_DIR/output.log"
printf '\n[... %20d bytes of output were dropped here ...]\nlast\n' 100000"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_becomes_shorter_cuts_nobody_off() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path(), "/srv/app").await;
    let id = host.post("shorter", CLOSED_UP).await.unwrap();
    let mut output = host.client.output(&id, OutputQuery { follow: true, ..OutputQuery::default() }).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 1_148_576 {
        seen.extend_from_slice(&output.next_chunk().await.unwrap().unwrap());
    }
    std::fs::write(dir.path().join("sessions/shorter/go"), "").unwrap();
    while let Some(piece) = output.next_chunk().await {
        seen.extend_from_slice(&piece.expect("the stream goes on"));
    }
    assert!(seen.ends_with(b"last\n"), "{:?}", seen.last_chunk::<80>());
    let late = host.follow(&id).await;
    assert!(late.ends_with("xx\n[... 100000 bytes of output were dropped here ...]\nlast\n"), "{}", &late[1_048_570..]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_parallel_posts_to_four_slots() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path(), "/srv/app").await;
    let ids: Vec<_> = (0..16).map(|n| format!("slot-{n}")).collect();
    let answers = futures_util::future::join_all(ids.iter().map(|id| host.post(id, "sleep 60"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 4);
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!((refused.http_status(), refused.to_string().as_str()), (Some(503), "at capacity (4/4 sessions)"));
        assert!(refused.is_retryable() && refused.hint().is_some());
    }
    let live = host.client.sessions().await.unwrap();
    assert_eq!(live.len(), 4);
    let again = host.post(live[0].session_id.as_str(), "true").await.unwrap_err();
    assert_eq!(again.http_status(), Some(409));
    assert!(host.client.stop_session(&live[0].session_id, Some("enough")).await.unwrap().stopped);
    host.follow(&live[0].session_id).await;
    assert_eq!(host.client.session_record(&live[0].session_id).await.unwrap().state, SessionState::Terminated);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phases_decide_what_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path(), "/srv/app").await;
    host.client.pause().await.unwrap();
    let error = host.post("phase-1", "true").await.unwrap_err();
    let ControlError::Refused { status: 503, body } = error else { panic!("{error:?}") };
    assert_eq!((body.status.as_deref(), body.session_id.as_deref()), (Some("paused"), Some("phase-1")));
    host.client.resume().await.unwrap();
    host.post("phase-1", "sleep 60").await.unwrap();
    let drain = DrainRequest { timeout_seconds: Some(3600), keep_alive: true };
    assert_eq!(host.client.drain(&drain).await.unwrap().message, "drain initiated (timeout 1h0m0s)");
    assert_eq!(host.client.status().await.unwrap().status, HostState::Draining);
    assert_eq!(host.client.pause().await.unwrap_err().http_status(), Some(409));
    let unknown = serde_json::from_value(serde_json::json!({"sessionId": "phase-2", "repository": "other"})).unwrap();
    host.client.resume().await.unwrap();
    assert_eq!(host.client.post_session(&unknown).await.unwrap_err().http_status(), Some(400));
    assert!(host.handle.is_started());
    host.stop().await;
}

fn git(dir: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"];
    let done = std::process::Command::new("git").args(identity).args(arguments).current_dir(dir).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_gets_its_workarea() {
    let dir = tempfile::tempdir().unwrap();
    let repository = make_repository(dir.path());
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let host = start(&state, repository.to_str().unwrap()).await;
    let id = host.post("area-1", "sleep 60").await.unwrap();
    let workarea = host.workarea(&id).await.unwrap();
    assert_eq!(std::fs::read_to_string(Path::new(&workarea.path).join("file")).unwrap(), "content");
    assert_eq!(host.workarea(&id).await.unwrap().path, workarea.path);
    let post =
        serde_json::json!({"sessionId": "area-2", "repository": "app", "ref": "nope", "env": {"SCRIPT": "sleep 60"}});
    let post: PostSession = serde_json::from_value(post).unwrap();
    let other = host.client.post_session(&post).await.unwrap().session_id;
    let error = host.workarea(&other).await.unwrap_err();
    let text = error.to_string();
    assert!(
        error.http_status() == Some(422) && text.contains(": ") && text.contains("nope"),
        "the whole chain: {text}"
    );
    let nobody = SessionId::parse("area-3").unwrap();
    assert_eq!(host.client.workarea(&nobody).await.unwrap_err().http_status(), Some(404));
    host.stop().await;
}

fn make_repository(dir: &Path) -> PathBuf {
    let repository = dir.join("repository");
    std::fs::create_dir(&repository).unwrap();
    std::fs::write(repository.join("file"), "content").unwrap();
    git(&repository, &["init", "-q"]);
    git(&repository, &["add", "."]);
    git(&repository, &["commit", "-q", "-m", "first"]);
    repository
}

/// Runs a session that has a workarea to its end.
async fn run_with_workarea(host: &Host, dir: &Path, id: &str, exit: u8) -> Workarea {
    let gate = dir.join(id);
    assert!(std::process::Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let script = format!("read line < '{}'; exit {exit}", gate.display());
    let id = host.post(id, &script).await.unwrap();
    let workarea = host.workarea(&id).await.unwrap();
    std::fs::write(Path::new(&workarea.path).join("left"), "behind").unwrap();
    std::fs::write(gate, "go\n").unwrap();
    let gone = async {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        let held = || async { host.client.pool_stats().await.unwrap().acquired_members > 0 };
        while Path::new(&workarea.path).exists() || held().await {
            tick.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    workarea
}

#[tokio::test(flavor = "multi_thread")]
async fn workareas_return_to_the_pool_or_are_archived() {
    let dir = tempfile::tempdir().unwrap();
    let repository = make_repository(dir.path());
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let host = start(&state, repository.to_str().unwrap()).await;
    assert_eq!(run_with_workarea(&host, dir.path(), "s1", 0).await.acquire_path, "cold");
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    while host.client.pool_stats().await.unwrap().ready_members == 0 {
        tick.tick().await;
    }
    let archives = state.join("workareas");
    assert!(!archives.exists(), "what succeeded is not archived");
    let second = run_with_workarea(&host, dir.path(), "s2", 1).await;
    assert_eq!(second.acquire_path, "pool-warm");
    while host.client.workareas().await.unwrap().archived.is_empty() {
        tick.tick().await;
    }
    assert_eq!(host.client.pool_stats().await.unwrap().total_members, 0);
    let archive = std::fs::read_dir(&archives).unwrap().map(|entry| entry.unwrap().path()).next().unwrap();
    assert_eq!(std::fs::read_to_string(archive.join("tree/left")).unwrap(), "behind");
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(archive.join("manifest.json")).unwrap()).unwrap();
    assert_eq!((&manifest["sessionId"], &manifest["disposition"]), (&"s2".into(), &"failed".into()));
    assert_eq!((&manifest["commit"], &manifest["branch"]), (&second.commit.into(), &"agent/s2".into()));
    run_with_workarea(&host, dir.path(), "s3", 0).await;
    while host.client.pool_stats().await.unwrap().ready_members == 0 {
        tick.tick().await;
    }
    let stats = host.client.stats(StatsQuery { pool: true, ..StatsQuery::default() }).await.unwrap().pool.unwrap();
    assert_eq!((stats.total_members, stats.members[0].repository.as_str()), (1, repository.to_str().unwrap()));
    for (repo_url, status) in [("", 400), ("nonsense", 400)] {
        let request = EvictPoolRequest { repo_url: repo_url.into(), older_than_seconds: 0 };
        assert_eq!(host.client.evict_pool(&request).await.unwrap_err().http_status(), Some(status), "{repo_url}");
    }
    let request = EvictPoolRequest { repo_url: "app".into(), older_than_seconds: 0 };
    assert_eq!(host.client.evict_pool(&request).await.unwrap().evicted, 1);
    assert!(host.client.set_capacity("capacity.poolMaxDiskGb", "1").await.unwrap().ok);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_says_of_itself() {
    let dir = tempfile::tempdir().unwrap();
    let host = start(dir.path(), "/srv/app").await;
    let stats = host.client.stats(StatsQuery::default()).await.unwrap();
    assert_eq!((stats.capacity.max_concurrent_sessions, stats.queue_depth, stats.by_machine), (4, 0, None));
    assert_eq!(
        (stats.registration.status.as_str(), stats.allowed_projects),
        ("unregistered", vec!["/srv/app".to_owned()])
    );
    let stats = host.client.stats(StatsQuery { by_machine: true, ..StatsQuery::default() }).await.unwrap();
    assert_eq!(stats.by_machine.unwrap().iter().map(|machine| machine.id.as_str()).collect::<Vec<_>>(), ["test"]);
    assert!(host.client.set_capacity("capacity.maxConcurrentSessions", "1").await.unwrap().ok);
    assert_eq!(host.client.status().await.unwrap().max_sessions, 1);
    for (key, value, error) in [
        ("capacity.maxConcurrentSessions", "-1", "value must be non-negative integer"),
        ("nonsense", "x", "value must be non-negative integer"),
        ("nonsense", "1", "unknown key"),
    ] {
        let refused = host.client.set_capacity(key, value).await.unwrap_err();
        assert_eq!((refused.http_status(), refused.to_string().as_str()), (Some(400), error), "{key} {value}");
    }
    assert_eq!(host.client.heartbeat().await.unwrap().status, "", "none was sent");
    let doctor = host.client.doctor().await.unwrap();
    assert_eq!((doctor.state.as_str(), doctor.project_count, doctor.heartbeat), ("running", 1, false));
    let kinds: Vec<_> = host.client.capabilities().await.unwrap().provides.into_iter().map(|p| p.kind).collect();
    assert!(kinds.starts_with(&["native", "http", "host-binary", "workarea"].map(str::to_owned)), "{kinds:?}");
    assert_eq!(host.client.update().await.unwrap_err().http_status(), Some(501));
    assert_eq!(host.client.openapi().await.unwrap()["openapi"], "3.1.0");
    host.stop().await;
}
