//! Deep trees, and archives when there are hardly any file descriptors. Alone in its process, because limits and memory
//! are the process's.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use rensei_proto::control::RestoreRequest;
use rensei_workarea::{ArchiveError, ArchiveMetadata, Archives, RestoreContext};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Leaves the process few file descriptors, and no other test that counts on them.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum }).unwrap();
    alone
}

/// Directories in each other; the last one.
fn nest(dir: &Path, levels: usize, name: &str) -> OwnedFd {
    let mut at = openat(CWD, dir, OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..levels {
        mkdirat(&at, name, Mode::RWXU).unwrap();
        at = openat(&at, name, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    at
}

fn metadata(session: &str) -> ArchiveMetadata {
    ArchiveMetadata {
        session_id: session.to_owned(),
        disposition: "failed".to_owned(),
        created_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        ..ArchiveMetadata::default()
    }
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

/// Most memory that this process ever had, MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

#[test]
fn deep_trees_take_few_descriptors_and_little_memory() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let archives = Archives::new(&dir.path().join("workareas"));
    let (before, name) = (peak(), "d".repeat(250));
    let retained = archives.retain(&metadata("deep"), |to| {
        std::fs::create_dir(to).unwrap();
        let at_depth = nest(to, 400, &name);
        (0..300).for_each(|number| mkdirat(&at_depth, format!("{number:0>250}"), Mode::RWXU).unwrap());
        nest(&to.join(&name), 3000, "e");
        Ok(true)
    });
    let id = retained.unwrap().unwrap();
    let manifest = archives.settle(&id).unwrap();
    assert_eq!((manifest.entry_count, manifest.excluded_count), (700 + 1023, 1));
    assert_eq!((manifest.excluded[0].kind.as_str(), manifest.excluded[0].path.len()), ("too-deep", 250 + 2 * 1024));
    assert!(peak() - before < 40, "{} MiB, then {} MiB", before, peak());
    assert!(is_empty(archives.retained_root()), "it is archived, so the workarea is gone");
    let removed = archives.remove(&[id], false);
    assert_eq!(removed.removed.len(), 1, "{removed:?}");
    assert!(is_empty(archives.root()));
}

#[test]
fn sound_archives_are_not_called_corrupted_for_want_of_descriptors() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let archives = Archives::new(&dir.path().join("workareas"));
    let source = dir.path().join("source");
    let [a, b] = ["a", "b"].map(|session| {
        std::fs::create_dir_all(source.join("deep/er")).unwrap();
        std::fs::write(source.join("deep/er/file"), session).unwrap();
        archives.create(&source, &metadata(session)).unwrap().id
    });
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    let context = RestoreContext { saturated: &|| None, is_live: &|_| false, now };
    let mut hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let mut refused = 0;
    loop {
        let rows = archives.list();
        assert!(rows.iter().flatten().all(|row| !row.disposition.starts_with("corrupted")), "{rows:?}");
        let compared = archives.diff(&a, &b, |_| ControlFlow::Continue(())).err();
        let restored = archives.restore(&a, &RestoreRequest::default(), &context).err();
        let errors: Vec<ArchiveError> =
            [archives.get(&a).err(), compared, restored, rows.err()].into_iter().flatten().collect();
        for error in &errors {
            assert_eq!((error.http_status(), error.hint()), (500, None), "{error:?}");
        }
        if errors.is_empty() {
            break;
        }
        refused += 1;
        hoard.pop().unwrap();
    }
    assert!(refused > 3, "{refused}");
}
