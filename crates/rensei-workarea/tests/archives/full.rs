//! A disk that is full at any step of archiving and restoring.

use crate::small_disk::SmallDisk;
use crate::trees::{self, at, leftovers, metadata, restore, snapshot};
use rensei_proto::control::WorkareaStatus;
use rensei_workarea::{ArchiveError, Archives};
use std::fs;
use std::path::{Path, PathBuf};

const PLENTY: u64 = 16 << 10;
/// Largest part of the disk that an archive of the workarea takes, KiB.
const ARCHIVE: u64 = 420;

fn used_kib(disk: &SmallDisk) -> u64 {
    let stat = rustix::fs::statvfs(disk.path()).unwrap();
    (stat.f_blocks - stat.f_bfree) * stat.f_frsize / 1024
}

/// Relative paths, and what is there; times of directories are those of their last change.
fn content(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let found = snapshot(dir).into_iter();
    found.map(|(path, (.., content))| (path.strip_prefix(dir).unwrap().to_owned(), content)).collect()
}

fn workarea(disk: &SmallDisk) -> PathBuf {
    let path = disk.path().join("work");
    for number in 0..40 {
        let file = path.join(format!("d{}/file{number}", number % 4));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, vec![b'x'; 8000]).unwrap();
    }
    path
}

/// Names the place and says what to do.
fn check(error: &ArchiveError, disk: &SmallDisk, room: u64) {
    assert!(matches!(error, ArchiveError::DiskFull { .. }), "{room} KiB: {error}");
    assert!(error.to_string().contains(disk.path().to_str().unwrap()), "{room} KiB: {error}");
    assert_eq!((error.http_status(), error.hint().unwrap().contains("workarea prune")), (507, true));
}

#[test]
fn a_full_disk_is_named_and_loses_neither_workarea_nor_archive() {
    let dir = trees::scratch();
    let (mut unarchived, mut unrestored, mut without_note) = (0, 0, 0);
    for room in (0..ARCHIVE).step_by(12) {
        let Some(disk) = SmallDisk::mount(dir.path().join(format!("disk{room}")), PLENTY) else { return };
        let (root, retained) = (disk.path().join("workareas"), disk.path().join("retained"));
        fs::create_dir(&retained).unwrap();
        let archives = Archives::retaining(&root, &retained);
        let source = workarea(&disk);
        let before = content(&source);

        disk.resize(used_kib(&disk) + room);
        let moved = archives.retain(&metadata("s1"), |to| {
            fs::rename(&source, to).unwrap();
            Ok(true)
        });
        let id = moved.unwrap().unwrap();
        without_note += usize::from(!retained.join(format!("{id}.json")).exists());
        if let Err(error) = archives.settle(&id) {
            unarchived += 1;
            check(&error, &disk, room);
            let row = archives.retained().unwrap().remove(0);
            assert_eq!(
                (row.id.as_str(), row.session_id.as_str(), row.status),
                (id.as_str(), "s1", WorkareaStatus::Invalid)
            );
            assert!(row.disposition.starts_with("not archived: no space left on the disk"), "{}", row.disposition);
            assert_eq!(archives.get_retained(&id).unwrap().notes, [row.disposition]);
            assert_eq!(content(&retained.join(&id)), before, "{room} KiB: the workarea is damaged");
            assert!(archives.list().unwrap().is_empty() && leftovers(&root).is_empty(), "{room} KiB");
            // As long as there is no more room, nothing is copied again.
            archives.settle_all(std::time::Instant::now());
            assert!(archives.list().unwrap().is_empty());
        }
        disk.resize(PLENTY);
        archives.settle_all(std::time::Instant::now());
        assert_eq!(fs::read_dir(&retained).unwrap().count(), 0, "{room} KiB");
        let row = archives.list().unwrap().remove(0);
        assert_eq!((row.id.as_str(), row.session_id.as_str(), row.disposition.as_str()), (id.as_str(), "s1", "failed"));
        assert_eq!(content(&root.join(&id).join("tree")), before);

        disk.resize(used_kib(&disk) + room);
        let archive = snapshot(&root.join(&id));
        if let Err(error) = restore(&archives, &id) {
            unrestored += 1;
            check(&error, &disk, room);
            assert!(archives.restored().unwrap().is_empty() && leftovers(&root).is_empty(), "{room} KiB");
            let left = fs::read_dir(archives.restored_root()).into_iter().flatten().count();
            assert_eq!(left, 0, "{room} KiB");
        }
        disk.resize(PLENTY);
        let restored = restore(&archives, &id).unwrap();
        assert_eq!(content(Path::new(&restored.path)), before);
        assert_eq!(snapshot(&root.join(&id)), archive, "an archive never changes");
    }
    assert!(unarchived > 20 && unrestored > 20 && without_note > 0, "{unarchived} {unrestored} {without_note}");
}

