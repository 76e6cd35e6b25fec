//! Where checkouts come from.

use crate::fixture::{Fixture, id, message};
use rensei_workarea::{AcquireRequest, Checkout, ReleaseMode, WorkareaErrorKind as Kind};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[tokio::test]
async fn every_kind_of_ref_is_really_checked_out() {
    let fixture = Fixture::new();
    let (first, second) = (
        fixture.git(&fixture.remote(), &["rev-parse", "v1^{}"]),
        fixture.git(&fixture.remote(), &["rev-parse", "main"]),
    );
    let cases = [
        ("", &second),
        ("main", &second),
        ("origin/main", &second),
        ("refs/heads/main", &second),
        ("feature/login", &first),
        ("v1", &first),
        ("light", &first),
        ("refs/tags/v1", &first),
        (first.as_str(), &first),
        (&second[..8], &second),
    ];
    let manager = fixture.manager();
    for (number, (reference, expected)) in cases.into_iter().enumerate() {
        let session = format!("s{number}");
        let workarea = manager.acquire(&id(&session), fixture.request(reference)).await.unwrap();
        let path = Path::new(&workarea.path);
        assert_eq!(&workarea.commit, expected, "{reference}");
        assert_eq!(
            (workarea.branch.as_str(), workarea.r#ref.as_str()),
            (format!("agent/{session}").as_str(), reference)
        );
        assert_eq!(workarea.acquire_path, if number == 0 { "cold" } else { "pool-fresh" });
        assert_eq!(&fixture.git(path, &["rev-parse", "HEAD"]), expected);
        assert_eq!(fixture.git(path, &["symbolic-ref", "HEAD"]), format!("refs/heads/agent/{session}"));
        assert_eq!(fixture.git(path, &["status", "--porcelain"]), "");
        assert_eq!(path.join("src/lib.rs").exists(), expected == &second);
        assert_eq!(fixture.git(path, &["remote", "get-url", "origin"]), fixture.remote().to_str().unwrap());
        fixture.git(path, &["fsck", "--strict"]);
    }
    assert_eq!(manager.list().unwrap().len(), 10);
    assert!(fixture.leftovers().is_empty());
    assert_eq!(fixture.state().join("repos").metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn file_urls_work_and_news_arrive() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    let repository = format!("file://{}", fixture.remote().display());
    let request = |reference: &str| AcquireRequest { repository: repository.clone(), ..fixture.request(reference) };
    manager.acquire(&id("s1"), request("main")).await.unwrap();
    let third = fixture.commit("new", "x", "third");
    assert_eq!(manager.acquire(&id("s2"), request("main")).await.unwrap().commit, third);
    fixture.git(&fixture.remote(), &["commit", "-q", "--amend", "-m", "rewritten"]);
    let rewritten = fixture.git(&fixture.remote(), &["rev-parse", "HEAD"]);
    assert_eq!(manager.acquire(&id("s3"), request("")).await.unwrap().commit, rewritten);
    assert_eq!(manager.acquire(&id("s4"), request(&third)).await.unwrap().commit, third, "what was seen once stays");
    // A branch in the way of another one.
    fixture.git(&fixture.remote(), &["branch", "-m", "feature/login", "feature"]);
    manager.acquire(&id("s5"), request("feature")).await.unwrap();
    assert_eq!(manager.acquire(&id("s6"), request("feature/login")).await.unwrap_err().kind(), Kind::MissingRef);
}

#[tokio::test]
async fn a_known_commit_needs_no_remote() {
    let fixture = Fixture::new();
    let commit = fixture.acquire("s1", "main").await.unwrap().commit;
    std::fs::rename(fixture.remote(), fixture.dir.path().join("away")).unwrap();
    assert_eq!(fixture.acquire("s2", &commit).await.unwrap().commit, commit);
    assert_eq!(fixture.acquire("s3", "main").await.unwrap_err().kind(), Kind::NotARepository);
}

#[tokio::test]
async fn refs_and_commits_off_the_branches_are_fetched() {
    let fixture = Fixture::new();
    fixture.git(&fixture.remote(), &["checkout", "-q", "--detach"]);
    let pull = fixture.commit("pull", "x", "pull request");
    fixture.git(&fixture.remote(), &["update-ref", "refs/pull/1/head", &pull]);
    assert_eq!(fixture.acquire("s1", "").await.unwrap().commit, pull, "detached HEAD of the remote");
    fixture.git(&fixture.remote(), &["checkout", "-q", "main"]);
    assert_eq!(fixture.acquire("s2", "refs/pull/1/head").await.unwrap().commit, pull);
    assert_eq!(fixture.acquire("s3", &pull).await.unwrap().commit, pull);
    assert_eq!(fixture.acquire("s4", "refs/pull/2/head").await.unwrap_err().kind(), Kind::MissingRef);
    assert_eq!(fixture.acquire("s5", &"1".repeat(40)).await.unwrap_err().kind(), Kind::MissingRef);
}

#[tokio::test]
async fn a_ref_off_the_branches_is_followed() {
    let fixture = Fixture::new();
    let at = |commit: &str| fixture.git(&fixture.remote(), &["update-ref", "refs/pull/1/head", commit]);
    fixture.git(&fixture.remote(), &["checkout", "-q", "--detach"]);
    let first = fixture.commit("pull", "x", "pull request");
    at(&first);
    let before = fixture.acquire("s1", "refs/pull/1/head").await.unwrap();
    let second = fixture.commit("pull", "y", "after review");
    at(&second);
    assert_eq!(fixture.acquire("s2", "refs/pull/1/head").await.unwrap().commit, second);
    at("light");
    let rewritten = fixture.git(&fixture.remote(), &["rev-parse", "light"]);
    assert_eq!(fixture.acquire("s3", "refs/pull/1/head").await.unwrap().commit, rewritten);
    fixture.git(&fixture.remote(), &["update-ref", "-d", "refs/pull/1/head"]);
    assert_eq!(fixture.acquire("s4", "refs/pull/1/head").await.unwrap_err().kind(), Kind::MissingRef);
    assert_eq!(fixture.acquire("s5", "refs/rensei/refs/pull/1/head").await.unwrap_err().kind(), Kind::MissingRef);
    assert_eq!(before.commit, first);
    fixture.git(std::path::Path::new(&before.path), &["fsck", "--strict"]);
}

#[tokio::test]
async fn a_missing_ref_names_similar_branches() {
    let fixture = Fixture::new();
    let error = fixture.acquire("s1", "mian").await.unwrap_err();
    assert_eq!(error.kind(), Kind::MissingRef);
    assert!(error.to_string().contains("`mian`") && error.to_string().contains("remote ü"), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.starts_with("similar branches: main, feature/login; `git ls-remote "), "{hint}");
    assert!(!fixture.state().join("worktrees/s1").exists() && fixture.leftovers().is_empty());
}

#[tokio::test]
async fn bad_repositories_are_told_apart() {
    let fixture = Fixture::new();
    let plain = fixture.dir.path().join("plain");
    std::fs::create_dir(&plain).unwrap();
    let free_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let cases = [
        (plain.to_str().unwrap().to_owned(), Kind::NotARepository, false),
        ("/nonexistent/repository".to_owned(), Kind::NotARepository, false),
        ("file:///nonexistent/repository".to_owned(), Kind::NotARepository, false),
        (format!("http://u:secret@127.0.0.1:{free_port}/o/r"), Kind::Unreachable, true),
        ("https://rensei.invalid/o/r".to_owned(), Kind::Unreachable, true),
        ("ext::touch /tmp/owned".to_owned(), Kind::InvalidName, false),
        ("relative/path/to".to_owned(), Kind::InvalidName, false),
    ];
    let manager = fixture.manager();
    for (repository, kind, retryable) in cases {
        for reference in ["main", ""] {
            let request = AcquireRequest { repository: repository.clone(), ..fixture.request(reference) };
            let error = manager.acquire(&id("s1"), request).await.unwrap_err();
            assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{error}");
            assert!(!error.to_string().contains("secret") && error.hint().is_some(), "{error}");
        }
    }
    assert!(fixture.leftovers().is_empty() && manager.list().unwrap().is_empty());
}

#[tokio::test]
async fn hostile_branches_and_refs_are_refused_before_anything_happens() {
    let fixture = Fixture::new();
    for branch in ["--upload-pack=x", "a..b", "HEAD", "x\ny", "refs/heads/x"] {
        let request = AcquireRequest { branch: branch.into(), ..fixture.request("") };
        assert_eq!(fixture.manager().acquire(&id("s1"), request).await.unwrap_err().kind(), Kind::InvalidName);
    }
    for reference in ["--all", "main^{/x}", ":/first", "HEAD~1"] {
        assert_eq!(fixture.acquire("s1", reference).await.unwrap_err().kind(), Kind::InvalidName);
    }
    assert!(!fixture.state().join("repos").exists());
}

#[tokio::test]
async fn acquire_is_idempotent_and_release_is_too() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    let first = manager.acquire(&id("s1"), fixture.request("")).await.unwrap();
    std::fs::write(Path::new(&first.path).join("work"), "x").unwrap();
    fixture.commit("new", "x", "third");
    let again = fixture.manager().acquire(&id("s1"), fixture.request("")).await.unwrap();
    assert_eq!((&again.path, &again.commit, &again.branch), (&first.path, &first.commit, &first.branch));
    assert!(Path::new(&first.path).join("work").exists());
    let elsewhere = AcquireRequest { repository: "/elsewhere".into(), ..AcquireRequest::default() };
    assert_eq!(manager.acquire(&id("s1"), elsewhere).await.unwrap_err().kind(), Kind::Io);
    assert_eq!(manager.list().unwrap(), [id("s1")]);
    manager.release(&id("s1"), ReleaseMode::Destroy).await.unwrap();
    manager.release(&id("s1"), ReleaseMode::Destroy).await.unwrap();
    assert!(manager.list().unwrap().is_empty() && fixture.leftovers().is_empty());
    assert_eq!(std::fs::read_dir(fixture.state().join("worktrees/.owned")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_discarded_checkout_is_out_of_the_way_at_once() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    let first = manager.acquire(&id("s1"), fixture.request("")).await.unwrap();
    std::fs::write(Path::new(&first.path).join("work"), "x").unwrap();
    manager.discard(&id("s1"), |_| ()).unwrap();
    manager.discard(&id("s1"), |_| ()).unwrap();
    assert!(manager.list().unwrap().is_empty());
    let anew = manager.acquire(&id("s1"), fixture.request("")).await.unwrap();
    assert!(!Path::new(&anew.path).join("work").exists());
}

#[tokio::test]
async fn what_was_set_aside_or_is_of_an_earlier_attempt_is_not_handed_out() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    let attempt = |attempt: u64| AcquireRequest { attempt: Some(attempt), ..fixture.request("") };
    let first = manager.acquire(&id("s1"), attempt(1)).await.unwrap();
    std::fs::write(Path::new(&first.path).join("work"), "x").unwrap();
    assert_eq!(manager.acquire(&id("s1"), attempt(1)).await.unwrap().path, first.path);
    assert_eq!(manager.acquire(&id("s1"), attempt(2)).await.unwrap_err().kind(), Kind::Io);
    let aside = fixture.state().join("aside");
    std::fs::create_dir(&aside).unwrap();
    assert!(manager.set_aside(&id("s1"), &aside).is_err(), "nothing is replaced");
    assert!(manager.held(&id("s1")).is_some());
    std::fs::remove_dir(&aside).unwrap();
    assert!(manager.set_aside(&id("s1"), &aside).unwrap());
    assert!(!manager.set_aside(&id("s1"), &aside.with_extension("2")).unwrap());
    assert!(aside.join("work").exists() && manager.list().unwrap().is_empty());
    assert_eq!(manager.pool_stats().total_members, 0);
    let second = manager.acquire(&id("s1"), attempt(2)).await.unwrap();
    assert!(second.path == first.path && !Path::new(&second.path).join("work").exists());
}

#[tokio::test]
async fn only_what_was_made_here_is_deleted() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    let worktrees = fixture.state().join("worktrees");
    std::fs::create_dir_all(worktrees.join("foreign")).unwrap();
    std::fs::write(worktrees.join("foreign/precious"), "x").unwrap();
    std::os::unix::fs::symlink(fixture.remote(), worktrees.join("link")).unwrap();
    for session in ["foreign", "link"] {
        assert!(manager.release(&id(session), ReleaseMode::Destroy).await.is_err());
        assert!(manager.acquire(&id(session), fixture.request("")).await.is_err());
    }
    assert!(worktrees.join("foreign/precious").exists() && fixture.remote().join("README.md").exists());
    // An agent that replaces `.git` cannot keep its checkout from being deleted.
    let (path, _, _) = fixture.checkout("s1").await;
    std::fs::remove_dir_all(path.join(".git")).unwrap();
    fixture.git(&path, &["init", "-q"]);
    manager.release(&id("s1"), ReleaseMode::Destroy).await.unwrap();
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_sessions_at_once_share_one_mirror() {
    let fixture = Fixture::new();
    let manager = fixture.manager();
    let tasks: Vec<_> = (0..16)
        .map(|number| {
            let (manager, request) = (manager.clone(), fixture.request(if number % 2 == 0 { "" } else { "main" }));
            tokio::spawn(async move { manager.acquire(&id(&format!("s{number}")), request).await })
        })
        .collect();
    let mut paths = BTreeSet::new();
    for task in tasks {
        let workarea = task.await.unwrap().unwrap();
        let checkout = Checkout::open(Path::new(&workarea.path), fixture.env()).unwrap();
        std::fs::write(Path::new(&workarea.path).join("work"), &workarea.path).unwrap();
        assert!(checkout.commit_all(&message("work")).unwrap().is_some());
        paths.insert(workarea.path);
    }
    assert_eq!(paths.len(), 16);
    assert!(fixture.mirror().join("HEAD").is_file() && fixture.leftovers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_acquires_of_one_session_get_the_same_checkout() {
    let fixture = Fixture::new();
    let (one, other) = tokio::join!(fixture.acquire("s1", ""), fixture.acquire("s1", "main"));
    assert_eq!(one.unwrap().path, other.unwrap().path);
    assert!(fixture.leftovers().is_empty());
}

#[tokio::test]
async fn an_empty_repository_gets_its_first_commit() {
    let fixture = Fixture::new();
    let empty = fixture.dir.path().join("empty.git");
    fixture.git(fixture.dir.path(), &["init", "-q", "--bare", empty.to_str().unwrap()]);
    let request =
        |reference: &str| AcquireRequest { repository: empty.to_str().unwrap().into(), ..fixture.request(reference) };
    let workarea = fixture.manager().acquire(&id("s1"), request("")).await.unwrap();
    assert_eq!(workarea.commit, "");
    let checkout = Checkout::open(Path::new(&workarea.path), fixture.env()).unwrap();
    assert_eq!(checkout.head().unwrap(), None);
    assert_eq!(checkout.commit_all(&message("nothing")).unwrap(), None);
    std::fs::write(Path::new(&workarea.path).join("a"), "1\n2\n").unwrap();
    let commit = checkout.commit_all(&message("first")).unwrap().unwrap();
    assert_eq!(checkout.diff_stat("", &commit).unwrap().insertions, 2);
    checkout.push(rensei_workarea::PushRequest::default()).await.unwrap();
    assert_eq!(fixture.git(&empty, &["rev-parse", "agent/s1"]), commit);
    let error = fixture.manager().acquire(&id("s2"), request("nosuch")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::MissingRef);
}

#[tokio::test]
async fn a_shallow_repository_is_good_enough() {
    let fixture = Fixture::new();
    let shallow = fixture.dir.path().join("shallow");
    let url = format!("file://{}", fixture.remote().display());
    fixture.git(fixture.dir.path(), &["clone", "-q", "--depth", "1", &url, shallow.to_str().unwrap()]);
    let request = AcquireRequest { repository: shallow.to_str().unwrap().into(), ..fixture.request("") };
    let workarea = fixture.manager().acquire(&id("s1"), request).await.unwrap();
    let path = Path::new(&workarea.path);
    assert_eq!(fixture.git(path, &["log", "--oneline"]).lines().count(), 1);
    std::fs::write(path.join("work"), "x").unwrap();
    let checkout = Checkout::open(path, fixture.env()).unwrap();
    let commit = checkout.commit_all(&message("work")).unwrap().unwrap();
    let pushed = checkout.push(rensei_workarea::PushRequest::default()).await.unwrap();
    assert_eq!((pushed.commit, pushed.note), (commit.clone(), None));
    assert_eq!(fixture.git(&shallow, &["rev-parse", "agent/s1"]), commit);
}

#[tokio::test]
async fn line_endings_are_those_that_git_would_write() {
    let fixture = Fixture::new();
    let write = |name: &str, content: &str| fixture.commit(name, content, name);
    write("plain.txt", "a\n");
    write("sub/x.bat", "a\n");
    let path = |session: &str| fixture.state().join("worktrees").join(session);
    fixture.acquire("s1", "").await.unwrap();
    assert_eq!(std::fs::read(path("s1").join("sub/x.bat")).unwrap(), b"a\n");
    write("sub/.gitattributes", "*.bat text eol=crlf\n");
    fixture.acquire("s2", "").await.unwrap();
    assert_eq!(std::fs::read(path("s2").join("sub/x.bat")).unwrap(), b"a\r\n");
    assert_eq!(std::fs::read(path("s2").join("plain.txt")).unwrap(), b"a\n");
    write("sub/.gitattributes", "*.bat text=auto\n");
    std::fs::write(fixture.dir.path().join("gitconfig"), "[core]\nautocrlf = true\n").unwrap();
    fixture.acquire("s3", "").await.unwrap();
    assert_eq!(std::fs::read(path("s3").join("plain.txt")).unwrap(), b"a\r\n");
    for session in ["s1", "s2", "s3"] {
        assert_eq!(fixture.git(&path(session), &["status", "--porcelain"]), "", "{session}");
    }
}
