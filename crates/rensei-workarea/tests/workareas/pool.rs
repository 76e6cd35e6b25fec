//! Checkouts that go from one session to the next.

use crate::fixture::{Fixture, id, message};
use rensei_proto::control::{EvictPoolRequest, PoolMemberStatus, WorkareaPoolMember};
use rensei_workarea::{
    AcquireRequest, Checkout, CloneStrategy, GitEnvironment, PoolSettings, ReleaseMode, WorkareaManager,
};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const BACK: ReleaseMode = ReleaseMode::ReturnToPool;

/// Every path below `dir` with its kind, mode and content, `.git` left out.
fn contents(dir: &Path) -> BTreeMap<Vec<u8>, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let (path, metadata) = (entry.path(), entry.metadata().unwrap());
            if path == dir.join(".git") {
                continue;
            }
            let content = if metadata.is_symlink() {
                std::fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
            } else if metadata.is_dir() {
                pending.push(path.clone());
                Vec::new()
            } else {
                std::fs::read(&path).unwrap()
            };
            found.insert(path.strip_prefix(dir).unwrap().as_os_str().as_bytes().to_vec(), (metadata.mode(), content));
        }
    }
    found
}

/// Names and contents of everything in `.git` that does not differ from session to session anyway.
fn git_files(dir: &Path, session: &str) -> BTreeMap<String, String> {
    let files = contents(&dir.join(".git")).into_iter().filter(|(_, (mode, _))| mode & 0o170_000 == 0o100_000);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace(session, "SESSION");
    files
        .map(|(name, (_, content))| (text(name), text(content)))
        .filter(|(name, _)| !matches!(name.as_str(), "index" | "rensei-workarea.json") && !name.starts_with("logs"))
        .collect()
}

fn only(manager: &WorkareaManager) -> WorkareaPoolMember {
    let stats = manager.pool_stats();
    assert_eq!(stats.members.len(), 1, "{stats:?}");
    stats.members[0].clone()
}

fn statuses(manager: &WorkareaManager) -> Vec<PoolMemberStatus> {
    manager.pool_stats().members.iter().map(|member| member.status).collect()
}

/// Waits for what goes on in the background.
async fn until(mut condition: impl FnMut() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    let reached = async {
        while !condition() {
            tick.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reached).await.unwrap();
}

#[tokio::test]
async fn a_checkout_goes_to_the_next_session_at_another_commit() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    let first = manager.acquire(&id("s1"), fixture.request("")).await.unwrap();
    assert_eq!((only(&manager).status, only(&manager).acquired_by), (PoolMemberStatus::Acquired, Some(id("s1"))));
    manager.release(&id("s1"), BACK).await.unwrap();
    assert!(!Path::new(&first.path).exists() && manager.list().unwrap().is_empty());
    let ready = only(&manager);
    assert_eq!(
        (ready.status, ready.acquired_by, ready.clean_state_checksum.len()),
        (PoolMemberStatus::Ready, None, 64)
    );
    let third = fixture.commit("src/new", "three\n", "third");
    let again = manager.acquire(&id("s2"), fixture.request("main")).await.unwrap();
    let path = PathBuf::from(&again.path);
    assert_eq!((again.acquire_path.as_str(), &again.commit, again.branch.as_str()), ("pool-warm", &third, "agent/s2"));
    assert_eq!(std::fs::read_to_string(path.join("src/new")).unwrap(), "three\n");
    assert_eq!(fixture.git(&path, &["status", "--porcelain", "--ignored"]), "");
    assert_eq!(
        fixture.git(&path, &["for-each-ref", "--format=%(refname)"]),
        "refs/heads/agent/s2\nrefs/remotes/origin/main"
    );
    fixture.git(&path, &["fsck", "--strict"]);
    assert_ne!(only(&manager).clean_state_checksum, ready.clean_state_checksum);
    // To an older commit, and for good.
    manager.release(&id("s2"), BACK).await.unwrap();
    let old = manager.acquire(&id("s3"), fixture.request("light")).await.unwrap();
    assert_eq!(old.acquire_path, "pool-warm");
    assert_eq!(contents(Path::new(&old.path)).keys().cloned().collect::<Vec<_>>(), [b"README.md".to_vec()]);
    manager.release(&id("s3"), ReleaseMode::Destroy).await.unwrap();
    assert!(manager.pool_stats().members.is_empty() && fixture.leftovers().is_empty());
    assert_eq!(std::fs::read_dir(fixture.state().join("pool")).unwrap().count(), 0);
}

