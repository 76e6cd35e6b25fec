//! Logs on a file system that cannot free the middle of a file. Only root can mount one: elsewhere this test says so
//! and passes, but not for root on a build server.
#![cfg(target_os = "linux")]
#![expect(clippy::print_stdout, reason = "somebody should hear that nothing was tested")]

use rensei_process::output_log::{self, HEAD, OutputLog, Piece};
use rensei_process::{SpawnSpec, spawn_group};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "ramfs", "-o", "mode=0700", "ramfs"]).arg(at).output();
        if mounted.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(Self(at.to_owned()));
        }
        let must = rustix::process::geteuid().is_root() && std::env::var_os("CI").is_some();
        assert!(!must, "root may mount a file system for this test: {mounted:?}");
        println!("NOT TESTED: no file system can be mounted here");
        None
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _busy = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_log_is_bounded_also_where_the_middle_of_a_file_cannot_be_freed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(dir.path()) else { return };
    let path = disk.0.join("output.log");
    // Writes the next 200,000 numbers, nine digits and a line break each, whenever it is told to.
    let script = "n=0; while :; do while [ ! -e go ]; do sleep 0.01; done; rm go; \
        seq -f %09.0f $((n * 200000)) $((n * 200000 + 199999)); n=$((n + 1)); touch done$n; done";
    let mut child = spawn_group(SpawnSpec {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
        cwd: disk.0.clone(),
        output: output_log::create(&path).unwrap(),
    })
    .unwrap();
    let log = OutputLog::open(&path).unwrap();
    let keep = 220_000;
    for round in 1..=3_u64 {
        std::fs::write(disk.0.join("go"), "").unwrap();
        let done = async {
            while !disk.0.join(format!("done{round}")).exists() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, done).await.unwrap();
        let size = round * 2_000_000;
        let dropped = output_log::bound(&path, keep).unwrap().unwrap();
        assert_eq!(dropped, HEAD..size - keep / 2);
        assert_eq!(output_log::bound(&path, keep).unwrap(), None, "not all the time");
        assert!(path.metadata().unwrap().len() < HEAD + keep, "the file is small");
        // A follower has read everything so far, or is far behind: both go on where they are.
        assert_eq!(log.size().unwrap(), size);
        assert_eq!(log.read(HEAD + 5, 1).unwrap(), Piece::Hole { until: dropped.end });
        for (from, until) in [(0, HEAD), (dropped.end, size)] {
            let Piece::Data(bytes) = log.read(from, 4 << 20).unwrap() else { panic!("nothing at {from}") };
            let expected: String = (from / 10..=until / 10).map(|number| format!("{number:09}\n")).collect();
            assert!(expected.as_bytes().starts_with(&bytes) && bytes.len() as u64 == until - from, "{from}");
        }
    }
    child.group().stop(Duration::ZERO).await;
    child.wait().await.unwrap();
}
