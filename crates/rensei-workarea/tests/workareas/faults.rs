//! Killed, hanging and damaged.

use crate::fixture::{Fixture, id, message};
use rensei_process::{ProcessGroup, ProcessIdentity, Signal, find_by_env};
use rensei_workarea::{Checkout, GitEnvironment, WorkareaErrorKind as Kind, WorkareaManager};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// An environment in which the remote's side of every fetch says that it has begun and then hangs.
fn hanging(fixture: &Fixture) -> (GitEnvironment, PathBuf) {
    let begun = fixture.dir.path().join("begun");
    let script = fixture.dir.path().join("hang");
    std::fs::write(&script, format!("#!/bin/sh\necho $$ > '{}'\nexec sleep 300\n", begun.display())).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut git = fixture.env();
    for (name, value) in [("COUNT", "1"), ("KEY_0", "remote.rensei.uploadpack"), ("VALUE_0", script.to_str().unwrap())]
    {
        git.env.insert(format!("GIT_CONFIG_{name}").into(), value.into());
    }
    git.env.insert("RENSEI_TEST_MARKER".into(), fixture.dir.path().into());
    (git, begun)
}

/// Waits until the remote's side runs, and says which process it is.
async fn begin(file: &Path) -> ProcessIdentity {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    loop {
        tick.tick().await;
        let pid = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
        if let Some(Ok(identity)) = pid.map(ProcessIdentity::of) {
            return identity;
        }
    }
}

fn survivors(fixture: &Fixture) -> Vec<u32> {
    find_by_env("RENSEI_TEST_MARKER", fixture.dir.path().to_str().unwrap())
}

#[tokio::test]
async fn a_clone_that_is_killed_leaves_nothing_half_made() {
    let fixture = Fixture::new();
    let (git, begun) = hanging(&fixture);
    let manager = WorkareaManager::new(&fixture.state(), git);
    let session = id("s1");
    let acquiring = manager.acquire(&session, fixture.request("main"));
    let killing = async {
        begin(&begun).await;
        let note = std::fs::read_dir(fixture.state().join("repos")).unwrap().map(|entry| entry.unwrap().path());
        let lock = note.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "lock")).unwrap();
        let noted: ProcessIdentity = serde_json::from_slice(&std::fs::read(lock).unwrap()).unwrap();
        ProcessGroup::of_leader(noted.pid).signal(Signal::Kill).unwrap();
    };
    let (result, ()) = tokio::join!(acquiring, killing);
    assert!(result.unwrap_err().to_string().contains("signal 9"));
    assert!(fixture.leftovers().is_empty());
    assert_eq!(fixture.acquire("s1", "main").await.unwrap().acquire_path, "cold");
}

#[tokio::test]
async fn a_git_that_hangs_is_ended_with_everything_it_started() {
    let fixture = Fixture::new();
    let (mut git, begun) = hanging(&fixture);
    git.time_limit = Duration::from_secs(1);
    let manager = WorkareaManager::new(&fixture.state(), git);
    let session = id("s1");
    let (result, helper) = tokio::join!(manager.acquire(&session, fixture.request("main")), begin(&begun));
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (Kind::Unreachable, true));
    assert!(error.to_string().contains("after 1 seconds"), "{error}");
    helper.wait_gone().await;
    assert!(survivors(&fixture).is_empty() && fixture.leftovers().is_empty());
}

#[test]
fn a_host_that_dies_leaves_a_state_that_the_next_one_mends() {
    let fixture = Fixture::new();
    let (git, begun) = hanging(&fixture);
    let doomed = tokio::runtime::Runtime::new().unwrap();
    let manager = WorkareaManager::new(&fixture.state(), git);
    let request = fixture.request("main");
    doomed.spawn(async move { manager.acquire(&id("s1"), request).await });
    let helper = doomed.block_on(begin(&begun));
    doomed.shutdown_background();
    let next = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    next.block_on(async {
        helper.wait_gone().await;
        let half_made = fixture.state().join("repos/.new-4294967295-1-0");
        std::fs::create_dir_all(half_made.join("objects")).unwrap();
        let manager = fixture.manager();
        manager.acquire(&id("s1"), fixture.request("main")).await.unwrap();
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        while half_made.exists() {
            tick.tick().await;
        }
    });
}

#[tokio::test]
async fn a_damaged_mirror_is_made_anew() {
    let fixture = Fixture::new();
    let old = fixture.acquire("old", "").await.unwrap();
    let damages: [fn(&Path); 4] = [
        |mirror| std::fs::remove_dir_all(mirror.join("objects")).unwrap(),
        |mirror| std::fs::write(mirror.join("config"), "[core\n").unwrap(),
        |mirror| std::fs::remove_file(mirror.join("HEAD")).unwrap(),
        |mirror| {
            let empty = "find objects -type f -exec chmod u+w {} + -exec truncate -s 0 {} +";
            assert!(Command::new("sh").arg("-c").arg(empty).current_dir(mirror).status().unwrap().success());
        },
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        damage(&fixture.mirror());
        let commit = fixture.commit("new", &number.to_string(), "news");
        let workarea = fixture.acquire(&format!("s{number}"), "main").await.unwrap();
        assert_eq!(workarea.commit, commit, "damage {number}");
        fixture.git(&fixture.mirror(), &["fsck", "--strict"]);
        // Who borrowed from the old one can go on with the new one.
        fixture.git(Path::new(&old.path), &["fsck"]);
    }
    assert!(fixture.leftovers().is_empty());
}