/// Whatever an agent can do to a checkout.
fn ravage(fixture: &Fixture, path: &Path) {
    let write = |name: &str, content: &str| {
        std::fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
        std::fs::write(path.join(name), content).unwrap();
    };
    let git = |args: &[&str]| fixture.git(path, args);
    write("README.md", "mine\n");
    write("untracked/deep/er/file", "x");
    write("ignored.log", "x");
    write(".gitignore", "*.log\n.rensei\n");
    write(".rensei/secret", "x");
    write(".git/info/attributes", "* filter=evil\n");
    write("nested/file", "x");
    git(&["init", "-q", "nested"]);
    git(&["config", "user.name", "Mallory"]);
    git(&["add", "-A", "--", "untracked"]);
    git(&["commit", "-q", "-m", "secret commit"]);
    git(&["branch", "secret-branch"]);
    git(&["tag", "secret-tag"]);
    git(&["stash", "push", "-q", "--include-untracked", "-m", "secret stash"]);
    write("README.md", "mine again\n");
    git(&["update-index", "--assume-unchanged", "README.md"]);
    let owned = format!("touch '{}'", fixture.dir.path().join("owned").display());
    git(&["config", "filter.evil.smudge", &owned]);
    git(&["config", "core.fsmonitor", &owned]);
    write(".git/hooks/post-checkout", &format!("#!/bin/sh\n{owned}\n"));
    write("again/untracked", "x");
    std::fs::remove_file(path.join("src/lib.rs")).unwrap();
    std::fs::hard_link(path.join("README.md"), path.join("hard")).unwrap();
    std::os::unix::fs::symlink("/etc", path.join("link")).unwrap();
    std::fs::set_permissions(path.join("src"), std::fs::Permissions::from_mode(0o500)).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
}

#[tokio::test]
async fn nothing_of_a_session_reaches_the_next_one() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    manager.acquire(&id("fresh"), fixture.request("")).await.unwrap();
    let used = manager.acquire(&id("s1"), fixture.request("")).await.unwrap();
    ravage(&fixture, Path::new(&used.path));
    manager.release(&id("s1"), BACK).await.unwrap();
    let next = manager.acquire(&id("s2"), fixture.request("")).await.unwrap();
    assert_eq!(next.acquire_path, "pool-warm");
    let (fresh, path) = (manager.path(&id("fresh")), PathBuf::from(&next.path));
    assert_eq!(contents(&path), contents(&fresh));
    assert_eq!(path.metadata().unwrap().mode(), fresh.metadata().unwrap().mode());
    assert_eq!(git_files(&path, "s2"), git_files(&fresh, "fresh"));
    let git = |args: &[&str]| fixture.git(&path, args);
    assert_eq!(git(&["status", "--porcelain", "--ignored"]), "");
    assert_eq!(git(&["stash", "list"]), "");
    assert_eq!(git(&["reflog", "show", "HEAD"]).lines().count(), 1);
    assert_eq!(git(&["count-objects"]), "0 objects, 0 kilobytes");
    assert_eq!(git(&["for-each-ref", "--format=%(refname)"]), "refs/heads/agent/s2\nrefs/remotes/origin/main");
    assert!(!fixture.dir.path().join("owned").exists());
}

