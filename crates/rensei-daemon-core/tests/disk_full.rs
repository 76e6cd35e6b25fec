//! A disk without space, and one without room for another file: what was written stays as it is, sessions that run go
//! on, new ones go elsewhere, and all is well as soon as there is room again.
//!
//! Needs a file system of its own, which only root can mount; without it these tests say so and pass.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a failed step is a failed test")]

use rensei_daemon_core::{AcceptError, SessionEvent};
use rensei_proto::SessionId;
use rensei_proto::control::{PostSession, WorkareaStatus};
use rensei_testkit::{Call, Capture, FakePlatform, TempHost, TempState, WorkItem};
use serde_json::json;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let options = "size=2m,nr_inodes=400,mode=0700";
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at.to_owned()));
        }
        println!("NOT TESTED: no file system can be mounted here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _busy = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Takes what is left; the answer is what to delete to give it back.
fn fill_space(root: &Path) -> PathBuf {
    let path = root.join("ballast");
    let mut ballast = fs::File::create(&path).unwrap();
    for block in [64 * 1024, 1024, 1] {
        while ballast.write_all(&vec![0; block]).is_ok() {}
    }
    path
}

fn fill_inodes(root: &Path) -> PathBuf {
    let path = root.join("ballast");
    fs::create_dir(&path).unwrap();
    let mut number = 0;
    while fs::write(path.join(number.to_string()), "").is_ok() {
        number += 1;
    }
    path
}

fn give_back(ballast: &Path) {
    if ballast.is_dir() { fs::remove_dir_all(ballast).unwrap() } else { fs::remove_file(ballast).unwrap() }
}

async fn mutation_failure(platform: &FakePlatform) -> String {
    let failure = platform.until(|platform| {
        let beats = platform.requests_to(Call::Heartbeat);
        let mut failures = beats.iter().filter_map(|beat| beat.json()["mutationFailures"].as_array().cloned());
        failures.find_map(|list| list.first().map(|failure| failure["error"].as_str().unwrap().to_owned()))
    });
    failure.await
}

async fn no_file_can_be_written(platform: &FakePlatform, host: &TempHost) {
    let read = |name: &str| fs::read(host.root().join(name)).unwrap();
    let (config, identity) = (read("daemon.yaml"), read("daemon.jwt"));
    // Configuration: refused, and told.
    platform.offer_mutation(json!({"id": "m1", "op": "project.add", "params": {"id": "b", "repository": "/srv/b"}}));
    let told = mutation_failure(platform).await;
    assert!(told.contains("write config") && told.contains("space"), "{told}");
    // Identity: the new one is used, the old one stays on disk.
    platform.expire_tokens();
    platform.until_count(Call::RefreshToken, 1).await;
    platform.until_more(Call::Heartbeat, 2).await;
    // Sessions: another host can have it, and the operator sees why.
    platform.enqueue(&WorkItem::new("refused").attempt(1));
    let nack = platform.nacked("refused").await.json();
    assert_eq!(nack["hostFault"], true, "{nack}");
    let incident = host.until(|host| host.handle().status().incident).await;
    assert!(incident.contains("sessions cannot be started"), "{incident}");
    assert!(host.view("refused").is_none());
    // A writer that fails leaves neither half a file nor its draft.
    assert_eq!((read("daemon.yaml"), read("daemon.jwt")), (config, identity));
    let left = fs::read_dir(host.root()).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.contains("tmp")).collect::<Vec<_>>(), [""; 0]);
}

