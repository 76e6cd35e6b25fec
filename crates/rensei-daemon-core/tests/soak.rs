//! Many sessions of every bad kind through few slots: nothing is lost, nothing is left, memory stays flat.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_daemon_core::{AcceptError, Daemon, DaemonHandle, Phase, SessionEvent};
use rensei_proto::SessionId;
use rensei_proto::control::{PostSession, SessionState, SessionView};
use std::collections::BTreeMap;
use std::time::Duration;

const SESSIONS: usize = 500;
const SLOTS: usize = 8;
/// Far more than it takes; reached only when something hangs.
const PATIENCE: Duration = Duration::from_secs(150);

/// What the children do, and the state in which their sessions end.
const KINDS: [(&str, &str, SessionState); 7] = [
    ("quick", "exit 0", SessionState::Completed),
    ("failing", "echo no >&2; exit 7", SessionState::Failed),
    ("stubborn", "trap '' TERM; exit 0", SessionState::Completed),
    // Ten thousand lines a second.
    ("chatty", "for i in 0 1 2 3 4 5 6 7 8 9; do seq -f line-$i%03g 0 999; sleep 0.1; done", SessionState::Completed),
    ("endless-line", "head -c 300000 /dev/zero | tr '\\0' x", SessionState::Completed),
    ("binary", "head -c 20000 /dev/urandom", SessionState::Completed),
    ("parent", "sleep 300 & setsid sleep 300 & exit 0", SessionState::Completed),
];

/// Ends only by force, ten seconds after its time is up: a few, because each holds a slot as long.
const IMMORTAL: (&str, &str, SessionState) =
    ("immortal", "trap '' TERM; setsid sleep 300 & while :; do sleep 1; done", SessionState::Terminated);
const ONE_IMMORTAL_IN: usize = 100;

fn kind(n: usize) -> (&'static str, &'static str, SessionState) {
    if n.is_multiple_of(ONE_IMMORTAL_IN) { IMMORTAL } else { KINDS[n % KINDS.len()] }
}

fn session(n: usize) -> PostSession {
    let (name, script, _) = kind(n);
    let limit = (name == IMMORTAL.0).then_some(1);
    let body = serde_json::json!({"sessionId": format!("{name}-{n}"), "repository": "app", "env": {"SCRIPT": script},
        "maxDurationSeconds": limit});
    serde_json::from_value(body).unwrap()
}

/// Posts one session, waiting for a slot as a control plane would.
async fn post(handle: &DaemonHandle, n: usize) {
    loop {
        match handle.post_session(session(n)).await {
            Ok(_) => return,
            Err(AcceptError::Full { .. }) => tokio::time::sleep(Duration::from_millis(2)).await,
            Err(other) => panic!("{other}"),
        }
    }
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn defunct_children() -> usize {
    let own = std::process::id().to_string();
    let stats = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let fields: Vec<String> = stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect();
        Some((fields.first()?.clone(), fields.get(1)?.clone()))
    });
    stats.filter(|(state, parent)| state == "Z" && *parent == own).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_sessions_of_every_bad_kind() {
    let dir = tempfile::tempdir().unwrap();
    let config =
        format!("capacity: {{maxConcurrentSessions: {SLOTS}}}\nprojects:\n- {{id: app, repository: /srv/app}}\n");
    std::fs::write(dir.path().join("daemon.yaml"), config).unwrap();
    let daemon = Daemon::builder(dir.path().to_owned())
        .machine("soak", 2)
        .worker_command(["/bin/sh", "-c", "eval \"$SCRIPT\""].map(Into::into).to_vec())
        .environment(BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]))
        .build()
        .unwrap()
        .with_control_url("http://127.0.0.1:1");
    let handle = daemon.handle();
    let mut events = handle.events();
    let running = tokio::spawn(daemon.run());
    handle.wait_for_phase(|phase| *phase == Phase::Running).await;

    let poster = handle.clone();
    let posting = tokio::spawn(async move {
        for n in 0..SESSIONS {
            post(&poster, n).await;
        }
    });
    let (mut ended, mut half_way_kb, mut most_live) = (BTreeMap::<SessionId, SessionView>::new(), 0, 0);
    tokio::time::timeout(PATIENCE, async {
        while ended.len() < SESSIONS {
            let event = events.next().await.unwrap();
            most_live = most_live.max(handle.live_sessions().len());
            if let SessionEvent::Ended { view } = event.as_ref() {
                assert!(ended.insert(view.session_id.clone(), view.clone()).is_none(), "ended twice");
                if ended.len() == SESSIONS / 2 {
                    half_way_kb = resident_kb();
                }
            }
        }
    })
    .await
    .unwrap();
    posting.await.unwrap();
    assert_eq!(events.missed(), 0);
    assert!(most_live <= SLOTS, "{most_live}");

    for (n, id) in (0..SESSIONS).map(|n| (n, session(n).spec.session_id)) {
        let (name, _, state) = kind(n);
        assert_eq!(ended[&id].state, state, "{id}");
        let output = std::fs::read(handle.session_output(&id).unwrap()).unwrap();
        match name {
            "chatty" => {
                let lines = std::str::from_utf8(&output).unwrap().lines().enumerate();
                assert_eq!(lines.filter(|(at, line)| *line == format!("line-{at:04}")).count(), 10_000, "{id}");
            }
            "endless-line" => assert_eq!(output.len(), 300_000, "{id}"),
            "binary" => assert_eq!(output.len(), 20_000, "{id}"),
            "failing" => assert_eq!(output, b"no\n", "{id}"),
            _ => assert!(output.is_empty(), "{id}"),
        }
    }
    // The second half cost no memory that the first had not.
    let grown = resident_kb().saturating_sub(half_way_kb);
    assert!(grown < 16 * 1024, "grew by {grown} kB in the second half");

    let root = dir.path().canonicalize().unwrap();
    let ours = move || {
        let markers = rensei_process::env_values("RENSEI_SESSION_DIR");
        markers.into_keys().filter(|marker| marker.starts_with(root.to_str().unwrap())).count()
    };
    tokio::time::timeout(PATIENCE, async {
        while ours() > 0 || defunct_children() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("no process and no zombie is left");
    handle.stop();
    assert_eq!(running.await.unwrap().forced, 0);
}
