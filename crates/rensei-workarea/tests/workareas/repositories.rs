//! Large and awkward repositories.

use crate::fixture::{Fixture, id};
use rensei_proto::control::RestoreRequest;
use rensei_workarea::{
    AcquireRequest, ArchiveMetadata, Archives, CloneStrategy, ReleaseMode, RestoreContext, WorkareaManager,
};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A bare repository made from a stream of `git fast-import`.
fn import(fixture: &Fixture, name: &str, stream: &[u8]) -> PathBuf {
    let path = fixture.dir.path().join(name);
    fixture.git(fixture.dir.path(), &["init", "-q", "--bare", "-b", "main", path.to_str().unwrap()]);
    let mut importer = Command::new("git")
        .env_clear()
        .envs(fixture.env().env)
        .current_dir(&path)
        .args(["fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    importer.stdin.take().unwrap().write_all(stream).unwrap();
    assert!(importer.wait().unwrap().success());
    path
}

fn commit(stream: &mut Vec<u8>, branch: &str, message: &str) {
    let text = format!(
        "commit refs/heads/{branch}\ncommitter T <t@example.invalid> 1700000000 +0000\ndata {}\n{message}\n",
        message.len()
    );
    stream.extend_from_slice(text.as_bytes());
}

fn file(stream: &mut Vec<u8>, mode: &str, path: &str, content: &[u8]) {
    stream.extend_from_slice(format!("M {mode} inline {path}\ndata {}\n", content.len()).as_bytes());
    stream.extend_from_slice(content);
    stream.push(b'\n');
}

fn request(repository: &Path, reference: &str) -> AcquireRequest {
    let repository = repository.to_str().unwrap().to_owned();
    AcquireRequest { repository, r#ref: reference.into(), ..AcquireRequest::default() }
}

/// Acquires, checks that git finds nothing changed, and returns the path.
async fn clean(
    fixture: &Fixture,
    manager: &WorkareaManager,
    session: &str,
    request: AcquireRequest,
) -> (PathBuf, String) {
    let workarea = manager.acquire(&id(session), request).await.unwrap();
    let path = PathBuf::from(&workarea.path);
    assert_eq!(fixture.git(&path, &["status", "--porcelain", "--ignored"]), "", "{session}");
    (path, workarea.acquire_path)
}

/// Archives a workarea and restores it: git sees the same, and so does a comparison.
fn round_trip(fixture: &Fixture, workarea: &Path) {
    // In memory where there is such a place: an archive is flushed to disk, with everything that others write there.
    let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_none| tempfile::tempdir()).unwrap();
    let archives = Archives::new(&scratch.path().join("workareas"));
    let metadata = |session: &str| ArchiveMetadata { session_id: session.to_owned(), ..ArchiveMetadata::default() };
    let first = archives.create(workarea, &metadata("first")).unwrap();
    let context = RestoreContext { saturated: &|| None, is_live: &|_| false, now: jiff::Timestamp::now() };
    let restored = archives.restore(&first.id, &RestoreRequest::default(), &context).unwrap();
    let copy = Path::new(&restored.path);
    let seen = |dir: &Path| ["HEAD", "HEAD^{tree}"].map(|what| fixture.git(dir, &["rev-parse", what]));
    assert_eq!(seen(copy), seen(workarea));
    assert_eq!(fixture.git(copy, &["status", "--porcelain"]), "");
    let second = archives.create(copy, &metadata("second")).unwrap();
    let mut differing = Vec::new();
    let counts = archives.diff(&first.id, &second.id, |entry| {
        // Directories have the mode of a restore; git looks at its own index again.
        if !entry.mode_a.starts_with('d') && entry.path != ".git/index" {
            differing.push(entry.path);
        }
        ControlFlow::Continue(())
    });
    assert!(counts.is_ok() && differing.is_empty(), "{differing:?}");
    assert_eq!((first.entry_count, first.size_bytes, first.excluded_count), (second.entry_count, second.size_bytes, 0));
    assert_eq!(archives.remove(&[first.id, second.id, restored.id], false).removed.len(), 3);
}

#[tokio::test]
async fn twenty_thousand_files() {
    let fixture = Fixture::new();
    let mut stream = Vec::new();
    commit(&mut stream, "main", "many");
    for number in 0..20_000 {
        let path = format!("d{}/e{}/file{number}.rs", number % 40, number % 200);
        file(&mut stream, "100644", &path, format!("// {number}\n{}", "x\n".repeat(number % 50)).as_bytes());
    }
    commit(&mut stream, "main", "some others");
    for number in (0..20_000).step_by(100) {
        let path = format!("d{}/e{}/file{number}.rs", number % 40, number % 200);
        file(&mut stream, "100755", &path, b"changed\n");
    }
    let remote = import(&fixture, "many", &stream);
    let manager = fixture.manager();
    let (path, _) = clean(&fixture, &manager, "s1", request(&remote, "")).await;
    assert_eq!(fixture.git(&path, &["ls-files"]).lines().count(), 20_000);
    round_trip(&fixture, &path);
    for number in (0..20_000).step_by(1000) {
        std::fs::write(path.join(format!("d{}/e{}/file{number}.rs", number % 40, number % 200)), "mine").unwrap();
    }
    manager.release(&id("s1"), ReleaseMode::ReturnToPool).await.unwrap();
    let first = fixture.git(&remote, &["rev-parse", "main~1"]);
    let (path, acquired) = clean(&fixture, &manager, "s2", request(&remote, &first)).await;
    assert_eq!(acquired, "pool-warm");
    assert_eq!(std::fs::read_to_string(path.join("d0/e0/file0.rs")).unwrap(), "// 0\n");
    assert_eq!(fixture.git(&path, &["diff", "--stat", "HEAD"]), "");
}

#[tokio::test]
async fn a_history_of_five_thousand_commits() {
    let fixture = Fixture::new();
    let mut stream = Vec::new();
    for number in 0..5000 {
        commit(&mut stream, "main", "next");
        file(&mut stream, "100644", &format!("f{}", number % 20), number.to_string().as_bytes());
    }
    let remote = import(&fixture, "long", &stream);
    let manager = fixture.manager();
    for (strategy, expected) in
        [(CloneStrategy::ReferenceClone, "5000"), (CloneStrategy::Full, "5000"), (CloneStrategy::Shallow, "1")]
    {
        let session = format!("{strategy:?}");
        let (path, _) =
            clean(&fixture, &manager, &session, AcquireRequest { strategy, ..request(&remote, "main") }).await;
        assert_eq!(fixture.git(&path, &["rev-list", "--count", "HEAD"]), expected, "{strategy:?}");
        round_trip(&fixture, &path);
        manager.release(&id(&session), ReleaseMode::ReturnToPool).await.unwrap();
    }
}

#[tokio::test]
async fn this_projects_own_repository() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if !root.join(".git").exists() {
        eprintln!("SKIPPED: these sources are not in a git repository");
        return;
    }
    let fixture = Fixture::new();
    std::fs::write(fixture.dir.path().join("gitconfig"), "[safe]\ndirectory = *\n").unwrap();
    let manager = fixture.manager();
    let (path, _) = clean(&fixture, &manager, "s1", request(&root.canonicalize().unwrap(), "")).await;
    assert!(path.join("crates/rensei-workarea/src/lib.rs").is_file());
    round_trip(&fixture, &path);
    manager.release(&id("s1"), ReleaseMode::ReturnToPool).await.unwrap();
    let (_, acquired) = clean(&fixture, &manager, "s2", request(&root.canonicalize().unwrap(), "")).await;
    assert_eq!(acquired, "pool-warm");
}

#[tokio::test]
async fn submodules_and_lfs_files_are_named() {
    let fixture = Fixture::new();
    let mut stream = Vec::new();
    commit(&mut stream, "main", "with a submodule");
    file(
        &mut stream,
        "100644",
        ".gitmodules",
        b"[submodule \"lib\"]\n\tpath = vendor/lib\n\turl = https://example.invalid/lib\n",
    );
    stream.extend_from_slice(format!("M 160000 {} vendor/lib\n", "1".repeat(40)).as_bytes());
    file(&mut stream, "100644", ".gitattributes", b"*.bin filter=lfs diff=lfs merge=lfs -text\n");
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n", "a".repeat(64));
    file(&mut stream, "100644", "model.bin", pointer.as_bytes());
    let remote = import(&fixture, "modules", &stream);
    let manager = fixture.manager();
    for session in ["s1", "s2"] {
        let workarea = manager.acquire(&id(session), request(&remote, "")).await.unwrap();
        let path = Path::new(&workarea.path);
        let [submodule, lfs] = &workarea.notes[..] else { panic!("{:?}", workarea.notes) };
        assert!(submodule.contains("vendor/lib") && submodule.contains("git submodule update --init"), "{submodule}");
        assert!(lfs.contains("Git LFS") && lfs.contains("git lfs pull"), "{lfs}");
        assert_eq!(std::fs::read_dir(path.join("vendor/lib")).unwrap().count(), 0);
        assert_eq!(std::fs::read_to_string(path.join("model.bin")).unwrap(), pointer);
        assert_eq!(fixture.git(path, &["status", "--porcelain"]), "");
        round_trip(&fixture, path);
        std::fs::write(path.join("vendor/lib/left"), "x").unwrap();
        manager.release(&id(session), ReleaseMode::ReturnToPool).await.unwrap();
    }
}

#[tokio::test]
async fn names_modes_and_sizes_that_are_unusual() {
    let fixture = Fixture::new();
    let mut stream = Vec::new();
    commit(&mut stream, "main", "awkward");
    file(&mut stream, "120000", "link", b"target \xff");
    file(&mut stream, "120000", "dangling", b"/nonexistent/../x");
    file(&mut stream, "120000", "dir/up", b"../../../etc");
    file(&mut stream, "100755", "run", b"#!/bin/sh\n");
    file(&mut stream, "100644", "Case", b"upper");
    file(&mut stream, "100644", "case", b"lower");
    file(&mut stream, "100644", "\"caf\\351/\\377\\376\"", b"latin");
    file(&mut stream, "100644", &format!("long/{}", "n".repeat(255)), b"long");
    file(&mut stream, "100644", &format!("{}leaf", "deep/".repeat(200)), b"deep");
    file(&mut stream, "100644", "empty", b"");
    file(&mut stream, "100644", "large", &vec![0; 300 << 20]);
    commit(&mut stream, "other", "swapped");
    file(&mut stream, "100644", "link", b"a file now");
    file(&mut stream, "120000", "run", b"link");
    file(&mut stream, "100644", "dir", b"no directory now");
    file(&mut stream, "100644", "Case/inside", b"a directory now");
    let remote = import(&fixture, "awkward", &stream);
    let manager = fixture.manager();
    let check = |path: &Path| {
        let bytes = |name: &[u8]| std::fs::read(path.join(OsStr::from_bytes(name))).unwrap();
        assert_eq!(std::fs::read_link(path.join("link")).unwrap().as_os_str().as_bytes(), b"target \xff");
        assert_eq!(std::fs::read_link(path.join("dir/up")).unwrap(), Path::new("../../../etc"));
        assert_eq!(std::fs::metadata(path.join("run")).unwrap().permissions().mode() & 0o111, 0o111);
        assert_eq!((bytes(b"Case"), bytes(b"case")), (b"upper".to_vec(), b"lower".to_vec()));
        assert_eq!((bytes(b"caf\xe9/\xff\xfe"), bytes(b"empty")), (b"latin".to_vec(), Vec::new()));
        assert_eq!(bytes(format!("{}leaf", "deep/".repeat(200)).as_bytes()), b"deep");
        assert_eq!(std::fs::metadata(path.join("large")).unwrap().len(), 300 << 20);
    };
    let (path, _) = clean(&fixture, &manager, "s1", request(&remote, "main")).await;
    check(&path);
    // What is large is compared elsewhere.
    std::fs::File::options().write(true).open(path.join("large")).unwrap().set_len(0).unwrap();
    fixture.git(&path, &["commit", "-q", "-a", "-m", "small"]);
    round_trip(&fixture, &path);
    manager.release(&id("s1"), ReleaseMode::ReturnToPool).await.unwrap();
    let (path, acquired) = clean(&fixture, &manager, "s2", request(&remote, "other")).await;
    assert_eq!((acquired.as_str(), std::fs::read_dir(&path).unwrap().count()), ("pool-warm", 5));
    assert_eq!(std::fs::read_to_string(path.join("link")).unwrap(), "a file now");
    assert_eq!(std::fs::read_to_string(path.join("Case/inside")).unwrap(), "a directory now");
}

#[tokio::test]
async fn trees_that_lead_elsewhere_are_refused() {
    let fixture = Fixture::new();
    let bare = import(&fixture, "hostile", b"");
    let blob = |content: &str| {
        let file = fixture.dir.path().join("blob");
        std::fs::write(&file, content).unwrap();
        fixture.git(&bare, &["hash-object", "-w", file.to_str().unwrap()])
    };
    let tree = |entries: &[(&str, &str, &str)]| {
        let mut raw = Vec::new();
        for (mode, name, id) in entries {
            raw.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            raw.extend((0..20).map(|at| u8::from_str_radix(&id[at * 2..at * 2 + 2], 16).unwrap()));
        }
        let file = fixture.dir.path().join("tree");
        std::fs::write(&file, raw).unwrap();
        fixture.git(&bare, &["hash-object", "-w", "-t", "tree", "--literally", file.to_str().unwrap()])
    };
    let (content, target) = (blob("x"), blob("/tmp"));
    let inner = tree(&[("100644", "planted", &content)]);
    let hostile = [
        tree(&[("40000", "..", &inner)]),
        tree(&[("40000", ".git", &inner)]),
        tree(&[("40000", ".GiT", &inner)]),
        tree(&[("100644", "a/b", &content)]),
        tree(&[("120000", "a", &target), ("40000", "a", &inner)]),
        tree(&[("100644", "b", &content), ("100644", "a", &content)]),
    ];
    let mut refs = String::new();
    for (number, tree) in hostile.iter().enumerate() {
        let commit = fixture.git(&bare, &["commit-tree", "-m", "hostile", tree]);
        writeln!(refs, "create refs/heads/h{number} {commit}").unwrap();
    }
    let manager = fixture.manager();
    for line in refs.lines() {
        let (name, commit) = line.strip_prefix("create ").unwrap().split_once(' ').unwrap();
        fixture.git(&bare, &["update-ref", name, commit]);
        let branch = name.strip_prefix("refs/heads/").unwrap();
        let error = manager.acquire(&id("s1"), request(&bare, branch)).await.unwrap_err();
        assert!(error.to_string().contains("path") || error.to_string().contains("fetch"), "{branch}: {error}");
        fixture.git(&bare, &["update-ref", "-d", name]);
    }
    assert!(!Path::new("/tmp/planted").exists() && fixture.leftovers().is_empty());
    assert!(manager.pool_stats().members.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_sessions_on_four_repositories_at_once() {
    let fixture = Fixture::new();
    let remotes: Vec<PathBuf> = (0..4)
        .map(|number| {
            let mut stream = Vec::new();
            commit(&mut stream, "main", "first");
            (0..200).for_each(|at| {
                file(&mut stream, "100644", &format!("d{}/f{at}", at % 7), format!("{number}-{at}").as_bytes())
            });
            import(&fixture, &format!("r{number}"), &stream)
        })
        .collect();
    let manager = fixture.manager();
    for round in ["cold", "warm"] {
        let sessions: Vec<_> = (0..32)
            .map(|number| {
                let (manager, request) = (manager.clone(), request(&remotes[number % 4], "main"));
                tokio::spawn(async move { manager.acquire(&id(&format!("s{number}")), request).await.unwrap() })
            })
            .collect();
        let mut warm = 0;
        for (number, session) in sessions.into_iter().enumerate() {
            let workarea = session.await.unwrap();
            warm += usize::from(workarea.acquire_path == "pool-warm");
            let path = Path::new(&workarea.path);
            assert_eq!(std::fs::read_to_string(path.join("d3/f3")).unwrap(), format!("{}-3", number % 4));
            assert_eq!(fixture.git(path, &["status", "--porcelain", "--ignored"]), "");
            std::fs::write(path.join("left"), "x").unwrap();
        }
        assert_eq!(warm, if round == "warm" { 32 } else { 0 });
        for number in 0..32 {
            manager.release(&id(&format!("s{number}")), ReleaseMode::ReturnToPool).await.unwrap();
        }
    }
    let stats = manager.pool_stats();
    assert_eq!((stats.ready_members, stats.total_members), (32, 32));
}
