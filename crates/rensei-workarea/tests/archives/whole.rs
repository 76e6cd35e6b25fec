//! What archives and restored workareas are, and what is refused.

use crate::trees::{self, Fixture, at, metadata, restore, restore_into};
use rensei_proto::control::{RestoreRequest, WorkareaDetail, WorkareaKind, WorkareaStatus};
use rensei_workarea::{ArchiveError, ArchiveMetadata, Archives, RestoreContext, Retention};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

#[test]
fn an_archive_is_what_the_workarea_was() {
    let fixture = Fixture::new();
    let source = fixture.source();
    fs::write(source.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(source.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(source.join(".rensei")).unwrap();
    fs::write(source.join(".rensei/private"), "p").unwrap();
    fs::create_dir(source.join("locked")).unwrap();
    fs::write(source.join("locked/in"), "x").unwrap();
    fs::set_permissions(source.join("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    symlink("/etc/passwd", source.join("absolute")).unwrap();
    symlink("missing", source.join("dangling")).unwrap();
    fs::File::open(source.join("run.sh"))
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1))
        .unwrap();

    let manifest = fixture.archives.create(&source, &metadata("s1")).unwrap();
    assert_eq!(manifest.id, "s1-20260102T030405Z");
    assert_eq!((manifest.size_bytes, manifest.entry_count), (12, 7));
    let tree = fixture.root.join(&manifest.id).join("tree");
    assert_eq!(fs::read_to_string(tree.join("run.sh")).unwrap(), "#!/bin/sh\n");
    let copied = fs::metadata(tree.join("run.sh")).unwrap();
    assert_eq!((copied.mode() & 0o7777, copied.mtime()), (0o755, 1));
    assert_eq!(fs::metadata(tree.join("locked")).unwrap().mode() & 0o7777, 0o555);
    assert_eq!(fs::read_link(tree.join("absolute")).unwrap(), Path::new("/etc/passwd"));
    assert_eq!(fs::read_link(tree.join("dangling")).unwrap(), Path::new("missing"));
    assert_eq!(fs::read_to_string(tree.join(".rensei/private")).unwrap(), "p");
    // Only its owner gets at what an agent left.
    assert_eq!(fs::metadata(fixture.root.join(&manifest.id)).unwrap().mode() & 0o777, 0o700);

    let again = fixture.archives.create(&source, &metadata("s1")).unwrap();
    assert_eq!(again.id, "s1-20260102T030405Z-2");
    let rows = fixture.archives.list().unwrap();
    assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), [&manifest.id, &again.id]);
    assert_eq!((rows[0].kind, rows[0].status), (WorkareaKind::Archived, WorkareaStatus::Archived));
    assert_eq!((rows[0].size_bytes, rows[0].disposition.as_str()), (12, "failed"));
    let detail = fixture.archives.get(&manifest.id).unwrap();
    assert_eq!(detail.path, fixture.root.join(&manifest.id).display().to_string());
    assert_eq!(detail.manifest.unwrap()["branch"], "agent/s1");
    assert!(fixture.leftovers().is_empty());
}

#[test]
fn the_git_directory_of_an_archive_needs_no_mirror_to_be_looked_at() {
    let fixture = Fixture::new();
    let source = fixture.source();
    fs::create_dir_all(source.join(".git/objects/info")).unwrap();
    fs::write(source.join(".git/objects/info/alternates"), "/nowhere/repos/mirror/objects\n").unwrap();
    fs::write(source.join(".git/HEAD"), "ref: refs/heads/agent/s1\n").unwrap();
    let id = fixture.archives.create(&source, &metadata("s1")).unwrap().id;
    let restored = restore(&fixture.archives, &id).unwrap();
    for place in [fixture.root.join(&id).join("tree"), PathBuf::from(restored.path)] {
        assert_eq!(fs::read_to_string(place.join(".git/HEAD")).unwrap(), "ref: refs/heads/agent/s1\n");
        assert!(place.join(".git/objects/info/alternates").exists());
    }
}