#[tokio::test]
async fn files_that_are_changed_behind_the_stat_data_are_noticed() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    for round in 0..5 {
        let session = format!("s{round}");
        let workarea = manager.acquire(&id(&session), fixture.request("")).await.unwrap();
        let file = Path::new(&workarea.path).join("README.md");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\n", "round {round}");
        // Same size, same time of change: what a build tool that restores timestamps leaves.
        let modified = std::fs::metadata(&file).unwrap().modified().unwrap();
        std::fs::write(&file, "two\n").unwrap();
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
        manager.release(&id(&session), BACK).await.unwrap();
    }
    assert_eq!(manager.pool_stats().total_members, 1);
}

#[tokio::test]
async fn what_is_kept_is_what_the_settings_say() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    manager.configure(PoolSettings { keep: vec!["node_modules".into(), ".env".into()], ..PoolSettings::default() });
    let first = manager.acquire(&id("s1"), fixture.request("")).await.unwrap();
    for name in
        ["node_modules/a/b", "web/node_modules/x", "node_modules/.cache/x", "dist/x", "other", ".env", "src/dist/y"]
    {
        let path = Path::new(&first.path).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, vec![0; 3 << 20]).unwrap();
    }
    manager.release(&id("s1"), BACK).await.unwrap();
    assert!((6..=12).contains(&only(&manager).disk_usage_mb), "{:?}", only(&manager));
    let second = manager.acquire(&id("s2"), fixture.request("")).await.unwrap();
    let names: Vec<_> =
        contents(Path::new(&second.path)).into_keys().map(|name| String::from_utf8(name).unwrap()).collect();
    assert_eq!(names, [".env", "README.md", "node_modules", "node_modules/a", "node_modules/a/b", "src", "src/lib.rs"]);
}

#[tokio::test]
async fn other_dependencies_make_an_entry_invalid_and_then_usable_again() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    manager.configure(PoolSettings { keep: vec!["node_modules".into()], ..PoolSettings::default() });
    fixture.commit("web/package-lock.json", "1", "lock");
    let first = manager.acquire(&id("s1"), fixture.request("")).await.unwrap();
    std::fs::create_dir(Path::new(&first.path).join("node_modules")).unwrap();
    manager.release(&id("s1"), BACK).await.unwrap();
    fixture.commit("README.md", "other", "no change of dependencies");
    let second = manager.acquire(&id("s2"), fixture.request("")).await.unwrap();
    assert_eq!(
        (second.acquire_path.as_str(), Path::new(&second.path).join("node_modules").exists()),
        ("pool-warm", true)
    );
    manager.release(&id("s2"), BACK).await.unwrap();
    fixture.commit("web/package-lock.json", "2", "other dependencies");
    let third = manager.acquire(&id("s3"), fixture.request("")).await.unwrap();
    assert_eq!(
        (third.acquire_path.as_str(), Path::new(&third.path).join("node_modules").exists()),
        ("pool-fresh", false)
    );
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    while manager.pool_stats().ready_members == 0 {
        tick.tick().await;
    }
    let fourth = manager.acquire(&id("s4"), fixture.request("")).await.unwrap();
    assert_eq!(
        (fourth.acquire_path.as_str(), Path::new(&fourth.path).join("node_modules").exists()),
        ("pool-warm", false)
    );
}

#[tokio::test]
async fn owners_and_toolchains_share_nothing() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    let request = |scope: &str, toolchain: &str| AcquireRequest {
        scope: scope.into(),
        toolchain: toolchain.into(),
        ..fixture.request("")
    };
    let mut number = 0;
    let mut get = async |scope: &str, toolchain: &str| {
        number += 1;
        let session = id(&format!("s{number}"));
        let workarea = manager.acquire(&session, request(scope, toolchain)).await.unwrap();
        manager.release(&session, BACK).await.unwrap();
        workarea.acquire_path
    };
    assert_eq!(get("", "").await, "cold");
    assert_eq!(get("a", "").await, "cold", "objects are an owner's own, too");
    assert_eq!(get("b", "").await, "cold");
    assert_eq!(get("a", "node-20").await, "pool-fresh");
    for (scope, toolchain) in [("", ""), ("a", ""), ("b", ""), ("a", "node-20")] {
        assert_eq!(get(scope, toolchain).await, "pool-warm", "{scope} {toolchain}");
    }
    assert_eq!(manager.pool_stats().ready_members, 4);
}

