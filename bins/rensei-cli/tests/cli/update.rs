//! `rensei host update` against a host in this process, which has an updater.

use crate::world::{Done, World, finish};
use rensei_control_api::ControlListener;
use rensei_daemon_core::{Daemon, Fetched, FetchedUpdate, Phase, UpdateFuture, UpdateHook};
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// What there is to find.
#[derive(Debug, Clone, Copy)]
enum Updater {
    Nothing,
    Unsigned,
    Offline,
    Newer,
}

impl UpdateHook for Updater {
    fn fetch<'a>(&'a self, _running: &'a str) -> UpdateFuture<'a, Fetched> {
        Box::pin(async {
            match self {
                Self::Nothing => Ok(Fetched::Nothing { reason: "already-up-to-date".to_owned() }),
                Self::Unsigned => Ok(Fetched::Refused { reason: "sig-rejected: \u{1b}[31mnobody".to_owned() }),
                Self::Offline => Err("no such host".into()),
                Self::Newer => Ok(Fetched::Ready(Box::new(*self))),
            }
        })
    }
}

impl FetchedUpdate for Updater {
    fn version(&self) -> &'static str {
        "9.0.0"
    }

    fn install(self: Box<Self>) -> UpdateFuture<'static, ()> {
        Box::pin(async { Ok(()) })
    }
}

struct Host {
    runtime: Runtime,
    running: JoinHandle<()>,
    port: String,
}

impl Host {
    fn start(root: &Path, updater: Updater) -> Self {
        let runtime = Runtime::new().unwrap();
        let (running, port) = runtime.block_on(async {
            let builder = Daemon::builder(root.to_owned()).version("1.0.0");
            let prepared = builder.update_hook(Duration::from_secs(60), updater).build().unwrap();
            let listener = ControlListener::bind("127.0.0.1", 0).unwrap();
            let port = listener.local_addr().port().to_string();
            let daemon = prepared.with_control_url(&listener.url());
            let handle = daemon.handle();
            let (end, ends) = tokio::sync::oneshot::channel::<()>();
            let api = tokio::spawn(listener.serve(handle.clone(), async { drop(ends.await) }));
            let running = tokio::spawn(async move {
                daemon.run().await;
                drop(end);
                api.await.unwrap();
            });
            handle.wait_for_phase(|phase| *phase == Phase::Running).await;
            (running, port)
        });
        Self { runtime, running, port }
    }

    fn update(&self, world: &World, more: &[&str]) -> Done {
        let at = ["host", "update", "--port", &self.port];
        finish(world.command(&[&at[..], more].concat()))
    }

    /// Waits until it has ended.
    fn end(self) {
        self.runtime.block_on(self.running).unwrap();
    }
}

#[test]
fn what_comes_of_an_update_is_shown_and_is_the_exit_code() {
    for (updater, code, outcome, says) in [
        (Updater::Nothing, 0, "no-op", "version 1.0.0 stays: already-up-to-date"),
        (Updater::Unsigned, 1, "refused", "version 1.0.0 stays, the update was refused: sig-rejected: "),
        (Updater::Offline, 1, "failed", "version 1.0.0 stays, the update failed: the updater failed: no such host"),
    ] {
        let world = World::new();
        world.configure("/srv/alpha", "");
        let host = Host::start(&world.state(), updater);
        let done = host.update(&world, &[]).exits(code);
        assert!(format!("{}{}", done.stdout, done.stderr).contains(says), "{done:?}");
        assert!(!done.stderr.contains('\u{1b}'), "{done:?}");
        assert_eq!(done.stderr.contains("rensei host logs"), code == 1, "{done:?}");
        let result = host.update(&world, &["--json"]).exits(code).json();
        assert_eq!((&result["outcome"], &result["updated"]), (&outcome.into(), &false.into()));
        assert_eq!(result["version"], "1.0.0");
    }
}

#[test]
fn a_host_that_is_not_started_again_is_exit_code_3() {
    let world = World::new();
    world.configure("/srv/alpha", "");
    let host = Host::start(&world.state(), Updater::Newer);
    let done = host.update(&world, &["--json", "--wait", "0"]).exits(3);
    assert_eq!((&done.json()["outcome"], &done.json()["version"]), (&"replaced".into(), &"9.0.0".into()));
    assert!(done.stderr.contains("rensei host run"), "{done:?}");
    host.end();
}

#[test]
fn the_daemon_that_comes_after_is_waited_for() {
    let world = World::new();
    world.configure("/srv/alpha", "");
    let host = Host::start(&world.state(), Updater::Newer);
    let port = host.port.clone();
    let (done, _after) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| world.run(&["host", "update", "--port", &port, "--wait", "60"]));
        host.end();
        // As a service manager would.
        let after = world.start(&["host", "run", "--port", &port], "[daemon] state -> running");
        (asking.join().unwrap(), after)
    });
    let done = done.exits(0);
    let runs = format!("update: version 9.0.0 is in place; the daemon runs {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(done.stdout, runs);
}

#[test]
fn a_host_without_an_updater_says_what_to_do() {
    let world = World::new();
    world.configure("/srv/alpha", "");
    let (_host, url) = world.host();
    let port = url.rsplit(':').next().unwrap();
    let done = world.run(&["host", "update", "--port", port]).exits(1);
    assert!(done.stderr.contains("this host cannot update itself"), "{done:?}");
    assert!(done.stderr.contains("rensei host drain"), "{done:?}");
}
