//! Killed at any moment, and a disk that is full at any step.

use crate::fixture::{Fixture, id};
use crate::small_disk::SmallDisk;
use rensei_proto::control::{EvictPoolRequest, PoolMemberStatus};
use rensei_workarea::{AcquireRequest, GitEnvironment, ReleaseMode, WorkareaErrorKind as Kind, WorkareaManager};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Rounds of the test; each kills one process.
const ROUNDS: u64 = 100;
/// How long what goes on in the background may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Names the fixture to the process that is killed.
const VICTIM: &str = "RENSEI_TEST_VICTIM";

/// What the killed process does: everything, over and over.
#[tokio::test]
async fn victim() {
    let Some(dir) = std::env::var_os(VICTIM).map(PathBuf::from) else { return };
    let config = |name: &str| std::env::var_os(name).map(|value| (name.into(), value));
    let env = ["PATH", "HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM"].into_iter().filter_map(config).collect();
    let manager = WorkareaManager::new(&dir.join("state root"), GitEnvironment::new(env));
    let remote = dir.join("remote ü").to_str().unwrap().to_owned();
    println!("ready");
    for number in 0_u64.. {
        let session = id(&format!("v{}", number % 3));
        let reference = if number % 2 == 0 { "main" } else { "light" };
        let request =
            AcquireRequest { repository: remote.clone(), r#ref: reference.into(), ..AcquireRequest::default() };
        let workarea = manager.acquire(&session, request).await.unwrap();
        std::fs::write(Path::new(&workarea.path).join("left"), "x").unwrap();
        std::fs::write(Path::new(&workarea.path).join("README.md"), "changed").unwrap();
        match number % 5 {
            4 => manager.release(&session, ReleaseMode::Destroy).await.unwrap(),
            3 => assert!(manager.set_aside(&session, &aside(&dir).join(format!("{number}"))).unwrap()),
            _ => manager.release(&session, ReleaseMode::ReturnToPool).await.unwrap(),
        }
        if number % 4 == 3 {
            let everything = EvictPoolRequest { repo_url: remote.clone(), older_than_seconds: 0 };
            manager.evict(everything).await.unwrap();
        }
    }
}

/// Where the victim sets aside.
fn aside(dir: &Path) -> PathBuf {
    dir.join("aside")
}

fn spawn(fixture: &Fixture) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::victim", "--nocapture"])
        .env_clear()
        .envs(fixture.env().env)
        .env(VICTIM, fixture.dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with("ready")), "the victim did not start");
    child
}

/// Everything on the disk belongs to a member of the pool or to a session, and each of these is whole.
async fn check(fixture: &Fixture, round: u64) {
    let manager = fixture.manager();
    let state = fixture.state();
    let unfinished = || {
        let pool = std::fs::read_dir(state.join("pool")).into_iter().flatten().flatten();
        let hidden = pool.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b".")).count();
        let busy = manager
            .pool_stats()
            .members
            .iter()
            .any(|member| !matches!(member.status, PoolMemberStatus::Ready | PoolMemberStatus::Acquired));
        let known: BTreeSet<_> = manager.pool_stats().members.into_iter().map(|member| member.id).collect();
        let found: BTreeSet<_> = names(&state.join("pool")).collect();
        hidden > 0 || busy || found != known || !fixture.leftovers().is_empty()
    };
    let settled = async {
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        while unfinished() {
            tick.tick().await;
        }
    };
    if tokio::time::timeout(PATIENCE, settled).await.is_err() {
        panic!("round {round}: {:?} {:?}", manager.pool_stats(), fixture.leftovers());
    }
    // Who has a member has a directory.
    for member in manager.pool_stats().members {
        let holder = member.acquired_by.filter(|_| member.status == PoolMemberStatus::Acquired);
        let path = holder.map(|session| manager.path(&session));
        assert!(path.is_none_or(|path| path.is_dir()), "round {round}: nobody has {}", member.id);
    }
    for id in names(&state.join("pool")) {
        let unfinished = names(&state.join("pool").join(&id)).filter(|name| name.starts_with('.')).count();
        assert_eq!(unfinished, 0, "round {round}: {id}");
    }
    // What was set aside is whole and nobody's.
    for name in names(&aside(fixture.dir.path())) {
        let path = aside(fixture.dir.path()).join(name);
        assert_eq!(fixture.git(&path, &["status", "--porcelain"]), "M README.md\n?? left", "round {round}");
        std::fs::remove_dir_all(path).unwrap();
    }
    for session in manager.list().unwrap() {
        let workarea = manager.held(&session).unwrap_or_else(|| panic!("round {round}: {session} is half a workarea"));
        let path = Path::new(&workarea.path);
        assert_eq!(fixture.git(path, &["rev-parse", "HEAD"]), workarea.commit, "round {round}");
        let changed = fixture.git(path, &["status", "--porcelain"]);
        let expected = ["", "?? left", "M README.md\n?? left"];
        assert!(expected.contains(&changed.as_str()), "round {round}: {changed}");
        manager.release(&session, ReleaseMode::ReturnToPool).await.unwrap();
    }
    let session = id("checker");
    let workarea = manager.acquire(&session, fixture.request("main")).await.unwrap();
    let path = Path::new(&workarea.path);
    assert_eq!(fixture.git(path, &["status", "--porcelain", "--ignored"]), "", "round {round}");
    assert_eq!(std::fs::read_to_string(path.join("README.md")).unwrap(), "one\n", "round {round}");
    manager.release(&session, ReleaseMode::ReturnToPool).await.unwrap();
}