#[test]
fn archives_of_others_are_listed_and_the_broken_ones_say_why() {
    let fixture = Fixture::new();
    let root = &fixture.root;
    for (name, manifest) in [
        ("b-ok", r#"{"id":"other-id","createdAt":"2026-05-01T10:00:00.5Z","sizeBytes":7,"custom":{"k":1}}"#),
        ("a-no-id", r#"{"createdAt":"yesterday"}"#),
        ("c-bad", "{"),
        ("d-typed", r#"{"id":3}"#),
    ] {
        fs::create_dir_all(root.join(name).join("tree")).unwrap();
        fs::write(root.join(name).join("manifest.json"), manifest).unwrap();
    }
    fs::create_dir_all(root.join("e-dir/manifest.json")).unwrap();
    fs::create_dir_all(root.join("no-manifest/tree")).unwrap();
    fs::write(root.join("file"), "").unwrap();
    symlink(root.join("b-ok"), root.join("link")).unwrap();

    let rows = fixture.archives.list().unwrap();
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["a-no-id", "c-bad", "d-typed", "e-dir", "other-id"]);
    assert!(rows[1..4].iter().all(|row| row.disposition.starts_with("corrupted: ") && row.provider_id.is_empty()));
    assert_eq!((rows[0].created_at.as_deref(), rows[4].created_at.as_deref()), (None, Some("2026-05-01T10:00:00.5Z")));
    let get = |id: &str| fixture.archives.get(id);
    assert_eq!(get("b-ok").unwrap().manifest.unwrap()["custom"]["k"], 1);
    for id in ["c-bad", "d-typed", "e-dir"] {
        assert!(matches!(get(id), Err(ArchiveError::Corrupted { .. })), "{id}");
    }
    for id in ["no-manifest", "link", "file", "absent"] {
        assert!(matches!(get(id), Err(ArchiveError::NotFound { .. })), "{id}");
    }
    for id in ["..", "../x", "a/b", "", ".new-1-1-1", "a\0b"] {
        assert!(matches!(get(id), Err(ArchiveError::InvalidId { .. })), "{id:?}");
    }
    assert!(Archives::new(&root.join("absent")).list().unwrap().is_empty());
}

#[test]
fn a_restored_workarea_is_registered_until_it_is_removed() {
    let fixture = Fixture::new();
    let source = fixture.source();
    fs::write(source.join("tool"), "x").unwrap();
    fs::set_permissions(source.join("tool"), fs::Permissions::from_mode(0o6755)).unwrap();
    fs::create_dir(source.join("open")).unwrap();
    fs::set_permissions(source.join("open"), fs::Permissions::from_mode(0o777)).unwrap();
    let id = fixture.archives.create(&source, &metadata("s1")).unwrap().id;
    let before = trees::snapshot(&fixture.root.join(&id));

    let request = RestoreRequest { reason: Some("look".to_owned()), into_session_id: Some("s2".to_owned()) };
    let restored = restore_into(&fixture.archives, &id, &request).unwrap();
    assert_eq!(restored.id, format!("{id}-restore-1767323045000000000"));
    assert_eq!((restored.kind, restored.status), (WorkareaKind::Active, WorkareaStatus::Ready));
    assert_eq!((restored.session_id.as_str(), restored.repository.as_str()), ("s2", "/r"));
    let path = PathBuf::from(&restored.path);
    assert_eq!(path.parent().unwrap(), fixture.archives.restored_root());
    // What could raise somebody's rights is not given back.
    assert_eq!(fs::metadata(path.join("tool")).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(fs::metadata(path.join("open")).unwrap().mode() & 0o7777 & !0o750, 0);
    let note: serde_json::Value =
        serde_json::from_slice(&fs::read(path.with_file_name(format!("{}.json", restored.id))).unwrap()).unwrap();
    assert_eq!(
        (&note["archiveId"], &note["intoSessionId"], &note["reason"]),
        (&id.as_str().into(), &"s2".into(), &"look".into())
    );

    // The next daemon knows it, too.
    let archives = Archives::new(&fixture.root);
    let rows = archives.restored().unwrap();
    assert_eq!((rows.len(), rows[0].id.as_str(), rows[0].session_id.as_str()), (1, restored.id.as_str(), "s2"));
    let found = archives.get_restored(&restored.id).unwrap();
    assert_eq!(WorkareaDetail { manifest: restored.manifest.clone(), ..found }, restored);
    assert!(matches!(restore_into(&archives, &id, &request), Err(ArchiveError::Conflict { .. })));
    assert_eq!(trees::snapshot(&fixture.root.join(&id)), before, "an archive never changes");

    let removed = archives.remove(std::slice::from_ref(&restored.id), false);
    assert_eq!((removed.removed.len(), removed.skipped.len()), (1, 0));
    assert!(archives.restored().unwrap().is_empty() && !path.exists());
    assert!(restore_into(&archives, &id, &request).is_ok());
}

#[test]
fn of_many_restores_for_one_session_one_succeeds() {
    let fixture = Fixture::new();
    fs::write(fixture.source().join("f"), "x").unwrap();
    let id = fixture.archives.create(&fixture.source(), &metadata("s1")).unwrap().id;
    let request = RestoreRequest { into_session_id: Some("s2".to_owned()), ..RestoreRequest::default() };
    let results: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| restore_into(&fixture.archives, &id, &request))).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.iter().all(|result| matches!(result, Ok(_) | Err(ArchiveError::Conflict { .. }))));
    assert_eq!(fixture.archives.restored().unwrap().len(), 1);
    // Without a session there is no conflict, also in the same nanosecond.
    let (first, second) = (restore(&fixture.archives, &id).unwrap(), restore(&fixture.archives, &id).unwrap());
    assert_ne!(first.id, second.id);
    assert!(fixture.leftovers().is_empty());
}

