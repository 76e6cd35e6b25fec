//! Updates of a host with real sessions, by an updater that does what a test says.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_daemon_core::{
    AcceptError, Daemon, DaemonHandle, Fetched, FetchedUpdate, Finished, HookError, Phase, TransitionError,
    UpdateError, UpdateFuture, UpdateHook, UpdateStage,
};
use rensei_proto::SessionId;
use rensei_proto::control::{DrainRequest, HostState, SessionState, SessionView, UpdateOutcome, UpdateResult};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Far more than any step takes; reached only when something hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Version that a script finds.
const NEWER: &str = "9.0.0";

/// What a step of an update does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Nothing,
    Refuses,
    Fails,
    Panics,
    PanicsAtOnce,
    Hangs,
    Works,
    /// Works after [`Script::go_on`].
    Waits,
}

#[derive(Debug, Clone)]
struct Script {
    fetch: Step,
    install: Step,
    gate: Arc<Semaphore>,
    /// Has a permit for each installation that has begun.
    begun: Arc<Semaphore>,
    installed: Arc<AtomicBool>,
    /// Whether a fetched version was thrown away or installed.
    cleaned: Arc<AtomicBool>,
}

impl Script {
    fn new(fetch: Step, install: Step) -> Self {
        let closed = || Arc::new(Semaphore::new(0));
        let (installed, cleaned) = (Arc::default(), Arc::default());
        Self { fetch, install, gate: closed(), begun: closed(), installed, cleaned }
    }

    fn go_on(&self) {
        self.gate.add_permits(1);
    }

    async fn take(&self, step: Step) -> Result<(), HookError> {
        match step {
            Step::Fails => Err("no such host".into()),
            Step::Panics | Step::PanicsAtOnce => panic!("a bug of the updater"),
            Step::Hangs => std::future::pending().await,
            Step::Waits => {
                self.gate.acquire().await?.forget();
                Ok(())
            }
            Step::Works | Step::Nothing | Step::Refuses => Ok(()),
        }
    }
}

impl UpdateHook for Script {
    fn fetch<'a>(&'a self, running: &'a str) -> UpdateFuture<'a, Fetched> {
        assert!(self.fetch != Step::PanicsAtOnce, "a bug of the updater");
        assert_eq!(running, "1.0.0");
        Box::pin(async {
            self.take(self.fetch).await?;
            Ok(match self.fetch {
                Step::Nothing => Fetched::Nothing { reason: "already-up-to-date".to_owned() },
                Step::Refuses => Fetched::Refused { reason: "sig-rejected: nobody signed it".to_owned() },
                _ => Fetched::Ready(Box::new(Newer(self.clone()))),
            })
        })
    }
}

#[derive(Debug)]
struct Newer(Script);

impl FetchedUpdate for Newer {
    fn version(&self) -> &str {
        NEWER
    }

    fn install(self: Box<Self>) -> UpdateFuture<'static, ()> {
        assert!(self.0.install != Step::PanicsAtOnce, "a bug of the updater");
        Box::pin(async move {
            self.0.begun.add_permits(1);
            self.0.take(self.0.install).await?;
            self.0.installed.store(true, SeqCst);
            Ok(())
        })
    }
}

impl Drop for Newer {
    fn drop(&mut self) {
        self.0.cleaned.store(true, SeqCst);
    }
}

struct Host {
    handle: DaemonHandle,
    running: JoinHandle<Finished>,
    script: Script,
}

fn daemon(root: &Path, script: &Script, limit: Duration) -> Daemon {
    Daemon::builder(root.to_owned())
        .worker_command(["/bin/sh", "-c", "eval \"$SCRIPT\""].map(Into::into).to_vec())
        .environment(BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]))
        .version("1.0.0")
        .update_hook(limit, script.clone())
        .build()
        .unwrap()
        .with_control_url("http://127.0.0.1:1")
}

fn configure(root: &Path, drain_seconds: u64) {
    let yaml = format!(
        "machine: {{id: test}}\nautoUpdate: {{drainTimeoutSeconds: {drain_seconds}}}\nprojects:\n- {{id: app, repository: /a}}\n"
    );
    std::fs::write(root.join("daemon.yaml"), yaml).unwrap();
}