#[tokio::test]
async fn an_owner_sees_no_commit_of_another() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    let commit =
        manager.acquire(&id("s1"), AcquireRequest { scope: "a".into(), ..fixture.request("") }).await.unwrap().commit;
    std::fs::rename(fixture.remote(), fixture.dir.path().join("private now")).unwrap();
    let mine = AcquireRequest { scope: "a".into(), ..fixture.request(&commit) };
    assert_eq!(manager.acquire(&id("s2"), mine).await.unwrap().commit, commit);
    assert!(
        manager.acquire(&id("s3"), AcquireRequest { scope: "b".into(), ..fixture.request(&commit) }).await.is_err()
    );
}

#[tokio::test]
async fn the_pool_is_bounded_and_evicted_and_sessions_keep_what_they_have() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    // What is kept by its name counts whatever the clock says: a file as young as its index is written again.
    let keep = || vec!["kept".to_owned()];
    manager.configure(PoolSettings { keep: keep(), ..PoolSettings::default() });
    for session in ["s1", "s2", "s3"] {
        let area = manager.acquire(&id(session), fixture.request("")).await.unwrap();
        std::fs::write(Path::new(&area.path).join("kept"), "x".repeat(2 << 20)).unwrap();
    }
    for session in ["s2", "s1"] {
        manager.release(&id(session), BACK).await.unwrap();
    }
    assert_eq!(manager.pool_stats().ready_members, 2);
    manager.configure(PoolSettings { max_idle_bytes: 3 << 20, keep: keep(), ..PoolSettings::default() });
    until(|| manager.pool_stats().total_members < 3).await;
    let left = manager.pool_stats();
    assert_eq!((left.ready_members, left.acquired_members), (1, 1));
    assert!(Path::new(&manager.path(&id("s3"))).join("kept").exists());
    let evict = |repository: &str, older: i64| {
        manager.evict(EvictPoolRequest { repo_url: repository.into(), older_than_seconds: older })
    };
    let remote = fixture.remote().to_str().unwrap().to_owned();
    assert_eq!(evict("/some/where/else", 0).await.unwrap().evicted, 0);
    assert_eq!(evict(&remote, 3600).await.unwrap().evicted, 0);
    assert!(evict("nonsense", 0).await.is_err());
    let answer = evict(&format!("{remote}/"), 0).await.unwrap();
    assert_eq!((answer.evicted, answer.message.starts_with("evicted 1 idle workarea of ")), (1, true), "{answer:?}");
    assert_eq!(statuses(&manager), [PoolMemberStatus::Acquired]);
    manager.release(&id("s3"), BACK).await.unwrap();
    manager.configure(PoolSettings { max_idle_bytes: 1, ..PoolSettings::default() });
    until(|| manager.pool_stats().members.is_empty()).await;
    assert_eq!(std::fs::read_dir(fixture.state().join("pool")).unwrap().count(), 0);
}

#[tokio::test]
async fn old_entries_are_not_handed_on() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    manager.acquire(&id("s1"), fixture.request("")).await.unwrap();
    manager.configure(PoolSettings { max_age: Duration::ZERO, ..PoolSettings::default() });
    tokio::time::sleep(Duration::from_millis(2)).await;
    manager.release(&id("s1"), BACK).await.unwrap();
    assert!(manager.pool_stats().members.is_empty());
}

