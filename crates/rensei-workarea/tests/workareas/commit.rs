//! What an agent left becomes a commit.

use crate::fixture::{Fixture, message};
use rensei_proto::outcome::DiffStat;
use rensei_workarea::{Author, Checkout, CommitMessage, WorkareaErrorKind as Kind};
use std::path::Path;

fn write(dir: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn files(fixture: &Fixture, path: &Path) -> Vec<String> {
    let listing = fixture
        .git(path, &["-c", "core.quotePath=false", "show", "--no-renames", "--name-status", "--format=", "HEAD"]);
    listing.lines().map(|line| line.replace('\t', " ")).collect()
}

#[tokio::test]
async fn everything_but_ignored_and_unwanted_files() {
    let fixture = Fixture::new();
    fixture.commit(".gitignore", "/ignored\n*.secret\n", "ignore");
    fixture.git(&fixture.remote(), &["rm", "-q", "README.md"]);
    fixture.commit("dist/tracked.js", "1\n", "tracked although it is output");
    let (path, checkout, workarea) = fixture.checkout("s1").await;
    assert_eq!(checkout.commit_all(&message("nothing")).unwrap(), None);
    for name in
        ["new file ü.txt", "sub/deep/x", "dist/tracked.js", "dist/untracked.js", "node_modules/a/b.js", ".agent/state"]
    {
        write(&path, name, "changed\n");
    }
    for name in ["ignored/x", "a.secret", "debug.log", "target/debug/app", "cmd/__debug_bin1", ".cache/x"] {
        write(&path, name, "unwanted\n");
    }
    std::fs::remove_file(path.join("src/lib.rs")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", path.join("link")).unwrap();
    fixture.git(&path, &["init", "-q", "nested"]);
    write(&path, "nested/x", "x");
    assert!(std::process::Command::new("mkfifo").arg(path.join("pipe")).status().unwrap().success());
    let commit = checkout.commit_all(&message("work")).unwrap().unwrap();
    assert_eq!(
        files(&fixture, &path),
        ["M dist/tracked.js", "A link", "A new file ü.txt", "D src/lib.rs", "A sub/deep/x"]
    );
    assert_eq!(fixture.git(&path, &["show", "HEAD:link"]), "/etc/passwd");
    assert_eq!(fixture.git(&path, &["rev-parse", "HEAD^"]), workarea.commit);
    assert_eq!(checkout.head().unwrap().unwrap(), commit);
    assert_eq!(checkout.commit_all(&message("again")).unwrap(), None);
    assert!(fixture.git(&path, &["status", "--porcelain", "-uno"]).is_empty());
    let stat = checkout.diff_stat(&workarea.commit, &commit).unwrap();
    assert_eq!((stat.files_changed, stat.insertions, stat.deletions, stat.files.len()), (5, 4, 2, 5));
    assert_eq!((stat.files[0].path.as_str(), stat.files[0].insertions), ("dist/tracked.js", 1));
}

#[tokio::test]
async fn the_users_identity_counts_and_the_agent_is_the_fallback() {
    let fixture = Fixture::new();
    let (path, checkout, _) = fixture.checkout("s1").await;
    let people = |path: &Path| fixture.git(path, &["log", "-1", "--format=%an <%ae> %cn <%ce>%n%B"]);
    write(&path, "a", "1");
    let hostile = CommitMessage { subject: "a\nb\0c".into(), body: "x\r\0y\n".into(), author: None };
    checkout.commit_all(&hostile).unwrap();
    let agent = "Rensei Agent <agent@rensei.invalid>";
    assert_eq!(people(&path), format!("{agent} {agent}\na b c\n\nxy"));
    std::fs::write(fixture.dir.path().join("gitconfig"), "[user]\nname = Ada\nemail = ada@example.invalid\n").unwrap();
    write(&path, "a", "2");
    checkout.commit_all(&message("")).unwrap();
    let ada = "Ada <ada@example.invalid>";
    assert_eq!(people(&path), format!("{ada} {ada}\nWork of an agent session"));
    write(&path, "a", "3");
    let author = Some(Author { name: "Bob <x>\n".into(), email: "bob@x".into() });
    checkout.commit_all(&CommitMessage { author, ..message("x") }).unwrap();
    assert_eq!(people(&path), format!("Bob x <bob@x> {ada}\nx"));
}

#[tokio::test]
async fn whatever_state_the_agent_left_counts() {
    let fixture = Fixture::new();
    let (path, checkout, _) = fixture.checkout("s1").await;
    // Its own commit.
    write(&path, "a", "1\n");
    fixture.git(&path, &["add", "-A"]);
    fixture.git(&path, &["commit", "-q", "-m", "by the agent"]);
    let own = fixture.git(&path, &["rev-parse", "HEAD"]);
    assert_eq!(checkout.commit_all(&message("x")).unwrap(), None);
    assert_eq!(checkout.head().unwrap().unwrap(), own);
    // Another branch, then a detached HEAD.
    fixture.git(&path, &["checkout", "-q", "-b", "elsewhere"]);
    write(&path, "b", "1\n");
    let on_branch = checkout.commit_all(&message("on a branch")).unwrap().unwrap();
    assert_eq!(fixture.git(&path, &["rev-parse", "elsewhere"]), on_branch);
    fixture.git(&path, &["checkout", "-q", "--detach"]);
    write(&path, "c", "1\n");
    let detached = checkout.commit_all(&message("detached")).unwrap().unwrap();
    assert_eq!(fixture.git(&path, &["rev-parse", "HEAD", "HEAD^"]), format!("{detached}\n{on_branch}"));
    assert!(!fixture.try_git(&path, &["symbolic-ref", "-q", "HEAD"]).status.success());
    // Locks of a killed git.
    for lock in ["index.lock", "HEAD.lock"] {
        write(&path, &format!(".git/{lock}"), "");
    }
    write(&path, "d", "1\n");
    let locked = checkout.commit_all(&message("locked")).unwrap().unwrap();
    assert_eq!(fixture.git(&path, &["rev-parse", "HEAD"]), locked);
    assert_eq!(fixture.git(&path, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn a_merge_in_progress_is_concluded() {
    let fixture = Fixture::new();
    let (path, checkout, workarea) = fixture.checkout("s1").await;
    fixture.git(&path, &["checkout", "-q", "-b", "other", "HEAD^"]);
    write(&path, "src/lib.rs", "theirs\n");
    fixture.git(&path, &["add", "-A"]);
    fixture.git(&path, &["commit", "-q", "-m", "theirs"]);
    fixture.git(&path, &["checkout", "-q", &workarea.branch]);
    assert!(!fixture.try_git(&path, &["merge", "-q", "other"]).status.success(), "conflicts");
    let merged = checkout.commit_all(&message("merged")).unwrap().unwrap();
    assert_eq!(fixture.git(&path, &["rev-list", "--parents", "-1", "HEAD"]).split(' ').count(), 3);
    assert_eq!(fixture.git(&path, &["rev-parse", "HEAD"]), merged);
    assert!(fixture.git(&path, &["show", "HEAD:src/lib.rs"]).contains("<<<<<<<"));
    assert_eq!(fixture.git(&path, &["status", "--porcelain"]), "");
    assert!(!path.join(".git/MERGE_HEAD").exists());
}

#[tokio::test]
async fn submodules_stay_as_they_are() {
    let fixture = Fixture::new();
    let library = fixture.dir.path().join("library");
    fixture.git(fixture.dir.path(), &["clone", "-q", fixture.remote().to_str().unwrap(), library.to_str().unwrap()]);
    fixture.git(&fixture.remote(), &["submodule", "--quiet", "add", library.to_str().unwrap(), "vendor/library"]);
    fixture.git(&fixture.remote(), &["commit", "-q", "-m", "submodule"]);
    let (path, checkout, workarea) = fixture.checkout("s1").await;
    assert_eq!(std::fs::read_dir(path.join("vendor/library")).unwrap().count(), 0, "never fetched");
    assert_eq!(checkout.commit_all(&message("nothing")).unwrap(), None);
    write(&path, "a", "1\n");
    let commit = checkout.commit_all(&message("work")).unwrap().unwrap();
    assert_eq!(checkout.diff_stat(&workarea.commit, &commit).unwrap().files_changed, 1);
}

#[tokio::test]
async fn nothing_that_an_agent_plants_is_run_or_followed() {
    let fixture = Fixture::new();
    let (path, checkout, _) = fixture.checkout("s1").await;
    let canary = fixture.dir.path().join("canary");
    let plant = format!("touch '{}'", canary.display());
    for (name, value) in [
        ("core.fsmonitor", plant.as_str()),
        ("core.sshCommand", &plant),
        ("filter.x.clean", &plant),
        ("credential.helper", &plant),
        ("remote.rensei.receivepack", &plant),
        ("remote.rensei.pushurl", "/elsewhere"),
        ("core.hooksPath", ".hooks"),
        ("url./elsewhere.insteadOf", fixture.remote().to_str().unwrap()),
    ] {
        fixture.git(&path, &["config", name, value]);
    }
    for hook in [".hooks/pre-push", ".hooks/pre-commit", ".git/hooks/pre-push", ".git/hooks/pre-commit"] {
        write(&path, hook, format!("#!/bin/sh\n{plant}\n"));
        std::fs::set_permissions(path.join(hook), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    write(&path, ".gitattributes", "* filter=x\n");
    // Setting it up may already have run something.
    let _ = std::fs::remove_file(&canary);
    let commit = checkout.commit_all(&message("work")).unwrap().unwrap();
    let pushed = checkout.push(rensei_workarea::PushRequest::default()).await.unwrap();
    assert_eq!(fixture.git(&fixture.remote(), &["rev-parse", &pushed.branch]), commit);
    assert!(!canary.exists());
    fixture.git(&path, &["config", "core.worktree", fixture.dir.path().join("home").to_str().unwrap()]);
    assert_eq!(checkout.commit_all(&message("x")).unwrap_err().kind(), Kind::Git);
    assert_eq!(Checkout::open(&fixture.remote(), fixture.env()).unwrap_err().kind(), Kind::Io);
}

#[tokio::test]
async fn large_changes_are_counted_but_listed_in_part() {
    let fixture = Fixture::new();
    let (path, checkout, workarea) = fixture.checkout("s1").await;
    (0..300).for_each(|number| write(&path, &format!("many/{number:03}"), "1\n2\n"));
    write(&path, "binary", [0, 159, 146, 150]);
    let commit = checkout.commit_all(&message("many")).unwrap().unwrap();
    let stat = checkout.diff_stat(&workarea.commit, &commit).unwrap();
    assert_eq!((stat.files_changed, stat.insertions, stat.files.len()), (301, 600, DiffStat::MAX_FILES));
    assert_eq!((stat.files[0].path.as_str(), stat.files[0].insertions), ("binary", 0));
    assert!(checkout.diff_stat("zz", &commit).is_err() && checkout.diff_stat(&"1".repeat(40), &commit).is_err());
}