#[tokio::test]
async fn damage_without_news_is_noticed_too() {
    let fixture = Fixture::new();
    let workarea = fixture.acquire("s1", "").await.unwrap();
    let blob = fixture.git(&fixture.mirror(), &["rev-parse", "main:README.md"]);
    let loose = fixture.mirror().join("objects").join(&blob[..2]).join(&blob[2..]);
    std::fs::remove_file(loose).unwrap();
    let again = fixture.acquire("s2", &workarea.commit).await.unwrap();
    assert_eq!(std::fs::read_to_string(Path::new(&again.path).join("README.md")).unwrap(), "one\n");
}

#[tokio::test]
async fn a_checkout_survives_the_loss_of_nothing_but_itself() {
    let fixture = Fixture::new();
    let (path, checkout, _) = fixture.checkout("s1").await;
    std::fs::write(path.join("work"), "x").unwrap();
    checkout.commit_all(&message("work")).unwrap();
    let reopened = Checkout::open(&path, fixture.env()).unwrap();
    assert_eq!(reopened.head().unwrap(), checkout.head().unwrap());
    std::fs::remove_dir_all(&path).unwrap();
    assert!(Checkout::open(&path, fixture.env()).is_err());
}

#[tokio::test]
async fn locks_that_a_killed_git_left_are_in_nobodys_way() {
    let fixture = Fixture::new();
    fixture.acquire("s1", "main").await.unwrap();
    // Its holder is gone and nobody noted which git it was.
    std::fs::write(fixture.mirror().join("refs/heads/main.lock"), "").unwrap();
    let second = fixture.commit("a", "a", "second");
    assert_eq!(fixture.acquire("s2", "main").await.unwrap().commit, second);
    if crate::PROGRAM != "git" {
        return;
    }
    // Killed while it has a reference locked.
    let script = fixture.dir.path().join("doomed");
    let text = "#!/bin/sh\ncase \" $* \" in *' fetch '*) : > \"$PWD/refs/heads/main.lock\"; kill -9 $$;; esac\nexec git \"$@\"\n";
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let third = fixture.commit("a", "b", "third");
    let doomed = GitEnvironment { program: script.into(), ..fixture.env() };
    let doomed = WorkareaManager::new(&fixture.state(), doomed);
    let error = doomed.acquire(&id("s3"), fixture.request("main")).await.unwrap_err();
    assert!(error.to_string().contains("signal 9"), "{error}");
    assert!(!fixture.mirror().join("refs/heads/main.lock").exists());
    assert_eq!(fixture.acquire("s3", "main").await.unwrap().commit, third);
}

#[tokio::test]
async fn a_session_keeps_history_that_only_a_damaged_mirror_still_has() {
    let fixture = Fixture::new();
    let running = fixture.acquire("s1", "main").await.unwrap();
    let git = |args: &[&str]| fixture.git(&fixture.remote(), args);
    git(&["update-ref", "refs/pull/1/head", "light"]);
    fixture.acquire("s2", "refs/pull/1/head").await.unwrap();
    git(&["update-ref", "refs/pull/2/head", "light"]);
    fixture.acquire("s4", "refs/pull/2/head").await.unwrap();
    // One that is gone costs no other.
    git(&["update-ref", "-d", "refs/pull/2/head"]);
    git(&["commit", "-q", "--amend", "-m", "rewritten"]);
    git(&["reflog", "expire", "--expire=now", "--all"]);
    git(&["gc", "-q", "--prune=now"]);
    assert!(!fixture.try_git(&fixture.remote(), &["cat-file", "-e", &running.commit]).status.success());
    std::fs::remove_file(fixture.mirror().join("HEAD")).unwrap();
    let next = fixture.acquire("s3", "main").await.unwrap();
    assert_ne!(next.commit, running.commit);
    let path = Path::new(&running.path);
    fixture.git(path, &["fsck", "--strict"]);
    assert_eq!(fixture.git(path, &["log", "--format=%s"]), "second\nfirst");
    fixture.git(&fixture.mirror(), &["fsck", "--strict"]);
    let pin = fixture.git(&fixture.mirror(), &["rev-parse", "refs/rensei/refs/pull/1/head"]);
    assert_eq!(pin, fixture.git(&fixture.remote(), &["rev-parse", "light"]));
    assert!(fixture.leftovers().is_empty());
}

#[tokio::test]
async fn a_damaged_mirror_is_made_anew_once_for_all_who_find_it() {
    if crate::PROGRAM != "git" {
        return;
    }
    let fixture = Fixture::new();
    let first = fixture.acquire("s1", "").await.unwrap();
    let blob = fixture.git(&fixture.mirror(), &["rev-parse", "main:README.md"]);
    std::fs::remove_file(fixture.mirror().join("objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    let (script, log) = (fixture.dir.path().join("noted"), fixture.dir.path().join("log"));
    std::fs::write(&script, format!("#!/bin/sh\necho \"$PWD\" >> '{}'\nexec git \"$@\"\n", log.display())).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let git = GitEnvironment { program: script.into(), ..fixture.env() };
    let manager = WorkareaManager::new(&fixture.state(), git);
    let acquire = async |session: &str| {
        manager.acquire(&id(session), fixture.request(&first.commit)).await.unwrap();
    };
    tokio::join!(acquire("a"), acquire("b"), acquire("c"), acquire("d"));
    let calls = std::fs::read_to_string(log).unwrap();
    assert_eq!(calls.lines().filter(|dir| dir.contains("/.new-")).count(), 1, "{calls}");
}