fn names(dir: &Path) -> impl Iterator<Item = String> + use<> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name().into_string().unwrap())
}

#[tokio::test]
async fn whoever_is_killed_no_half_workarea_is_handed_out_and_nothing_leaks() {
    let fixture = Fixture::new();
    std::fs::create_dir(aside(fixture.dir.path())).unwrap();
    fixture.acquire("first", "main").await.unwrap();
    fixture.manager().release(&id("first"), ReleaseMode::ReturnToPool).await.unwrap();
    for round in 0..ROUNDS {
        let mut child = spawn(&fixture);
        // Any moment will do: what is tested is that it does not matter which.
        tokio::time::sleep(Duration::from_micros(round * 7919 % 60_000)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        check(&fixture, round).await;
    }
    assert_eq!(names(&fixture.state().join("worktrees/.owned")).count(), 0);
}

#[tokio::test]
async fn a_full_disk_is_named_and_costs_nothing() {
    let fixture = Fixture::new();
    for number in 0..40 {
        std::fs::write(fixture.remote().join(format!("file{number}")), vec![b'x'; 8000]).unwrap();
    }
    let commit = fixture.commit("last", "x", "forty files");
    let mut failures = 0;
    for kib in (32_u64..1400).step_by(48) {
        let Some(disk) = SmallDisk::mount(fixture.dir.path().join(format!("disk{kib}")), kib) else { return };
        let manager = WorkareaManager::new(disk.path(), fixture.env());
        let settings =
            rensei_workarea::PoolSettings { refuse_percent: 101, ..rensei_workarea::PoolSettings::default() };
        manager.configure(settings);
        for (session, reference) in [("s1", "light"), ("s2", "main")] {
            if let Err(error) = manager.acquire(&id(session), fixture.request(reference)).await {
                failures += 1;
                assert_eq!(error.kind(), Kind::DiskFull, "{kib} KiB: {error}");
                assert!(error.hint().unwrap().contains("free some space"));
                assert!(!manager.path(&id(session)).exists(), "{kib} KiB: a half workarea");
            }
            manager.release(&id(session), ReleaseMode::ReturnToPool).await.unwrap();
        }
        disk.resize(8192);
        let workarea = manager.acquire(&id("s3"), fixture.request("main")).await.unwrap();
        assert_eq!(workarea.commit, commit);
        assert_eq!(fixture.git(Path::new(&workarea.path), &["status", "--porcelain", "--ignored"]), "");
        manager.release(&id("s3"), ReleaseMode::Destroy).await.unwrap();
        let (worktrees, pool) = (disk.path().join("worktrees"), disk.path().join("pool"));
        let mut unfinished = names(&worktrees).chain(names(&pool)).filter(|name| name != ".owned");
        let members: BTreeSet<_> = manager.pool_stats().members.into_iter().map(|member| member.id).collect();
        assert!(unfinished.all(|name| members.contains(&name)), "{kib} KiB");
    }
    assert!(failures > 10, "the disk was full {failures} times only");
}
