//! `kill -9` of the daemon at every point of a session's life: the session is never lost, never runs a second time, and
//! its end is heard.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_daemon_core::Daemon;
use rensei_testkit::{Call, FakePlatform, Fault, PATIENCE, TempState, WorkItem};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const SESSION: &str = "session";
/// Moments after a point that are tried, in steps of [`STEP`].
const ROUNDS: u32 = 8;
const STEP: Duration = Duration::from_micros(700);
const STATE: &str = "RENSEI_TEST_STATE";

/// A point of a session's life at which the daemon is killed.
#[derive(Debug, Clone, Copy)]
enum Point {
    PollAnswered,
    ClaimSent,
    ClaimAnswered,
    /// By the first instruction of the worker.
    Spawned,
    RunningPosted,
    RunningAnswered,
    /// The end is on its way to the control plane, which does not hear it.
    EndPosted,
    /// The control plane has heard the end, the daemon does not know.
    EndAnswered,
}

/// Not a test of its own: the daemon that the others start and kill.
#[test]
#[ignore = "started by other tests"]
fn daemon_to_be_killed() {
    let Some(root) = std::env::var_os(STATE) else { return };
    let daemon = || {
        Daemon::builder(PathBuf::from(root))
            .worker_command(["/bin/sh", "-c", "eval \"$SCRIPT\""].map(Into::into).to_vec())
            .environment(BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]))
            .build()
            .unwrap()
            .with_control_url("http://127.0.0.1:1")
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async { daemon().run().await });
}

/// A daemon in a process of its own, which is killed at the latest when this is dropped.
struct Victim(std::process::Child);

impl Victim {
    fn start(root: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["daemon_to_be_killed", "--exact", "--ignored"]).env(STATE, root);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Waits until somebody else has killed it.
    async fn killed(&mut self) {
        let ended = async {
            while self.0.try_wait().unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.unwrap();
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Notes each run, and whether another one is under way; then goes on until the file `go` is there. The lock is the
/// kernel's, so it ends with its holder.
fn script(root: &Path, first: &str) -> String {
    let root = root.display();
    format!(
        "exec 9>'{root}/lock'; flock -n 9 || echo twice >> '{root}/violations'; {first} echo run >> '{root}/runs'; \
         while [ ! -e '{root}/go' ]; do sleep 0.01; done"
    )
}

/// Beats of a daemon that has just started.
fn resumed_beats(platform: &FakePlatform) -> usize {
    platform.requests_to(Call::Heartbeat).iter().filter(|beat| beat.json()["resumed"] == true).count()
}

/// Prepares the control plane for a kill at `point`, and says what the worker does first.
fn prepare(platform: &FakePlatform, point: Point) -> &'static str {
    platform.redispatch(true);
    platform.cadence(30, 10);
    platform.pre_claimed(!matches!(point, Point::ClaimSent | Point::ClaimAnswered));
    match point {
        Point::ClaimSent => platform.fault(Call::Claim, Fault::Hang),
        Point::RunningPosted => platform.fault(Call::Status, Fault::Hang),
        Point::Spawned => return "kill -9 $PPID;",
        _ => {}
    }
    ""
}

/// Waits until the daemon is at `point`.
async fn reach(platform: &FakePlatform, point: Point, victim: &mut Victim, go: impl Fn()) {
    match point {
        Point::PollAnswered => platform.until(|platform| (platform.queued() == 0).then_some(())).await,
        Point::ClaimSent | Point::ClaimAnswered => platform.until_count(Call::Claim, 1).await,
        Point::Spawned => victim.killed().await,
        Point::RunningPosted | Point::RunningAnswered => drop(platform.reported(SESSION, "running").await),
        Point::EndPosted | Point::EndAnswered => {
            platform.reported(SESSION, "running").await;
            let unheard = matches!(point, Point::EndPosted);
            platform.fault(Call::Status, if unheard { Fault::Hang } else { Fault::LoseAnswer });
            go();
            platform.reported(SESSION, "completed").await;
        }
    }
}

async fn kill_at(point: Point, round: u32) {
    let platform = FakePlatform::start().await;
    let first = prepare(&platform, point);
    let state = TempState::new(&platform);
    let root = state.root();
    let go = || std::fs::write(root.join("go"), "").unwrap();
    platform.enqueue(&WorkItem::new(SESSION).attempt(1).script(&script(root, first)));
    let mut victim = Victim::start(root);
    reach(&platform, point, &mut victim, go).await;
    tokio::time::sleep(STEP * round).await;
    victim.kill();
    platform.heal();

    let resumed = resumed_beats(&platform);
    let survivor = Victim::start(root);
    platform.until(|platform| (resumed_beats(platform) > resumed).then_some(())).await;
    go();
    platform.ended(SESSION).await;
    platform.until_more(Call::Heartbeat, 2).await;
    survivor.kill();
    judge(&platform, root, point, &format!("{point:?}, round {round}"));
}

fn judge(platform: &FakePlatform, root: &Path, point: Point, what: &str) {
    let ends = platform.ends().remove(SESSION).unwrap();
    let status = ends[0]["status"].as_str().unwrap();
    // Of a worker that was adopted nobody knows the exit code.
    assert!(matches!(status, "completed" | "failed"), "{what}: {status}");
    assert!(ends.iter().all(|again| again["status"] == status), "{what}: two ends: {ends:?}");
    assert!(ends.len() <= 1 + usize::from(matches!(point, Point::EndAnswered)), "{what}: {ends:?}");
    assert_eq!(std::fs::read_to_string(root.join("runs")).unwrap(), "run\n", "{what}: runs once");
    assert!(!root.join("violations").exists(), "{what}: two at a time");
    assert_eq!(platform.count(Call::Register), 1, "{what}: the same worker");
}

async fn each_round(points: &[Point]) {
    for point in points {
        for round in 0..ROUNDS {
            kill_at(*point, round).await;
        }
    }
}

#[tokio::test]
async fn killed_before_the_claim_is_answered_loses_nothing() {
    each_round(&[Point::PollAnswered, Point::ClaimSent, Point::ClaimAnswered]).await;
}

#[tokio::test]
async fn killed_after_spawn_starts_no_second_copy() {
    each_round(&[Point::Spawned, Point::RunningPosted, Point::RunningAnswered]).await;
}

#[tokio::test]
async fn killed_before_the_end_is_reported_reports_it_once() {
    each_round(&[Point::EndPosted, Point::EndAnswered]).await;
}