impl Host {
    async fn start(root: &Path, script: Script) -> Self {
        Self::start_with(root, script, PATIENCE).await
    }

    async fn start_with(root: &Path, script: Script, limit: Duration) -> Self {
        if !root.join("daemon.yaml").exists() {
            configure(root, 600);
        }
        let daemon = daemon(root, &script, limit);
        let handle = daemon.handle();
        let running = tokio::spawn(daemon.run());
        handle.wait_for_phase(|phase| *phase == Phase::Running).await;
        Self { handle, running, script }
    }

    async fn post(&self, id: &str, script: &str) -> Result<(), AcceptError> {
        let body = serde_json::json!({"sessionId": id, "repository": "app", "env": {"SCRIPT": script}});
        self.handle.post_session(serde_json::from_value(body).unwrap()).await.map(|_handle| ())
    }

    async fn phase(&self, wanted: impl FnMut(&Phase) -> bool) -> Phase {
        tokio::time::timeout(PATIENCE, self.handle.wait_for_phase(wanted)).await.unwrap()
    }

    async fn is_draining(&self) {
        self.phase(|phase| matches!(phase, Phase::Updating { stage: UpdateStage::Draining { .. }, .. })).await;
    }

    /// The phase says so a moment before the updater is called; whoever stops the host in between is heard.
    async fn is_installing(&self) {
        tokio::time::timeout(PATIENCE, self.script.begun.acquire()).await.unwrap().unwrap().forget();
        assert!(matches!(self.handle.phase(), Phase::Updating { stage: UpdateStage::Installing, .. }));
    }

    /// One update from its start to its end, with both events.
    async fn update(&self) -> UpdateResult {
        let mut events = self.handle.update_events();
        let result = self.handle.update().unwrap().ended();
        let result = tokio::time::timeout(PATIENCE, result).await.unwrap().unwrap();
        assert_eq!(events.next().await.unwrap().outcome, UpdateOutcome::Started);
        assert_eq!(*events.next().await.unwrap(), result);
        assert_eq!(self.handle.status().update.as_ref(), Some(&result));
        result
    }

    async fn finished(self) -> Finished {
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap()
    }
}

fn view(handle: &DaemonHandle, id: &str) -> SessionView {
    handle.session_view(&SessionId::parse(id).unwrap()).unwrap()
}

/// A session that ends when this file is there.
fn until_exists(path: &Path) -> String {
    format!("until [ -e {} ]; do sleep 0.02; done", path.display())
}

