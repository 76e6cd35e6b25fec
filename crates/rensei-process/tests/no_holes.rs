//! Logs on a file system that cannot free the middle of a file. Only root can mount one; without it this test says so
//! and passes.
#![cfg(target_os = "linux")]
#![expect(clippy::print_stdout, reason = "somebody should hear that nothing was tested")]

use rensei_process::{SpawnSpec, output_log, spawn_group};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "ramfs", "-o", "mode=0700", "ramfs"]).arg(at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at.to_owned()));
        }
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
    // Writes the next hundred thousand numbers, ten digits and a line break each, whenever it is told to.
    let script = "n=0; while :; do while [ ! -e go ]; do sleep 0.01; done; rm go; \
        seq -f %010.0f $((n * 100000)) $((n * 100000 + 99999)); n=$((n + 1)); touch done$n; done";
    let mut child = spawn_group(SpawnSpec {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
        cwd: disk.0.clone(),
        output: output_log::create(&path).unwrap(),
    })
    .unwrap();
    let (head, tail) = (110_000, 220_000);
    for round in 1..=3_u64 {
        std::fs::write(disk.0.join("go"), "").unwrap();
        while !disk.0.join(format!("done{round}")).exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let dropped = output_log::bound(&path, head, tail).unwrap().unwrap();
        assert!(dropped.start >= head && dropped.end - dropped.start > 700_000, "{dropped:?}");
        assert_eq!(output_log::bound(&path, head, tail).unwrap(), None, "not all the time");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, after) = text.split_once("\n[... output was dropped here ...]\n").unwrap();
        assert!((head..head + 4096).contains(&(before.len() as u64)), "{}", before.len());
        assert_eq!(after.len() as u64, tail / 2);
        let whole = |text: &str| {
            text.lines().filter(|line| line.len() == 10).map(|n| n.parse::<u64>().unwrap()).collect::<Vec<_>>()
        };
        let (before, after) = (whole(before), whole(after));
        assert!(before.iter().copied().eq(0..before.len() as u64), "the beginning is as it was");
        let end = round * 100_000;
        assert!(after.iter().copied().eq(end - after.len() as u64..end) && after.len() > 9_000, "so is the end");
    }
    child.group().stop(Duration::ZERO).await;
    child.wait().await.unwrap();
}
