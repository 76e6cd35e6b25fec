//! A host that is not to register.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_daemon_core::{Daemon, DaemonHandle};
use rensei_proto::SessionId;
use rensei_proto::control::{Registration, RegistrationState};
use rensei_testkit::{FakePlatform, PATIENCE, REGISTRATION_TOKEN, TempState, WorkItem};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// A host `m` of the control plane `url` that serves one project, in this environment.
fn host(root: &Path, url: &str, environment: &[(&str, &str)]) -> Daemon {
    let yaml = format!(
        "machine: {{id: m}}\norchestrator: {{url: \"{url}\", authToken: {REGISTRATION_TOKEN}}}\n\
        projects:\n- {{id: app, repository: /srv/app}}\n"
    );
    std::fs::write(root.join("daemon.yaml"), yaml).unwrap();
    let environment: BTreeMap<_, _> = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Daemon::builder(root.to_owned()).environment(environment).build().unwrap().with_control_url("http://127.0.0.1:1")
}

#[test]
fn what_the_environment_says_of_registration() {
    let stands = |url: &str, environment: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        let Registration { state, worker_id, .. } = host(dir.path(), url, environment).handle().registration();
        (state, worker_id)
    };
    let stub = (RegistrationState::Local, "worker-m-stub".to_owned());
    let real = (RegistrationState::Connecting, String::new());
    for prefix in ["RENSEI", "DONMAI"] {
        for (name, value, forced) in [
            ("FORCE_STUB", "1", true),
            ("FORCE_STUB", "anything", true),
            ("FORCE_STUB", " Off ", false),
            ("FORCE_STUB", "no", false),
            ("FORCE_STUB", "", false),
            ("REAL_REGISTRATION", "0", true),
            ("REAL_REGISTRATION", "FALSE", true),
            ("REAL_REGISTRATION", "1", false),
            ("REAL_REGISTRATION", "", false),
        ] {
            let variable = format!("{prefix}_DAEMON_{name}");
            let expected = if forced { &stub } else { &real };
            assert_eq!(&stands("http://127.0.0.1:1", &[(&variable, value)]), expected, "{variable}={value}");
        }
    }
    assert_eq!(stands("file:///srv/queue", &[]), stub);
}

async fn until<T>(host: &DaemonHandle, look: impl Fn(&DaemonHandle) -> Option<T>) -> T {
    let looking = async {
        loop {
            match look(host) {
                Some(seen) => return seen,
                None => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap()
}

#[tokio::test]
async fn a_host_in_stub_mode_plays_a_worker_that_nobody_hears_of() {
    let platform = FakePlatform::start().await;
    let dir = tempfile::tempdir().unwrap();
    // What a real identity left behind is neither used nor lost.
    let cached = format!(r#"{{"workerId":"wkr_real","runtimeToken":"a.b.c","orchestratorUrl":"{}"}}"#, platform.url());
    std::fs::write(dir.path().join("daemon.jwt"), &cached).unwrap();
    let daemon = host(dir.path(), platform.url(), &[("RENSEI_DAEMON_FORCE_STUB", "1")]);
    let handle = daemon.handle();
    let running = tokio::spawn(daemon.run());

    let first = until(&handle, |host| Some(host.heartbeat()).filter(|beat| !beat.sent_at.is_empty())).await;
    assert_eq!(
        (first.worker_id.as_str(), first.status.as_str(), first.hostname.as_str()),
        ("worker-m-stub", "idle", "m")
    );
    assert_eq!((first.allowlist.len(), first.allowlist_hash.len()), (1, 64));
    // The list goes along once, and again when it has changed.
    handle.pause().unwrap();
    let second = until(&handle, |host| Some(host.heartbeat()).filter(|beat| beat.allowlist.is_empty())).await;
    assert_eq!(second.allowlist_hash, first.allowlist_hash);
    let stats = handle.stats(false, false);
    assert_eq!((stats.worker_id.as_str(), stats.registration.status.as_str()), ("worker-m-stub", "paused"));
    assert!(stats.registration.heartbeat_running && !stats.registration.poll_running);
    handle.set_projects(Vec::new());
    handle.resume().unwrap();
    until(&handle, |host| (host.heartbeat().allowlist_hash != first.allowlist_hash).then_some(())).await;

    assert!(handle.doctor().heartbeat);
    let status = handle.status().registration.unwrap();
    assert_eq!((status.state, status.worker_id.as_str()), (RegistrationState::Local, "worker-m-stub"));
    assert!(status.last_error.unwrap().contains("switched off"));

    handle.stop();
    tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
    assert_eq!(platform.requests().len(), 0, "{:?}", platform.requests());
    assert_eq!(std::fs::read_to_string(dir.path().join("daemon.jwt")).unwrap(), cached);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_real_start_left_running_is_reported_by_the_next_real_start() {
    let platform = FakePlatform::start().await;
    let real = TempState::new(&platform).start_apart().await;
    let go = real.root().join("go");
    platform.enqueue(
        &WorkItem::new("s").attempt(1).script(&format!("while [ ! -e '{}' ]; do sleep 0.02; done", go.display())),
    );
    platform.reported("s", "running").await;
    let state = real.crash().await;
    let (jwt, requests) = (state.root().join("daemon.jwt"), platform.requests().len());
    let cached = std::fs::read_to_string(&jwt).unwrap();

    let daemon = host(state.root(), platform.url(), &[("RENSEI_DAEMON_FORCE_STUB", "1")]);
    let handle = daemon.handle();
    let running = tokio::spawn(daemon.run());
    let session = SessionId::parse("s").unwrap();
    until(&handle, |host| host.session_view(&session).filter(|view| view.adopted)).await;
    std::fs::write(go, "").unwrap();
    until(&handle, |host| host.session_view(&session).filter(|view| view.state.is_ended() && !view.reported)).await;
    handle.stop();
    tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
    assert_eq!(platform.requests().len(), requests, "{:?}", &platform.requests()[requests..]);
    assert_eq!(std::fs::read_to_string(&jwt).unwrap(), cached);

    let real = state.configure(platform.url(), 8).start().await;
    platform.ended("s").await;
    real.stop().await;
}