#[test]
fn what_cannot_be_archived_is_kept_until_it_is_removed() {
    let fixture = trees::Fixture::new();
    let retained = fixture.archives.retained_root().to_owned();
    let retain = |session: &str, hours: i64| {
        let source = fixture.source();
        fs::create_dir_all(source.join("sub")).unwrap();
        fs::write(source.join("sub/file"), "12345").unwrap();
        let metadata = rensei_workarea::ArchiveMetadata { created_at: at(hours), ..metadata(session) };
        let moved = fixture.archives.retain(&metadata, |to| {
            fs::rename(&source, to).unwrap();
            Ok(true)
        });
        moved.unwrap().unwrap()
    };
    // Neither a workarea nor a file system that refuses leaves anything.
    assert_eq!(fixture.archives.retain(&metadata("none"), |_| Ok(false)).unwrap(), None);
    let refused = || rensei_workarea::WorkareaError::Io {
        operation: "set aside".to_owned(),
        source: std::sync::Arc::new(std::io::ErrorKind::ReadOnlyFilesystem.into()),
    };
    assert!(fixture.archives.retain(&metadata("none"), |_| Err(refused())).is_err());
    assert_eq!(fs::read_dir(&retained).unwrap().count(), 0);

    let (old, new) = (retain("s1", 0), retain("s1", 10));
    assert_eq!(fixture.archives.retained_of("s1").as_ref(), Some(&new));
    assert_eq!(fixture.archives.retained().unwrap().len(), 2);
    assert!(matches!(restore(&fixture.archives, &new), Err(ArchiveError::NotFound { .. })), "it is no archive");
    let limit = |hours: u64| rensei_workarea::Retention {
        max_age: Some(std::time::Duration::from_secs(hours * 3600)),
        max_count: Some(0),
        max_bytes: Some(0),
    };
    let pruned = fixture.archives.prune(&limit(5), at(11), false).unwrap();
    assert_eq!(pruned.removed.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), [old.as_str()]);
    let dry = fixture.archives.remove(std::slice::from_ref(&new), true);
    assert_eq!((dry.removed.len(), fixture.archives.retained().unwrap().len()), (1, 1));
    assert_eq!((dry.freed_bytes, pruned.freed_bytes), (5, 5));

    // One of the same session from the same second gets another name.
    let same = retain("s1", 10);
    assert_eq!(same, format!("{new}-2"));
    assert_eq!(fixture.archives.settle(&new).unwrap().id, new);
    assert!(matches!(fixture.archives.settle(&new), Err(ArchiveError::NotFound { .. })));
    assert_eq!(fixture.archives.remove(std::slice::from_ref(&same), false).removed.len(), 1);
    assert_eq!(fs::read_dir(&retained).unwrap().count(), 0);
}

#[test]
fn after_a_crash_between_archive_and_release_nothing_is_archived_twice() {
    let fixture = trees::Fixture::new();
    fs::write(fixture.source().join("file"), "x").unwrap();
    let metadata = rensei_workarea::ArchiveMetadata { attempt: Some(3), ..metadata("s1") };
    let moved = fixture.archives.retain(&metadata, |to| {
        fs::rename(fixture.source(), to).unwrap();
        Ok(true)
    });
    let id = moved.unwrap().unwrap();
    let workarea = fixture.archives.retained_root().join(&id);
    // As if it had been killed when the archive was complete and the workarea still there.
    let killed = fixture.dir.path().join("killed");
    assert!(std::process::Command::new("cp").arg("-a").arg(&workarea).arg(&killed).status().unwrap().success());
    let made = fixture.archives.settle(&id).unwrap();
    assert_eq!((made.id.as_str(), made.session_id.as_str(), made.attempt), (id.as_str(), "s1", Some(3)));
    fs::rename(&killed, &workarea).unwrap();
    let next = Archives::new(&fixture.root);
    next.settle_all(std::time::Instant::now());
    assert!(!workarea.exists());
    assert_eq!(next.list().unwrap().len(), 1);
    let manifest = next.get(&id).unwrap().manifest.unwrap();
    assert_eq!((&manifest["sessionId"], &manifest["attempt"]), (&"s1".into(), &3.into()));
}