#[test]
fn a_restore_is_refused_in_the_order_of_its_checks() {
    let fixture = Fixture::new();
    fs::create_dir_all(fixture.root.join("broken")).unwrap();
    fs::write(fixture.root.join("broken/manifest.json"), "{").unwrap();
    fs::create_dir_all(fixture.root.join("treeless")).unwrap();
    fs::write(fixture.root.join("treeless/manifest.json"), "{}").unwrap();
    let full = |delay: u64| Some(Duration::from_secs(delay));
    let call = |id: &str, delay: Option<Duration>, live: bool| {
        let request = RestoreRequest { into_session_id: Some("s2".to_owned()), ..RestoreRequest::default() };
        let context = RestoreContext { saturated: &|| delay, is_live: &|id| live && id == "s2", now: at(0) };
        fixture.archives.restore(id, &request, &context).unwrap_err()
    };
    assert!(matches!(call("..", full(5), true), ArchiveError::InvalidId { .. }));
    assert!(matches!(call("absent", full(5), true), ArchiveError::NotFound { .. }));
    assert!(matches!(call("broken", full(5), true), ArchiveError::Corrupted { .. }));
    let saturated = |error| matches!(error, ArchiveError::Saturated { retry_after } if retry_after.as_secs() == 5);
    assert!(saturated(call("treeless", full(5), true)));
    assert!(
        matches!(call("treeless", full(0), true), ArchiveError::Saturated { retry_after } if retry_after.as_secs() == 30)
    );
    assert!(matches!(call("treeless", None, true), ArchiveError::Conflict { .. }));
    assert!(matches!(call("treeless", None, false), ArchiveError::Corrupted { .. }));
    assert!(fixture.archives.restored().unwrap().is_empty() && fixture.leftovers().is_empty());
}

#[test]
fn retention_removes_the_oldest_of_our_own_and_never_what_is_read() {
    let fixture = Fixture::new();
    fs::write(fixture.source().join("f"), "12345").unwrap();
    let make = |session: &str, hours: i64| {
        let metadata = ArchiveMetadata { created_at: at(hours), ..metadata(session) };
        fixture.archives.create(&fixture.source(), &metadata).unwrap().id
    };
    let ids = [make("a", 0), make("b", 1), make("c", 2)];
    fs::create_dir_all(fixture.root.join("foreign")).unwrap();
    fs::write(fixture.root.join("foreign/manifest.json"), r#"{"createdAt":"1999-01-01T00:00:00Z"}"#).unwrap();
    let keep = |count: usize| Retention { max_count: Some(count), ..Retention::default() };

    let planned = fixture.archives.prune(&keep(1), at(3), true).unwrap();
    assert_eq!(planned.removed.iter().map(|one| one.id.clone()).collect::<Vec<_>>(), ids[..2]);
    assert_eq!((planned.freed_bytes, fixture.archives.list().unwrap().len()), (10, 4));

    let kept = std::cell::Cell::new(0);
    let context = RestoreContext {
        saturated: &|| {
            // While `a` is being restored.
            let pruned = fixture.archives.prune(&keep(1), at(3), false).unwrap();
            assert_eq!(pruned.removed.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), [ids[1].as_str()]);
            assert_eq!(pruned.skipped.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), [ids[0].as_str()]);
            kept.set(pruned.skipped.len());
            None
        },
        is_live: &|_| false,
        now: at(3),
    };
    let restored = fixture.archives.restore(&ids[0], &RestoreRequest::default(), &context).unwrap().id;
    assert_eq!(kept.get(), 1);
    for dry_run in [true, false] {
        let removed = fixture.archives.remove(std::slice::from_ref(&restored), dry_run);
        assert_eq!((removed.removed.len(), removed.removed[0].size_bytes, removed.freed_bytes), (1, 5, 5));
    }
    assert_eq!(fixture.archives.prune(&keep(0), at(3), false).unwrap().removed.len(), 2);
    let rest: Vec<String> = fixture.archives.list().unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(rest, ["foreign"]);
    let removed = fixture.archives.remove(&["foreign".to_owned(), "absent".to_owned(), "..".to_owned()], false);
    assert_eq!((removed.removed.len(), removed.skipped.len()), (1, 2));
    assert!(fixture.archives.list().unwrap().is_empty());
}
