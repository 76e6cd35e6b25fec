//! Trees that were made to do harm: carried faithfully or refused, nothing outside touched, and no hang.

use crate::trees::{Fixture, at, metadata, restore, snapshot};
use rensei_workarea::{ArchiveError, ArchiveMetadata};
use rustix::fs::{CWD, FileType, Mode, mkdirat, mknodat, openat};
use std::ffi::OsStr;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

fn names(fixture: &Fixture, a: &str, b: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let result = fixture.archives.diff(a, b, |entry| {
        found.push((entry.path_escaped.unwrap_or(entry.path), entry.mode_b));
        ControlFlow::Continue(())
    });
    result.unwrap();
    found
}

#[test]
fn special_files_are_named_and_never_opened() {
    let fixture = Fixture::new();
    let source = fixture.source();
    mknodat(CWD, source.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let _listener = UnixListener::bind(source.join("socket")).unwrap();
    let mut expected = vec![("pipe", "fifo"), ("socket", "socket")];
    let device = mknodat(CWD, source.join("device"), FileType::CharacterDevice, Mode::RUSR, rustix::fs::makedev(1, 3));
    match device {
        Ok(()) => expected.insert(0, ("device", "device")),
        Err(error) => eprintln!("SKIPPED: device nodes need root ({error})"),
    }
    fs::write(source.join("file"), "x").unwrap();
    let manifest = fixture.archives.create(&source, &metadata("s1")).unwrap();
    let excluded: Vec<(&str, &str)> =
        manifest.excluded.iter().map(|one| (one.path.as_str(), one.kind.as_str())).collect();
    assert_eq!(excluded, expected);
    assert_eq!((manifest.excluded_count, manifest.entry_count), (expected.len() as u64, 1));

    // In a tree that somebody else made they are compared by what can be seen of them, and left out of a restore.
    let foreign = fixture.root.join("foreign/tree");
    fs::create_dir_all(&foreign).unwrap();
    fs::write(fixture.root.join("foreign/manifest.json"), "{}").unwrap();
    mknodat(CWD, foreign.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let _other = UnixListener::bind(foreign.join("socket")).unwrap();
    let null = rustix::fs::makedev(1, 3);
    let with_device = mknodat(CWD, foreign.join("device"), FileType::CharacterDevice, Mode::RUSR, null).is_ok();
    let mut found = names(&fixture, &manifest.id, "foreign");
    if with_device {
        assert_eq!(found.remove(0), ("device".to_owned(), "Dcr--------".to_owned()));
    }
    assert_eq!(found[0], ("file".to_owned(), String::new()));
    assert_eq!(found[1], ("pipe".to_owned(), "prw-------".to_owned()));
    assert!(found[2].1.starts_with('S'));
    let restored = restore(&fixture.archives, "foreign").unwrap();
    let kinds: Vec<&str> = restored.excluded.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(kinds, expected.iter().map(|(_, kind)| *kind).collect::<Vec<_>>());
    assert_eq!(fs::read_dir(&restored.path).unwrap().count(), 0);
    let rows = fixture.archives.list().unwrap();
    assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["foreign", &manifest.id]);
}

#[test]
fn links_lead_nowhere() {
    let fixture = Fixture::new();
    let outside = fixture.dir.path().join("outside");
    fs::create_dir_all(outside.join("sub")).unwrap();
    fs::write(outside.join("precious"), "p").unwrap();
    let before = snapshot(&outside);
    let source = fixture.source();
    symlink(&outside, source.join("dir")).unwrap();
    symlink("../outside/precious", source.join("file")).unwrap();
    symlink("../../../../../../etc/passwd", source.join("up")).unwrap();
    symlink("loop", source.join("loop")).unwrap();
    let id = fixture.archives.create(&source, &metadata("s1")).unwrap().id;
    let restored = PathBuf::from(restore(&fixture.archives, &id).unwrap().path);
    for place in [fixture.root.join(&id).join("tree"), restored] {
        assert_eq!(fs::read_link(place.join("dir")).unwrap(), outside);
        assert_eq!(fs::read_link(place.join("up")).unwrap(), Path::new("../../../../../../etc/passwd"));
        assert_eq!(fs::read_dir(&place).unwrap().count(), 4);
    }
    // A comparison looks at where they lead to, and does not go there.
    fs::create_dir_all(fixture.root.join("other/tree")).unwrap();
    for (name, target) in [("dir", "elsewhere"), ("file", "../outside/precious"), ("loop", "loop")] {
        symlink(target, fixture.root.join("other/tree").join(name)).unwrap();
    }
    fs::write(fixture.root.join("other/manifest.json"), "{}").unwrap();
    let found = names(&fixture, "other", &id);
    assert_eq!(
        found,
        [("dir", "Lrwxrwxrwx"), ("up", "Lrwxrwxrwx")].map(|(name, mode)| (name.to_owned(), mode.to_owned()))
    );
    // A link in the place of what belongs to an archive is none.
    for (name, target) in [("tree", outside.clone()), ("manifest.json", outside.join("precious"))] {
        let planted = fixture.root.join(format!("planted-{name}"));
        fs::create_dir_all(&planted).unwrap();
        fs::write(planted.join("manifest.json"), "{}").unwrap();
        let _ = fs::remove_file(planted.join(name));
        symlink(target, planted.join(name)).unwrap();
    }
    assert!(matches!(restore(&fixture.archives, "planted-tree"), Err(ArchiveError::Corrupted { .. })));
    assert!(matches!(fixture.archives.get("planted-manifest.json"), Err(ArchiveError::Corrupted { .. })));
    symlink(&outside, fixture.root.join("linked")).unwrap();
    assert!(matches!(restore(&fixture.archives, "linked"), Err(ArchiveError::NotFound { .. })));
    let removed = fixture.archives.remove(&["planted-tree".to_owned(), "linked".to_owned(), id], false);
    assert_eq!((removed.removed.len(), removed.skipped.len()), (2, 1));
    assert_eq!(snapshot(&outside), before);
}

#[test]
fn a_manifest_of_fifty_mebibytes_is_not_read() {
    let fixture = Fixture::new();
    let archive = fixture.root.join("huge");
    fs::create_dir_all(archive.join("tree")).unwrap();
    let manifest = fs::File::create(archive.join("manifest.json")).unwrap();
    manifest.write_all_at(b"{\"id\":\"", 0).unwrap();
    manifest.set_len(50 << 20).unwrap();
    let rows = fixture.archives.list().unwrap();
    assert_eq!(rows[0].disposition, "corrupted: manifest.json is larger than 8 MiB");
    assert!(matches!(fixture.archives.get("huge"), Err(ArchiveError::Corrupted { .. })));
    assert!(matches!(restore(&fixture.archives, "huge"), Err(ArchiveError::Corrupted { .. })));
    let same = fixture.archives.diff("huge", "huge", |_| ControlFlow::Continue(()));
    assert!(matches!(same, Err(ArchiveError::Corrupted { .. })), "{same:?}");
    let pipe = fixture.root.join("pipe");
    fs::create_dir_all(&pipe).unwrap();
    mknodat(CWD, pipe.join("manifest.json"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert!(fixture.archives.list().unwrap()[1].disposition.contains("not a regular file"));
}

#[test]
fn a_manifest_that_names_places_elsewhere_leads_nowhere() {
    let fixture = Fixture::new();
    let outside = fixture.dir.path().join("outside");
    fs::create_dir_all(outside.join("sub")).unwrap();
    let before = snapshot(&outside);
    for (name, id) in [("dots", "../outside/sub"), ("absolute", outside.to_str().unwrap()), ("nul", "a\\u0000b")] {
        let archive = fixture.root.join(name);
        fs::create_dir_all(archive.join("tree")).unwrap();
        let manifest = format!(
            r#"{{"id":"{id}","sessionId":"../../s","schemaVersion":"rensei.workarea-archive.v1",
            "createdAt":"1999-01-01T00:00:00Z","excluded":[{{"path":"/etc/passwd","kind":"x"}}]}}"#
        );
        fs::write(archive.join("manifest.json"), manifest).unwrap();
        let restored = restore(&fixture.archives, name).unwrap();
        assert_eq!(Path::new(&restored.path).parent().unwrap(), fixture.archives.restored_root());
        let asked = [restored.id, id.replace("\\u0000", "\0")];
        assert!(fixture.archives.get(&asked[1]).is_err(), "{id}");
        assert_eq!(fixture.archives.remove(&asked, false).removed.len(), 1);
    }
    assert_eq!(fixture.archives.list().unwrap().len(), 3);
    let everything = rensei_workarea::Retention { max_count: Some(0), ..Default::default() };
    assert_eq!(fixture.archives.prune(&everything, at(0), false).unwrap().removed.len(), 3);
    assert_eq!(snapshot(&outside), before);
}

#[test]
fn a_path_of_a_difference_leads_nowhere() {
    let fixture = Fixture::new();
    let [a, b] = ["a", "b"].map(|name| fixture.root.join(name).join("tree"));
    [&a, &b].iter().for_each(|tree| fs::create_dir_all(tree).unwrap());
    fs::write(fixture.dir.path().join("precious"), "precious").unwrap();
    symlink(fixture.dir.path(), b.join("out")).unwrap();
    let precious = fixture.dir.path().join("precious");
    for path in ["../../../precious", "out/precious", "..", "", precious.to_str().unwrap()] {
        let entry: rensei_proto::control::DiffEntry =
            serde_json::from_value(serde_json::json!({"path": path, "status": "added", "modeB": "-rw-r--r--"}))
                .unwrap();
        let shown = rensei_workarea::patch(&a, &b, &entry);
        assert!(matches!(&shown, Err(_) | Ok(rensei_workarea::Patch::Nothing)), "{path}: {shown:?}");
    }
}

#[test]
fn a_file_of_three_hundred_mebibytes_is_carried() {
    let fixture = Fixture::new();
    let large = fs::File::create(fixture.source().join("large")).unwrap();
    large.set_len(300 << 20).unwrap();
    large.write_all_at(b"first", 0).unwrap();
    large.write_all_at(b"last", (300 << 20) - 4).unwrap();
    let archive = fixture.archives.create(&fixture.source(), &metadata("s1")).unwrap();
    assert_eq!(archive.size_bytes, 300 << 20);
    let restored = restore(&fixture.archives, &archive.id).unwrap();
    for tree in [fixture.root.join(&archive.id).join("tree"), PathBuf::from(restored.path)] {
        let copy = fs::File::open(tree.join("large")).unwrap();
        let (mut begin, mut end) = ([0; 5], [0; 4]);
        copy.read_exact_at(&mut begin, 0).unwrap();
        copy.read_exact_at(&mut end, (300 << 20) - 4).unwrap();
        assert_eq!((copy.metadata().unwrap().len(), &begin, &end), (300 << 20, b"first", b"last"));
        assert!(copy.metadata().unwrap().blocks() < 4096, "what is a hole stays one");
    }
}

#[test]
fn five_hundred_levels_of_the_longest_names() {
    let fixture = Fixture::new();
    let name = "d".repeat(255);
    let mut at_depth = openat(CWD, fixture.source(), rustix::fs::OFlags::DIRECTORY, Mode::empty()).unwrap();
    for level in 0..500 {
        mkdirat(&at_depth, &*name, Mode::RWXU).unwrap();
        at_depth = openat(&at_depth, &*name, rustix::fs::OFlags::DIRECTORY, Mode::empty()).unwrap();
        if level % 100 == 99 {
            // A sibling on the way: its directory is opened again when the deep one is done.
            mkdirat(&at_depth, "z", Mode::RWXU).unwrap();
        }
    }
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    let deepest = openat(&at_depth, "file", flags, Mode::RUSR).unwrap();
    rustix::io::write(&deepest, b"deep").unwrap();
    let first = fixture.archives.create(&fixture.source(), &metadata("s1")).unwrap();
    assert_eq!((first.entry_count, first.size_bytes), (506, 4));
    restore(&fixture.archives, &first.id).unwrap();
    rustix::io::write(&deepest, b"er").unwrap();
    let second = ArchiveMetadata { created_at: at(1), ..metadata("s1") };
    let second = fixture.archives.create(&fixture.source(), &second).unwrap();
    let found = names(&fixture, &first.id, &second.id);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0.len(), 500 * 256 + 4);
    let removed = fixture.archives.remove(&[first.id, second.id], false);
    assert_eq!(removed.removed.len(), 2, "{:?}", removed.skipped);
    rustix::fs::fchmod(&deepest, Mode::RUSR).unwrap();
}