#[tokio::test]
async fn a_nearly_full_disk_takes_no_new_workareas() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    manager.acquire(&id("s1"), fixture.request("")).await.unwrap();
    manager.acquire(&id("s2"), fixture.request("")).await.unwrap();
    manager.release(&id("s1"), BACK).await.unwrap();
    manager.configure(PoolSettings { refuse_percent: 0, ..PoolSettings::default() });
    let error = manager.acquire(&id("s3"), fixture.request("")).await.unwrap_err();
    assert_eq!((error.http_status(), error.is_retryable()), (503, true));
    assert!(error.to_string().contains("nearly full") && error.hint().unwrap().contains("host evict"), "{error}");
    assert_eq!(statuses(&manager), [PoolMemberStatus::Acquired], "what is idle goes first, what is held stays");
    let same = manager.acquire(&id("s2"), fixture.request("")).await.unwrap();
    assert!(Path::new(&same.path).exists(), "who has one keeps it");
}

#[tokio::test]
async fn strategies_differ_in_history_and_objects() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    for (strategy, commits, all_branches) in [
        (CloneStrategy::ReferenceClone, "2", false),
        (CloneStrategy::Shallow, "1", false),
        (CloneStrategy::Full, "2", true),
    ] {
        for expected in ["fresh", "warm"] {
            let session = id(&format!("{strategy:?}-{expected}"));
            let request = AcquireRequest { strategy, ..fixture.request("main") };
            let workarea = manager.acquire(&session, request).await.unwrap();
            let path = Path::new(&workarea.path);
            assert_eq!(fixture.git(path, &["rev-list", "--count", "HEAD"]), commits, "{strategy:?} {expected}");
            let branches = fixture.git(path, &["branch", "-r"]);
            assert_eq!(branches.contains("origin/feature/login"), all_branches, "{strategy:?} {branches}");
            fixture.git(path, &["fsck", "--strict"]);
            std::fs::write(path.join("work"), session.as_str()).unwrap();
            let checkout = Checkout::open(path, fixture.env()).unwrap();
            let commit = checkout.commit_all(&message("work")).unwrap().unwrap();
            let pushed = checkout.push(rensei_workarea::PushRequest::default()).await.unwrap();
            assert_eq!((&pushed.commit, pushed.note), (&commit, None));
            if strategy == CloneStrategy::Full {
                std::fs::rename(fixture.mirror(), fixture.state().join("away")).unwrap();
                fixture.git(path, &["log", "--all", "--stat"]);
                std::fs::rename(fixture.state().join("away"), fixture.state().join("repos/remote-x")).unwrap();
                std::fs::remove_dir_all(fixture.state().join("repos/remote-x")).unwrap();
            }
            manager.release(&session, BACK).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_restart_finds_the_pool_as_it_was() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    manager.acquire(&id("s1"), fixture.request("")).await.unwrap();
    manager.acquire(&id("s2"), fixture.request("")).await.unwrap();
    manager.release(&id("s1"), BACK).await.unwrap();
    let before = manager.pool_stats().members;
    drop(manager);
    let manager = fixture.manager();
    assert_eq!(manager.pool_stats().members, before);
    let pool = fixture.state().join("pool");
    for (name, content) in [("wa-1-1-1/record.json", "{"), ("wa-2-2-2/index", "x"), ("mine/precious", "x")] {
        std::fs::create_dir_all(pool.join(name).parent().unwrap()).unwrap();
        std::fs::write(pool.join(name), content).unwrap();
    }
    let manager = fixture.manager();
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    while pool.join("wa-1-1-1").exists() || pool.join("wa-2-2-2").exists() {
        tick.tick().await;
    }
    assert!(pool.join("mine/precious").exists(), "what is not ours stays");
    assert_eq!(manager.pool_stats().members, before);
    assert_eq!(manager.acquire(&id("s3"), fixture.request("")).await.unwrap().acquire_path, "pool-warm");
    manager.release(&id("s2"), BACK).await.unwrap();
    assert_eq!(manager.pool_stats().ready_members, 1);
}

#[tokio::test]
async fn damage_to_an_entry_costs_the_entry_only() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    let pool = fixture.state().join("pool");
    let damages: [fn(&Path); 3] = [
        |entry| std::fs::write(entry.join("index"), "x").unwrap(),
        |entry| std::fs::remove_file(entry.join("index")).unwrap(),
        |entry| std::fs::remove_dir_all(entry.join("tree")).unwrap(),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let (first, second) = (id(&format!("a{number}")), id(&format!("b{number}")));
        manager.acquire(&first, fixture.request("")).await.unwrap();
        manager.release(&first, BACK).await.unwrap();
        damage(&pool.join(only(&manager).id));
        let workarea = manager.acquire(&second, fixture.request("")).await.unwrap();
        assert_eq!(workarea.acquire_path, "pool-fresh", "damage {number}");
        assert_eq!(fixture.git(Path::new(&workarea.path), &["status", "--porcelain"]), "");
        manager.release(&second, ReleaseMode::Destroy).await.unwrap();
    }
    assert_eq!(std::fs::read_dir(pool).unwrap().count(), 0);
}

