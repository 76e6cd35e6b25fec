//! Mirrors over a long time: packed again, and deleted when nobody needs them.

use crate::fixture::{Fixture, id};
use rensei_workarea::{AcquireRequest, PoolSettings, ReleaseMode, WorkareaErrorKind as Kind, WorkareaManager};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Names of what is in a directory and has that extension, up to the first dash.
fn names(dir: &Path, extension: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let wanted = entries.filter(|path| path.extension().unwrap_or_default() == extension);
    wanted.map(|path| path.file_name().unwrap().to_str().unwrap().split('-').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn mirrors_that_nobody_needs_go_when_the_disk_is_full() {
    let fixture = Fixture::new();
    let (state, archives) = (fixture.state(), fixture.dir.path().join("archives"));
    let manager = WorkareaManager::archived_in(&state, fixture.env(), &archives, &state.join("retained"));
    let heirs = [
        ("archived", archives.join("a/tree")),
        ("restored", fixture.dir.path().join("archives-restored/b")),
        ("retained", state.join("retained/c")),
    ];
    let everyone = ["archived", "held", "idle", "recent", "restored", "retained", "stale"];
    let request = |name: &str| AcquireRequest {
        repository: fixture.dir.path().join(name).to_str().unwrap().to_owned(),
        ..AcquireRequest::default()
    };
    for name in everyone {
        fixture.git(fixture.dir.path(), &["clone", "-q", "--bare", fixture.remote().to_str().unwrap(), name]);
        manager.acquire(&id(name), request(name)).await.unwrap();
    }
    for name in ["recent", "stale"] {
        manager.release(&id(name), ReleaseMode::Destroy).await.unwrap();
    }
    manager.release(&id("idle"), ReleaseMode::ReturnToPool).await.unwrap();
    for (name, place) in &heirs {
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        assert!(manager.set_aside(&id(name), place).unwrap());
    }
    let two_days_ago = SystemTime::now() - Duration::from_secs(48 * 3600);
    for lock in std::fs::read_dir(state.join("repos")).unwrap().map(|entry| entry.unwrap().path()) {
        if lock.extension().is_some_and(|extension| extension == "lock") && !lock.to_str().unwrap().contains("recent") {
            std::fs::File::options().write(true).open(lock).unwrap().set_modified(two_days_ago).unwrap();
        }
    }
    let full = |refuse_percent: u8| PoolSettings { refuse_percent, warn_percent: 101, ..PoolSettings::default() };
    manager.configure(full(0));
    let refused = manager.acquire(&id("next"), request("stale")).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::NearlyFull);
    let left = names(&state.join("repos"), "");
    assert_eq!(left, ["archived", "held", "recent", "restored", "retained"].map(str::to_owned).into());
    assert_eq!(manager.pool_stats().ready_members, 0);
    fixture.git(&manager.path(&id("held")), &["fsck", "--strict"]);
    heirs.iter().for_each(|(_, tree)| drop(fixture.git(tree, &["fsck", "--strict"])));
    manager.configure(full(101));
    assert_eq!(manager.acquire(&id("next"), request("stale")).await.unwrap().acquire_path, "cold");
}

#[tokio::test]
async fn a_crowded_mirror_is_packed_again_in_the_background() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    manager.configure(PoolSettings { warn_percent: 101, ..PoolSettings::default() });
    manager.acquire(&id("s1"), fixture.request("main")).await.unwrap();
    {
        let mirror = git2::Repository::open_bare(fixture.mirror()).unwrap();
        let is_there = |content: &u32| {
            let id = git2::Oid::hash_object(git2::ObjectType::Blob, &content.to_le_bytes()).unwrap();
            id.as_bytes()[0] == 0x17
        };
        for content in (0_u32..).filter(is_there).take(27) {
            mirror.blob(&content.to_le_bytes()).unwrap();
        }
    }
    let packs = fixture.mirror().join("objects/pack");
    let before = std::fs::read_dir(&packs).unwrap().count();
    manager.acquire(&id("s2"), fixture.request("main")).await.unwrap();
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    let packed = async {
        while std::fs::read_dir(&packs).unwrap().count() == before || !fixture.leftovers().is_empty() {
            tick.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), packed).await.unwrap();
    for session in ["s1", "s2"] {
        fixture.git(&manager.path(&id(session)), &["fsck", "--strict"]);
    }
}
