//! An embedder's sink gets what workers write, and can hold nobody up.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_daemon_core::{Daemon, DaemonHandle, Finished, OutputLine, OutputSink, Phase};
use rensei_proto::SessionId;
use rensei_proto::control::PostSession;
use rensei_testkit::Capture;
use std::collections::BTreeMap;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(60);

type Seen = Arc<Mutex<Vec<(String, Vec<u8>, bool)>>>;

struct Host {
    handle: DaemonHandle,
    running: JoinHandle<Finished>,
    _state: tempfile::TempDir,
}

impl Host {
    async fn with(sink: impl OutputSink) -> Self {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("daemon.yaml"), "projects:\n- {id: app, repository: /srv/app}\n").unwrap();
        let daemon = Daemon::builder(state.path().to_owned())
            .worker_command(["/bin/sh", "-c", "eval \"$SCRIPT\""].map(Into::into).to_vec())
            .environment(BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]))
            .output_sink(sink)
            .build()
            .unwrap()
            .with_control_url("http://127.0.0.1:1");
        let handle = daemon.handle();
        let running = tokio::spawn(daemon.run());
        handle.wait_for_phase(|phase| *phase == Phase::Running).await;
        Self { handle, running, _state: state }
    }

    async fn run(&self, id: &str, script: &str) {
        self.begin(id, script).await;
        self.ended(id).await;
    }

    async fn begin(&self, id: &str, script: &str) {
        let body = serde_json::json!({"sessionId": id, "repository": "app", "env": {"SCRIPT": script}});
        let post: PostSession = serde_json::from_value(body).unwrap();
        self.handle.post_session(post).await.unwrap();
    }

    async fn ended(&self, id: &str) {
        let id = SessionId::parse(id).unwrap();
        let ended = async {
            while !self.handle.session_view(&id).is_some_and(|view| view.state.is_ended()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.unwrap();
    }

    async fn stop(self) {
        self.handle.stop();
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap();
    }
}

fn collect() -> (Seen, impl OutputSink) {
    let seen = Seen::default();
    let sink = Arc::clone(&seen);
    let keep = move |line: OutputLine<'_>| {
        sink.lock().unwrap().push((line.session_id.to_string(), line.bytes.to_vec(), line.ends));
    };
    (seen, keep)
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_any_length_and_encoding_come_whole_and_in_order() {
    let (seen, sink) = collect();
    let host = Host::with(sink).await;
    host.run("s1", "printf 'one\\n\\ntwo\\377\\n' >&2; head -c 200000 /dev/zero | tr '\\0' x; echo; printf last").await;
    // A stop waits until everything is delivered.
    host.stop().await;
    let seen = seen.lock().unwrap();
    let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
    for (session, bytes, ends) in seen.iter() {
        assert_eq!(session, "s1");
        assert!(bytes.len() <= 64 * 1024);
        lines.last_mut().unwrap().extend_from_slice(bytes);
        if *ends {
            lines.push(Vec::new());
        }
    }
    assert_eq!(lines.pop().unwrap(), b"", "the last line has ended");
    let long = vec![b'x'; 200_000];
    assert_eq!(lines, [&b"one"[..], b"", b"two\xff", &long, b"last"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_panics_misses_that_line_only() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let host = Host::with(move |line: OutputLine<'_>| {
        assert!(line.bytes != b"two", "no twos");
        kept.lock().unwrap().push(String::from_utf8(line.bytes.to_vec()).unwrap());
    })
    .await;
    host.run("s1", "echo one; echo two; echo three").await;
    host.stop().await;
    assert_eq!(*seen.lock().unwrap(), ["one", "three"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_hangs_holds_neither_workers_nor_the_daemon_up_and_hears_what_it_missed() {
    struct Slow {
        reached: mpsc::Sender<()>,
        go_on: Mutex<mpsc::Receiver<()>>,
        missed: mpsc::Sender<u64>,
    }
    impl OutputSink for Slow {
        fn line(&self, _line: OutputLine<'_>) {
            // Hangs at its first line until it is told to go on.
            let _told = self.reached.send(()).map(|()| self.go_on.lock().unwrap().recv());
        }
        fn missed(&self, _session: &SessionId, bytes: u64) {
            self.missed.send(bytes).unwrap();
        }
    }
    let (reached, at_first) = mpsc::channel();
    let (release, go_on) = mpsc::channel();
    let (missed, heard) = mpsc::channel();
    let host = Host::with(Slow { reached, go_on: Mutex::new(go_on), missed }).await;
    // Far more than a sink may lag behind; sessions go on and end all the same.
    let script = "echo first; until [ -e go ]; do sleep 0.01; done; head -c 48000000 /dev/zero | tr '\\0' x";
    host.begin("s1", script).await;
    let at_first = tokio::task::spawn_blocking(move || at_first.recv_timeout(PATIENCE).map(|()| at_first));
    let _kept_open = at_first.await.unwrap().unwrap();
    let output = host.handle.session_output(&SessionId::parse("s1").unwrap()).unwrap();
    std::fs::write(output.with_file_name("go"), "").unwrap();
    host.ended("s1").await;
    host.run("s2", "echo hello").await;
    assert_eq!(host.handle.output_missed(), 0, "nothing is missed before it is due");
    drop(release);
    let bytes = tokio::task::spawn_blocking(move || heard.recv_timeout(PATIENCE)).await.unwrap().unwrap();
    assert!(bytes > 10_000_000, "{bytes}");
    assert_eq!(host.handle.output_missed(), bytes);
    host.stop().await;
}

/// On a runtime of one thread, which is where it would show.
#[tokio::test]
async fn a_hook_that_takes_its_time_leaves_the_runtime_to_others() {
    let state = tempfile::tempdir().unwrap();
    std::fs::write(state.path().join("daemon.yaml"), "projects:\n- {id: app, repository: /srv/app}\n").unwrap();
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let daemon = Daemon::builder(state.path().to_owned())
        .worker_command(["/bin/sh", "-c", "exit 0"].map(Into::into).to_vec())
        .pre_spawn_hook(PATIENCE, move |_spec, environment| {
            wait.lock().unwrap().recv()?;
            Ok(environment)
        })
        .build()
        .unwrap()
        .with_control_url("http://127.0.0.1:1");
    let handle = daemon.handle();
    let running = tokio::spawn(daemon.run());
    handle.wait_for_phase(|phase| *phase == Phase::Running).await;
    let body = serde_json::json!({"sessionId": "s1", "repository": "app"});
    let poster = handle.clone();
    let accepted = tokio::spawn(async move { poster.post_session(serde_json::from_value(body).unwrap()).await });
    while handle.all_sessions().is_empty() {
        tokio::task::yield_now().await;
    }
    // The hook waits for what only this thread does.
    release.send(()).unwrap();
    accepted.await.unwrap().unwrap();
    handle.stop();
    tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_what_a_session_wrote_last_or_says_how_much_it_left_out() {
    let log = Capture::install();
    let host = Host::with(|_line: OutputLine<'_>| {}).await;
    host.run("short", "printf 'one\ntwo'").await;
    host.run("long", "seq 1 50000").await;
    let carried = |id: &str| -> Vec<String> {
        let start = format!("[child output sessionID={id}] ");
        let lines = log.lines_with(&start).into_iter();
        lines.map(|line| line.split_once(&start).unwrap().1.split(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(carried("short"), ["one", "two"]);
    let left_out = log.lines_with("sessionID=long bytes=").into_iter();
    let left_out: usize = left_out.map(|line| line.rsplit_once("bytes=").unwrap().1.parse::<usize>().unwrap()).sum();
    let carried: usize = carried("long").iter().map(|line| line.len() + 1).sum();
    let written: usize = (1..=50_000).map(|number: u32| number.to_string().len() + 1).sum();
    assert!(carried > 0 && left_out > 0);
    assert_eq!(carried + left_out, written);
    host.stop().await;
}