#[tokio::test]
async fn a_workarea_that_was_made_ahead_is_warm() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    manager.configure(PoolSettings { warn_percent: 101, ..PoolSettings::default() });
    let missing = AcquireRequest { repository: "/nonexistent".into(), ..AcquireRequest::default() };
    manager.prewarm(vec![missing, fixture.request(""), fixture.request("")], 1);
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    while manager.pool_stats().ready_members == 0 {
        tick.tick().await;
    }
    assert_eq!(only(&manager).last_acquired_at, "");
    let workarea = manager.acquire(&id("s1"), fixture.request("main")).await.unwrap();
    assert_eq!(workarea.acquire_path, "pool-warm");
    assert_eq!(fixture.git(Path::new(&workarea.path), &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn what_was_handed_out_is_made_again() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    manager.configure(PoolSettings { warn_percent: 101, ..PoolSettings::default() });
    manager.prewarm(vec![fixture.request("")], 2);
    for session in ["s1", "s2", "s3"] {
        until(|| manager.pool_stats().ready_members == 2).await;
        let workarea = manager.acquire(&id(session), fixture.request("")).await.unwrap();
        assert_eq!(workarea.acquire_path, "pool-warm");
    }
    until(|| manager.pool_stats().ready_members == 2).await;
    let everything = EvictPoolRequest { repo_url: fixture.remote().to_str().unwrap().into(), older_than_seconds: 0 };
    // Nothing is wanted any more: nothing comes again.
    manager.prewarm(Vec::new(), 2);
    manager.evict(everything).await.unwrap();
    manager.release(&id("s1"), ReleaseMode::Destroy).await.unwrap();
    assert_eq!((manager.pool_stats().ready_members, manager.pool_stats().total_members), (0, 2));
}

/// Nice value in the `stat` of a process or thread.
#[cfg(target_os = "linux")]
fn niceness(stat: &Path) -> i32 {
    let text = std::fs::read_to_string(stat).unwrap();
    text.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn making_ahead_gives_way_to_everything_else() {
    let fixture = Fixture::new();
    let [script, told, go] = ["git", "told", "go"].map(|name| fixture.dir.path().join(name));
    assert!(Command::new("mkfifo").arg(&go).status().unwrap().success());
    let (told_text, go_text) = (told.display(), go.display());
    let says = format!("nice > '{told_text}.new'; mv '{told_text}.new' '{told_text}'; read line < '{go_text}'");
    std::fs::write(&script, format!("#!/bin/sh\n{says}\nexec git \"$@\"\n")).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let git = GitEnvironment { program: script.into(), ..fixture.env() };
    let manager = WorkareaManager::new(&fixture.state(), git);
    manager.configure(PoolSettings { warn_percent: 101, ..PoolSettings::default() });
    manager.prewarm(vec![fixture.request("main")], 1);
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    while !told.exists() {
        tick.tick().await;
    }
    assert_eq!(std::fs::read_to_string(&told).unwrap().trim(), "19", "git");
    let threads = std::fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
    let own = threads.filter(|path| std::fs::read_to_string(path.join("comm")).unwrap().starts_with("workarea-prewar"));
    let nice: Vec<i32> = own.map(|path| niceness(&path.join("stat"))).collect();
    assert!(!nice.is_empty() && nice.iter().all(|nice| *nice == 19), "who writes the files: {nice:?}");
    assert!(niceness(Path::new("/proc/thread-self/stat")) < 19, "everybody else");
    std::fs::write(&go, "go\n").unwrap();
    while manager.pool_stats().ready_members == 0 {
        tick.tick().await;
    }
}

/// A process without group, session and environment of the one that started it, in a checkout.
fn escaped(path: &Path) -> std::process::Child {
    let mut command = Command::new("/usr/bin/setsid");
    command.args(["env", "-i", "/bin/sh", "-c", "echo; read line; echo evil > README.md; mkdir -p .git/hooks"]);
    command.current_dir(path).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut ready = [0];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    child
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_a_session_left_running_does_not_write_into_the_next_one() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    let first = manager.acquire(&id("s1"), fixture.request("")).await.unwrap();
    let mut leftover = escaped(Path::new(&first.path));
    manager.release(&id("s1"), BACK).await.unwrap();
    let next = manager.acquire(&id("s2"), fixture.request("")).await.unwrap();
    assert_eq!(next.acquire_path, "pool-warm");
    // It would write now.
    drop(leftover.stdin.take());
    assert!(!leftover.wait().unwrap().success());
    assert_eq!(fixture.git(Path::new(&next.path), &["status", "--porcelain"]), "");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_checkout_that_somebody_else_stands_in_is_not_handed_on() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "read path; cd \"$path\" && echo; read line"]);
    let mut shell = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let identity = rensei_process::ProcessIdentity::of(shell.id()).unwrap();
    while identity.age().unwrap() < Duration::from_millis(300) {
        tokio::task::yield_now().await;
    }
    let first = manager.acquire(&id("s1"), fixture.request("")).await.unwrap();
    let mut input = shell.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, format!("{}\n", first.path).as_bytes()).unwrap();
    std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    manager.release(&id("s1"), BACK).await.unwrap();
    assert!(manager.pool_stats().members.is_empty() && identity.is_alive());
    drop(input);
    shell.wait().unwrap();
}