fn shown(result: &UpdateResult) -> (bool, &str, &str, &str) {
    (result.updated, &result.version, result.outcome.name(), &result.reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_comes_to_nothing_leaves_the_host_as_it_was() {
    let panicked = "the updater panicked: a bug of the updater";
    let failed = "the updater failed: no such host";
    for (fetch, install, outcome, reason) in [
        (Step::Nothing, Step::Works, "no-op", "already-up-to-date"),
        (Step::Refuses, Step::Works, "refused", "sig-rejected: nobody signed it"),
        (Step::Fails, Step::Works, "failed", failed),
        (Step::Panics, Step::Works, "failed", panicked),
        (Step::PanicsAtOnce, Step::Works, "failed", panicked),
        (Step::Hangs, Step::Works, "failed", "the updater took longer than 100 ms"),
        (Step::Works, Step::Fails, "failed", failed),
        (Step::Works, Step::Panics, "failed", panicked),
        (Step::Works, Step::PanicsAtOnce, "failed", panicked),
        (Step::Works, Step::Hangs, "failed", "the updater took longer than 100 ms"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let hangs = fetch == Step::Hangs || install == Step::Hangs;
        let limit = if hangs { Duration::from_millis(100) } else { PATIENCE };
        let host = Host::start_with(dir.path(), Script::new(fetch, install), limit).await;
        let result = host.update().await;
        assert_eq!(shown(&result), (false, "1.0.0", outcome, reason), "{fetch:?} {install:?}");
        assert_eq!(host.handle.phase(), Phase::Running);
        host.post("s1", "sleep 60").await.unwrap();
        // A session is no obstacle for a look, nor is a pause, which stays.
        host.handle.pause().unwrap();
        if fetch != Step::Works {
            assert_eq!(host.update().await.outcome.name(), outcome);
            assert_eq!(view(&host.handle, "s1").state, SessionState::Running);
        }
        assert_eq!(host.handle.phase(), Phase::Paused);
        assert!(matches!(host.post("s2", "true").await, Err(AcceptError::NotRunning { state: "paused" })));
        host.handle.stop();
        assert_eq!(host.finished().await, Finished { forced: 1, restart: false });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_waits_for_sessions_and_ends_with_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let done = dir.path().join("done");
    let host = Host::start(dir.path(), Script::new(Step::Waits, Step::Works)).await;
    host.post("before", &until_exists(&done)).await.unwrap();
    let update = host.handle.update().unwrap();
    assert_eq!(host.handle.status().status, HostState::Updating);
    // While it looks, everything goes on.
    host.post("meanwhile", &until_exists(&done)).await.unwrap();
    host.script.go_on();
    host.is_draining().await;
    let refused = host.post("late", "true").await.unwrap_err();
    assert_eq!((refused.http_status(), refused.to_string().contains("updating")), (503, true), "{refused}");
    assert!(refused.hint().unwrap().contains("newer version"));
    assert!(!host.script.installed.load(SeqCst), "sessions run");
    std::fs::write(done, "").unwrap();
    let result = update.ended().await.unwrap();
    assert_eq!(shown(&result), (true, NEWER, "replaced", "update-applied"));
    assert!(host.script.installed.load(SeqCst));
    for id in ["before", "meanwhile"] {
        assert_eq!(view(&host.handle, id).state, SessionState::Completed);
    }
    assert_eq!(host.finished().await, Finished { forced: 0, restart: true });
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_do_not_end_in_time_are_ended_before_the_new_version_is_installed() {
    let dir = tempfile::tempdir().unwrap();
    configure(dir.path(), 1);
    let host = Host::start(dir.path(), Script::new(Step::Works, Step::Works)).await;
    host.post("s1", "sleep 60").await.unwrap();
    assert_eq!(shown(&host.update().await), (true, NEWER, "replaced", "update-applied"));
    assert_eq!(view(&host.handle, "s1").state, SessionState::Terminated);
    assert_eq!(host.finished().await, Finished { forced: 1, restart: true });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_host_is_updated_too() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path(), Script::new(Step::Works, Step::Works)).await;
    host.handle.pause().unwrap();
    assert!(host.update().await.updated);
    assert!(host.finished().await.restart);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_update_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path(), Script::new(Step::Waits, Step::Works)).await;
    let first = host.handle.update().unwrap();
    let refused = host.handle.update().unwrap_err();
    assert_eq!(refused, UpdateError::Transition(TransitionError { action: "update", state: "updating" }), "{refused}");
    host.handle.pause().unwrap();
    assert!(matches!(host.post("s1", "true").await, Err(AcceptError::NotRunning { state: "updating" })));
    host.handle.resume().unwrap();
    host.post("s2", "true").await.unwrap();
    host.script.go_on();
    assert!(first.ended().await.unwrap().updated);
    assert!(host.finished().await.restart);
}

/// What somebody asks for while an update is under way.
fn ask(handle: &DaemonHandle, wish: &str) {
    let drain = |keep_alive| DrainRequest { timeout_seconds: Some(60), keep_alive };
    match wish {
        "stop" => handle.stop(),
        "drain" => drop(handle.drain(drain(false)).unwrap()),
        "keep" => drop(handle.drain(drain(true)).unwrap()),
        _ => handle.resume().unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_wants_something_else_of_the_host_gets_it() {
    for (wish, while_draining) in [
        ("stop", false),
        ("drain", false),
        ("keep", false),
        ("stop", true),
        ("drain", true),
        ("keep", true),
        ("resume", true),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let done = dir.path().join("done");
        let fetch = if while_draining { Step::Works } else { Step::Waits };
        let host = Host::start(dir.path(), Script::new(fetch, Step::Works)).await;
        host.post("s1", &until_exists(&done)).await.unwrap();
        let update = host.handle.update().unwrap();
        if while_draining {
            host.is_draining().await;
        }
        ask(&host.handle, wish);
        let result = tokio::time::timeout(PATIENCE, update.ended()).await.unwrap().unwrap();
        assert_eq!((result.outcome, result.updated), (UpdateOutcome::Failed, false), "{wish}");
        assert!(result.reason.starts_with("given up: the daemon is "), "{}", result.reason);
        assert_eq!(host.script.cleaned.load(SeqCst), while_draining, "{wish}: nothing stays of what was fetched");
        if wish != "stop" {
            assert_eq!(view(&host.handle, "s1").state, SessionState::Running, "{wish}");
            std::fs::write(&done, "").unwrap();
        }
        if wish == "resume" {
            host.post("s2", "true").await.unwrap();
        }
        if wish == "keep" {
            host.phase(|phase| *phase == Phase::Paused).await;
        }
        if wish == "resume" || wish == "keep" {
            // The next one may begin at once.
            host.script.go_on();
            assert!(host.update().await.updated, "{wish}");
        }
        assert!(!host.script.installed.load(SeqCst) || wish == "resume" || wish == "keep");
        let again = wish == "resume" || wish == "keep";
        assert_eq!(host.finished().await, Finished { forced: usize::from(wish == "stop"), restart: again }, "{wish}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_installed_is_installed_but_a_stop_is_no_restart() {
    for wish in ["stop", "drain", "resume"] {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::start(dir.path(), Script::new(Step::Works, Step::Waits)).await;
        let update = host.handle.update().unwrap();
        host.is_installing().await;
        if wish == "resume" {
            let refused = host.handle.resume().unwrap_err();
            assert_eq!(refused.to_string(), "cannot resume while the daemon is updating");
        } else {
            ask(&host.handle, wish);
        }
        host.script.go_on();
        assert_eq!(shown(&update.ended().await.unwrap()), (true, NEWER, "replaced", "update-applied"), "{wish}");
        assert_eq!(host.finished().await, Finished { forced: 0, restart: wish == "resume" }, "{wish}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_does_not_wait_for_an_installation_that_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path(), Script::new(Step::Works, Step::Hangs)).await;
    let update = host.handle.update().unwrap();
    host.is_installing().await;
    host.handle.stop();
    let cleaned = Arc::clone(&host.script.cleaned);
    assert_eq!(host.finished().await, Finished { forced: 0, restart: false });
    assert_eq!(update.ended().await, None);
    // The installation is dropped with its task.
    while !cleaned.load(SeqCst) {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_host_that_dies_in_an_update_loses_no_session() {
    let dir = tempfile::tempdir().unwrap();
    configure(dir.path(), 600);
    let done = dir.path().join("done");
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let first = runtime();
    first.block_on(async {
        let host = Host::start(dir.path(), Script::new(Step::Works, Step::Works)).await;
        host.post("s1", &until_exists(&done)).await.unwrap();
        host.handle.update().unwrap();
        host.is_draining().await;
        host.running.abort();
    });
    first.shutdown_timeout(PATIENCE);
    runtime().block_on(async {
        let host = Host::start(dir.path(), Script::new(Step::Works, Step::Works)).await;
        assert_eq!(view(&host.handle, "s1").state, SessionState::Running);
        assert_eq!(host.handle.status().update, None);
        host.post("s2", "true").await.unwrap();
        std::fs::write(&done, "").unwrap();
        let update = host.update().await;
        assert!(update.updated && host.script.installed.load(SeqCst));
        assert!(view(&host.handle, "s1").state.is_ended());
        host.finished().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_an_updater_says_so() {
    let dir = tempfile::tempdir().unwrap();
    configure(dir.path(), 600);
    let daemon = Daemon::builder(dir.path().to_owned()).build().unwrap().with_control_url("http://127.0.0.1:1");
    let refused = daemon.handle().update().unwrap_err();
    assert_eq!((&refused, refused.to_string().as_str()), (&UpdateError::NoUpdater, "this host cannot update itself"));
}