#[test]
fn names_of_any_bytes_hard_links_and_rights_are_carried() {
    let fixture = Fixture::new();
    let source = fixture.source();
    for name in [b"\xff\xfe".as_slice(), b"new\nline", b"back\\slash", &[b'n'; 255], b"-rf", "\u{202e}".as_bytes()] {
        fs::write(source.join(OsStr::from_bytes(name)), name).unwrap();
    }
    fs::write(source.join("Case"), "1").unwrap();
    fs::write(source.join("case"), "2").unwrap();
    fs::write(source.join("one"), "linked").unwrap();
    fs::hard_link(source.join("one"), source.join("two")).unwrap();
    fs::write(source.join("setuid"), "s").unwrap();
    fs::set_permissions(source.join("setuid"), fs::Permissions::from_mode(0o6755)).unwrap();
    let id = fixture.archives.create(&source, &metadata("s1")).unwrap().id;
    let tree = fixture.root.join(&id).join("tree");
    for place in [tree.clone(), PathBuf::from(restore(&fixture.archives, &id).unwrap().path)] {
        assert_eq!(fs::read(place.join(OsStr::from_bytes(b"\xff\xfe"))).unwrap(), b"\xff\xfe");
        assert_eq!(fs::read_dir(&place).unwrap().count(), 11);
        assert_eq!(
            (fs::read(place.join("Case")).unwrap(), fs::read(place.join("case")).unwrap()),
            (b"1".into(), b"2".into())
        );
        // A write through one name must not change the other any more: the workarea's own file least of all.
        assert_eq!(fs::metadata(place.join("one")).unwrap().nlink(), 1);
    }
    assert_eq!(fs::metadata(tree.join("setuid")).unwrap().mode() & 0o7777, 0o6755);
    fs::create_dir_all(fixture.root.join("empty/tree")).unwrap();
    let found = names(&fixture, "empty", &id);
    assert!(found.contains(&(r"\xff\xfe".to_owned(), "-rw-r--r--".to_owned())), "{found:?}");
    assert!(found.contains(&("setuid".to_owned(), "ugrwxr-xr-x".to_owned())));
}

