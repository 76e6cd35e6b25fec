//! Where the work of a session goes.

use crate::fixture::{Fixture, message};
use rensei_workarea::{Checkout, PushRequest, WorkareaErrorKind as Kind};
use std::path::Path;

fn work(checkout: &Checkout, path: &Path, content: &str) -> String {
    std::fs::write(path.join("work"), content).unwrap();
    checkout.commit_all(&message(content)).unwrap().unwrap()
}

fn to(branch: &str) -> PushRequest {
    PushRequest { branch: branch.into(), ..PushRequest::default() }
}

/// Refs, checked-out branch and files of the remote.
fn snapshot(fixture: &Fixture) -> String {
    let git = |args: &[&str]| fixture.git(&fixture.remote(), args);
    let refs = git(&["for-each-ref", "--format=%(refname) %(objectname)", "--exclude=refs/heads/agent"]);
    let config = std::fs::read_to_string(fixture.remote().join(".git/config")).unwrap();
    format!("{refs}\n{}\n{}\n{config}", git(&["symbolic-ref", "HEAD"]), git(&["status", "--porcelain", "--ignored"]))
}

#[tokio::test]
async fn the_repository_is_untouched_but_for_the_branch() {
    let fixture = Fixture::new();
    std::fs::write(fixture.remote().join("dirty"), "x").unwrap();
    let before = snapshot(&fixture);
    let (path, checkout, _) = fixture.checkout("s1").await;
    let commit = work(&checkout, &path, "one");
    let pushed = checkout.push(PushRequest::default()).await.unwrap();
    assert_eq!((pushed.branch.as_str(), pushed.commit.as_str(), pushed.note), ("agent/s1", commit.as_str(), None));
    assert_eq!(fixture.git(&fixture.remote(), &["rev-parse", "agent/s1"]), commit);
    assert_eq!(checkout.push(PushRequest::default()).await.unwrap().note, None, "again is fine");
    assert_eq!(snapshot(&fixture), before);
    assert!(
        std::fs::read_dir(path.join(".git")).unwrap().all(|entry| !entry
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .starts_with(".new"))
    );
}

#[tokio::test]
async fn reserved_and_foreign_branches_are_left_alone() {
    let fixture = Fixture::new();
    let (path, checkout, _) = fixture.checkout("s1").await;
    let before = snapshot(&fixture);
    let commit = work(&checkout, &path, "one");
    for branch in ["main", "master", "HEAD", "--force", "a..b", "x\ny"] {
        let pushed = checkout.push(to(branch)).await.unwrap();
        assert_eq!((pushed.branch.as_str(), pushed.commit.as_str()), ("agent/s1", commit.as_str()));
        assert!(pushed.note.is_some_and(|note| !note.contains('\n')), "{branch}");
    }
    // `feature/login` has nothing that we lack, so going on there is no loss; then it gets something.
    assert_eq!(checkout.push(to("feature/login")).await.unwrap().branch, "feature/login");
    fixture.git(&fixture.remote(), &["branch", "-f", "feature/login", "v1"]);
    assert_eq!(snapshot(&fixture), before);
    fixture.git(&fixture.remote(), &["checkout", "-q", "feature/login"]);
    let theirs = fixture.commit("theirs", "x", "theirs");
    fixture.git(&fixture.remote(), &["checkout", "-q", "main"]);
    let pushed = checkout.push(to("feature/login")).await.unwrap();
    assert_eq!(pushed.branch, "agent/s1");
    assert!(pushed.note.unwrap().contains("`feature/login`: the remote has other commits"));
    assert_eq!(fixture.git(&fixture.remote(), &["rev-parse", "feature/login"]), theirs);
}

#[tokio::test]
async fn a_checked_out_branch_is_not_tricked_into_moving() {
    let fixture = Fixture::new();
    fixture.git(&fixture.remote(), &["checkout", "-q", "-b", "develop"]);
    let workarea = fixture.acquire("s1", "main").await.unwrap();
    let path = Path::new(&workarea.path);
    let checkout = Checkout::open(path, fixture.env()).unwrap();
    let before = snapshot(&fixture);
    work(&checkout, path, "one");
    let pushed = checkout.push(to("develop")).await.unwrap();
    assert_eq!(pushed.branch, "agent/s1");
    assert!(pushed.note.unwrap().contains("checked out"));
    assert_eq!(snapshot(&fixture), before);
}

#[tokio::test]
async fn the_next_attempt_replaces_what_the_last_one_pushed() {
    let fixture = Fixture::new();
    let (path, checkout, _) = fixture.checkout("s1").await;
    work(&checkout, &path, "first attempt");
    checkout.push(PushRequest::default()).await.unwrap();
    fixture.manager().release(&crate::fixture::id("s1"), rensei_workarea::ReleaseMode::Destroy).await.unwrap();
    let (path, checkout, _) = fixture.checkout("s1").await;
    let second = work(&checkout, &path, "second attempt");
    let pushed = checkout.push(PushRequest::default()).await.unwrap();
    assert_eq!((pushed.branch.as_str(), pushed.note), ("agent/s1", None));
    assert_eq!(fixture.git(&fixture.remote(), &["rev-parse", "agent/s1"]), second);
}

#[tokio::test]
async fn a_branch_in_the_way_is_gone_around() {
    let fixture = Fixture::new();
    fixture.git(&fixture.remote(), &["branch", "agent"]);
    let (path, checkout, _) = fixture.checkout("s1").await;
    let commit = work(&checkout, &path, "one");
    let pushed = checkout.push(PushRequest::default()).await.unwrap();
    assert_eq!((pushed.branch.as_str(), pushed.commit), ("agent-s1", commit));
    assert!(pushed.note.unwrap().contains("`agent/s1`"));
}

#[tokio::test]
async fn a_detached_head_is_pushed_to_the_sessions_branch() {
    let fixture = Fixture::new();
    let (path, checkout, _) = fixture.checkout("s1").await;
    fixture.git(&path, &["checkout", "-q", "--detach", "HEAD^"]);
    let commit = work(&checkout, &path, "one");
    let pushed = checkout.push(to("wanted/ü")).await.unwrap();
    assert_eq!((pushed.branch.as_str(), pushed.commit.as_str(), pushed.note), ("wanted/ü", commit.as_str(), None));
    assert_eq!(fixture.git(&fixture.remote(), &["rev-parse", "wanted/ü"]), commit);
}

#[tokio::test]
async fn refusals_and_failures_are_told_apart() {
    let fixture = Fixture::new();
    let (path, checkout, _) = fixture.checkout("s1").await;
    work(&checkout, &path, "one");
    let hook = fixture.remote().join(".git/hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\necho no pushes on fridays >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let error = checkout.push(to("topic")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (Kind::PushRejected, false));
    assert!(
        error.to_string().contains("`topic`") && (crate::PROGRAM != "git" || error.to_string().contains("fridays")),
        "{error}"
    );
    std::fs::rename(fixture.remote(), fixture.dir.path().join("away")).unwrap();
    assert_eq!(checkout.push(to("topic")).await.unwrap_err().kind(), Kind::NotARepository);
    let nowhere = PushRequest { repository: "ext::x".into(), ..to("topic") };
    assert_eq!(checkout.push(nowhere).await.unwrap_err().kind(), Kind::InvalidName);
}