/// What an agent can do to the notes about its checkout to be taken for the holder of another entry.
fn forge(fixture: &Fixture, path: &Path, entry: &str, beside_too: bool) {
    let beside = fixture.state().join("worktrees/.owned").join(path.file_name().unwrap()).with_extension("json");
    let mut note: serde_json::Value = serde_json::from_slice(&std::fs::read(&beside).unwrap()).unwrap();
    note["entry"] = entry.into();
    std::fs::write(path.join(".git/rensei-workarea.json"), note.to_string()).unwrap();
    if beside_too {
        std::fs::remove_file(beside).unwrap();
    }
}

#[tokio::test]
async fn a_forged_note_gives_nobody_the_entry_of_another_session() {
    for (scope, beside_too) in [("", false), ("", true), ("other", false), ("other", true)] {
        let fixture = Fixture::new();
        let manager = fixture.manager();
        let theirs = || AcquireRequest { scope: scope.into(), ..fixture.request("") };
        manager.acquire(&id("b"), theirs()).await.unwrap();
        let entry = only(&manager).id;
        let state_of = |entry: &str| {
            let members = manager.pool_stats().members;
            members.into_iter().find(|member| member.id == entry).map(|member| (member.status, member.acquired_by))
        };
        let held = Some((PoolMemberStatus::Acquired, Some(id("b"))));
        for (number, mode) in [BACK, ReleaseMode::Destroy].into_iter().enumerate() {
            let session = id(&format!("a{number}"));
            let mine = manager.acquire(&session, fixture.request("")).await.unwrap();
            std::fs::write(Path::new(&mine.path).join("README.md"), "evil\n").unwrap();
            forge(&fixture, Path::new(&mine.path), &entry, beside_too);
            manager.release(&session, mode).await.unwrap();
            assert_eq!(state_of(&entry), held, "{mode:?} {scope} {beside_too}");
        }
        let mine = manager.acquire(&id("a2"), fixture.request("")).await.unwrap();
        forge(&fixture, Path::new(&mine.path), &entry, beside_too);
        assert!(manager.set_aside(&id("a2"), &fixture.dir.path().join("aside")).unwrap());
        assert_eq!((state_of(&entry), manager.pool_stats().total_members), (held, 1), "{scope} {beside_too}");
        let next = manager.acquire(&id("c"), theirs()).await.unwrap();
        assert_eq!(next.acquire_path, "pool-fresh", "{scope} {beside_too}");
        manager.release(&id("b"), BACK).await.unwrap();
        assert_eq!(state_of(&entry), Some((PoolMemberStatus::Ready, None)));
    }
}