async fn survived(fill: fn(&Path) -> PathBuf) {
    let capture = Capture::install();
    let platform = FakePlatform::start().await;
    let state = TempState::new(&platform);
    let Some(disk) = SmallDisk::mount(state.root()) else { return };
    let host = state.configure(platform.url(), 8).start().await;
    let go = host.root().join("go");
    let script = format!("until [ -e '{}' ]; do echo some output; sleep 0.01; done; exit 4", go.display());
    platform.enqueue(&WorkItem::new("running").attempt(1).script(&script));
    platform.reported("running", "running").await;

    let ballast = fill(host.root());
    no_file_can_be_written(&platform, &host).await;
    assert_eq!(host.handle().live_sessions().len(), 1, "what runs goes on");
    give_back(&ballast);

    fs::write(go, "").unwrap();
    let end = platform.ended("running").await;
    assert_eq!((&end["status"], &end["result"]["exitCode"]), (&"failed".into(), &4.into()));
    platform.enqueue(&WorkItem::new("after").attempt(1));
    assert_eq!(platform.ended("after").await["status"], "completed");
    host.until(|host| host.handle().status().incident.is_none().then_some(())).await;
    assert_eq!(platform.count(Call::Register), 1);
    let (_, state) = host.stop().await;
    drop(disk);
    drop(state);
    capture.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_neither_files_nor_running_sessions() {
    survived(fill_space).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_inodes_costs_neither_files_nor_running_sessions() {
    survived(fill_inodes).await;
}

/// A bare repository with one commit.
fn repository(at: &Path) -> PathBuf {
    let path = at.join("repo.git");
    let git = |dir: &Path, args: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let output = Command::new("git").args(identity).args(args).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(at, &["init", "-q", "--bare", "-b", "main", path.to_str().unwrap()]);
    let tree = git(&path, &["mktree"]);
    let commit = git(&path, &["commit-tree", &tree, "-m", "first"]);
    git(&path, &["update-ref", "refs/heads/main", &commit]);
    path
}

fn session(go: &Path) -> PostSession {
    let script = format!("until [ -e '{}' ]; do sleep 0.01; done; exit 4", go.display());
    serde_json::from_value(json!({"sessionId": "s1", "repository": "app", "env": {"SCRIPT": script}})).unwrap()
}

/// The same session once more, as soon as its end is complete.
async fn posted(host: &TempHost, go: &Path) -> SessionId {
    loop {
        match host.handle().post_session(session(go)).await {
            Ok(handle) => return handle.session_id,
            Err(AcceptError::Duplicate { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_session_left_is_kept_on_a_full_disk_and_archived_when_there_is_room() {
    let outside = tempfile::tempdir().unwrap();
    let (go, repository) = (outside.path().join("go"), repository(outside.path()));
    let platform = FakePlatform::start().await;
    let state = TempState::new(&platform);
    let Some(disk) = SmallDisk::mount(state.root()) else { return };
    let state = state.configure(platform.url(), 8);
    let config = fs::read_to_string(state.root().join("daemon.yaml")).unwrap();
    fs::write(state.root().join("daemon.yaml"), config.replace("/srv/app", repository.to_str().unwrap())).unwrap();
    let host = state.start().await;
    let id = host.handle().post_session(session(&go)).await.unwrap().session_id;
    let first = PathBuf::from(host.handle().acquire_workarea(&id).await.unwrap().path);
    fs::write(first.join("left"), vec![b'x'; 100_000]).unwrap();

    let ballast = fill_space(host.root());
    let mut events = host.handle().events();
    fs::write(&go, "").unwrap();
    host.ended("s1").await;
    let is_released =
        |event: &SessionEvent| matches!(event, SessionEvent::WorkareaReleased { session_id } if *session_id == id);
    while !is_released(&events.next().await.unwrap()) {}
    let kept = loop {
        let row = host.handle().workareas().await.unwrap().active.into_iter().next();
        match row.filter(|row| row.status == WorkareaStatus::Invalid) {
            Some(row) => break row,
            None => tokio::task::yield_now().await,
        }
    };
    assert!(kept.disposition.contains("no space left on the disk"), "{kept:?}");
    let shown = host.handle().workarea(&kept.id).await.unwrap();
    assert_eq!((shown.session_id.as_str(), &shown.notes), ("s1", &vec![kept.disposition]));
    assert_eq!(fs::read(Path::new(&shown.path).join("left")).unwrap().len(), 100_000);
    assert!(host.handle().archive_workarea(&id, String::new()).await.is_err(), "there is still no room");

    // The same session again does not get it.
    give_back(&ballast);
    fs::remove_file(&go).unwrap();
    let again = posted(&host, &go).await;
    let second = PathBuf::from(host.handle().acquire_workarea(&again).await.unwrap().path);
    assert!(first == second && !second.join("left").exists());
    fs::write(&go, "").unwrap();
    host.ended("s1").await;

    // What is left to do is done at the next start.
    let (_, state) = host.stop().await;
    let host = state.start().await;
    let is_retained = || fs::read_dir(host.root().join("retained")).unwrap().next().is_some();
    let archived = loop {
        let list = host.handle().workareas().await.unwrap();
        if list.active.is_empty() && list.archived.len() == 2 && !is_retained() {
            break list.archived;
        }
        tokio::task::yield_now().await;
    };
    let row = archived.iter().find(|row| row.id == kept.id).unwrap();
    assert_eq!((row.session_id.as_str(), row.disposition.as_str()), ("s1", "failed"));
    let tree = host.root().join("workareas").join(&kept.id).join("tree");
    assert_eq!(fs::read(tree.join("left")).unwrap().len(), 100_000);
    let (_, state) = host.stop().await;
    drop(disk);
    drop(state);
}