#[test]
fn a_hole_of_a_terabyte_stays_a_hole() {
    let fixture = Fixture::new();
    let file = fs::File::create(fixture.source().join("sparse")).unwrap();
    if let Err(error) = file.set_len(1 << 40) {
        eprintln!("SKIPPED: the file system has no such files ({error})");
        return;
    }
    file.write_all_at(b"middle", 1 << 30).unwrap();
    let id = fixture.archives.create(&fixture.source(), &metadata("s1")).unwrap().id;
    let copy = fixture.root.join(&id).join("tree/sparse");
    let stat = fs::metadata(&copy).unwrap();
    assert_eq!(stat.size(), 1 << 40);
    assert!(stat.blocks() < 4096, "{}", stat.blocks());
    let mut middle = [0; 6];
    fs::File::open(&copy).unwrap().read_exact_at(&mut middle, 1 << 30).unwrap();
    assert_eq!(&middle, b"middle");
    // Nor is it read to be compared.
    fs::create_dir_all(fixture.root.join("empty/tree")).unwrap();
    let compared = fixture.archives.diff("empty", &id, |_| ControlFlow::Continue(()));
    assert!(matches!(compared, Err(ArchiveError::TooLarge { .. })), "{compared:?}");
    assert_eq!(compared.unwrap_err().hint(), None, "there is nothing wrong with it");
}
