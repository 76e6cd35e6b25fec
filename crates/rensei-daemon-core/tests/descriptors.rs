//! A host that has run out of file descriptors goes on with what it has, and takes work again by itself. Alone in its
//! process, because the limit is the process's.

use rensei_testkit::{Call, Capture, FakePlatform, TempState, WorkItem};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;

/// Opens what is left.
fn hoard() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_and_sessions_survive_running_out_of_descriptors() {
    let capture = Capture::install();
    let platform = FakePlatform::start().await;
    let host = TempState::new(&platform).start().await;
    let go = host.root().join("go");
    let script = format!("while [ ! -e '{}' ]; do sleep 0.02; done; exit 3", go.display());
    platform.enqueue(&WorkItem::new("running").attempt(1).script(&script));
    platform.reported("running", "running").await;
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(128), maximum }).unwrap();

    let all = hoard();
    assert!(all.len() < 128, "the limit holds");
    // The connections that there are go on; a session cannot be started, so another host gets it.
    platform.enqueue(&WorkItem::new("refused").attempt(1));
    assert_eq!(platform.nacked("refused").await.json()["hostFault"], true);
    let incident = host.until(|host| host.handle().status().incident).await;
    assert!(incident.contains("sessions cannot be started"), "{incident}");
    // An end of a session is noticed and reported without any.
    File::create(&go).unwrap_err();
    drop(all);
    File::create(&go).unwrap();
    let end = platform.ended("running").await;
    assert_eq!((&end["status"], &end["result"]["exitCode"]), (&"failed".into(), &3.into()));
    platform.enqueue(&WorkItem::new("after").attempt(1));
    assert_eq!(platform.ended("after").await["status"], "completed");
    host.until(|host| host.handle().status().incident.is_none().then_some(())).await;
    platform.until_more(Call::Heartbeat, 2).await;
    assert_eq!(platform.count(Call::Register), 1);
    host.stop().await;
    capture.assert_clean();
}