#[tokio::test]
async fn a_note_without_its_checkout_says_nothing() {
    let fixture = Fixture::new();
    let gone = fixture.acquire("s1", "main").await.unwrap();
    let note = |session: &str| fixture.state().join("worktrees/.owned").join(format!("{session}.json"));
    let text = std::fs::read_to_string(note("s1")).unwrap();
    std::fs::remove_dir_all(&gone.path).unwrap();
    // As after a crash just before the note was deleted, too.
    let manager = fixture.manager();
    assert_eq!(manager.pool_stats().members, [], "nobody has it");
    assert!(!note("s1").exists());
    std::fs::write(note("s2"), text.replace("\"s1\"", "\"s2\"")).unwrap();
    assert_eq!(manager.held(&id("s2")), None);
    let workarea = manager.acquire(&id("s2"), fixture.request("main")).await.unwrap();
    assert!(Path::new(&workarea.path).join("README.md").exists());
}

/// Makes all entries of a pool that nobody uses older.
fn age(fixture: &Fixture, by: Duration) {
    for entry in std::fs::read_dir(fixture.state().join("pool")).unwrap() {
        let path = entry.unwrap().path().join("record.json");
        let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let made = record["createdAtMs"].as_i64().unwrap() - i64::try_from(by.as_millis()).unwrap();
        record["createdAtMs"] = made.into();
        std::fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
    }
}

#[tokio::test]
async fn what_is_too_old_is_not_handed_out_and_goes_by_itself() {
    let fixture = Fixture::new();
    let first = fixture.manager();
    first.acquire(&id("s1"), fixture.request("main")).await.unwrap();
    first.release(&id("s1"), BACK).await.unwrap();
    age(&fixture, Duration::from_secs(48 * 3600));
    let manager = fixture.manager();
    assert_eq!(only(&manager).status, PoolMemberStatus::Ready);
    assert_eq!(manager.acquire(&id("s2"), fixture.request("main")).await.unwrap().acquire_path, "pool-fresh");
    until(|| manager.pool_stats().total_members == 1).await;
    manager.release(&id("s2"), BACK).await.unwrap();
    // Nobody asks for anything from here on.
    manager.configure(PoolSettings { max_age: Duration::from_secs(3), ..PoolSettings::default() });
    until(|| manager.pool_stats().members.is_empty()).await;
    assert_eq!(std::fs::read_dir(fixture.state().join("pool")).unwrap().count(), 0);
}
