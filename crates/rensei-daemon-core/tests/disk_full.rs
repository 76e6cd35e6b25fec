//! A disk without space, and one without room for another file: what was written stays as it is, sessions that run go
//! on, new ones go elsewhere, and all is well as soon as there is room again.
//!
//! Needs a file system of its own, which only root can mount; without it these tests say so and pass.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a failed step is a failed test")]

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
