//! What failed sessions left, from the archive to the restored workarea, with a real daemon and real git.

#![expect(clippy::print_stdout, reason = "what is not tested is said")]

use crate::studio::Studio;
use crate::world::{Done, Running, World, finish, until};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A world whose repository has a file, its daemon, and a way to ask it.
struct Host {
    world: World,
    url: String,
    _daemon: Running,
}

impl Host {
    fn start(rest: &str) -> Self {
        Self::start_in(World::new(), &[("app.txt", "one\ntwo\n"), ("run.sh", "#!/bin/sh\n")], rest)
    }

    fn start_in(world: World, files: &[(&str, &str)], rest: &str) -> Self {
        let repository = world.repository_with(files);
        world.configure(&repository, rest);
        let (daemon, url) = world.host();
        Self { world, url, _daemon: daemon }
    }

    fn run(&self, args: &[&str]) -> Done {
        let mut command = self.world.command(args);
        command.env("RENSEI_DAEMON_URL", &self.url);
        finish(command)
    }

    /// Runs what succeeds.
    fn does(&self, args: &[&str]) {
        let _said = self.run(args).exits(0);
    }

    fn json(&self, args: &[&str]) -> Value {
        self.run(&[args, &["--json"]].concat()).exits(0).json()
    }

    /// A session that fails after `command`; the id of its archive.
    fn failed(&self, command: &str) -> String {
        let before = self.archives();
        let command = format!("{command}; exit 3");
        let ran = self.run(&["session", "run", "--repository", "alpha", "--ref", "main", "--command", &command]);
        assert_eq!(ran.code, Some(1), "{} {}", ran.stdout, ran.stderr);
        let mut new = Vec::new();
        until("the session is archived", || {
            new = self.archives();
            new.retain(|id| !before.contains(id));
            !new.is_empty()
        });
        new.remove(0)
    }

    fn archives(&self) -> Vec<String> {
        ids(&self.json(&["workarea", "list"])["archived"])
    }
}

fn ids(rows: &Value) -> Vec<String> {
    rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_a_failed_session_left_is_archived_compared_restored_and_pruned() {
    let host = Host::start("");
    let first = host.failed("echo three >> app.txt; echo new > new.txt");
    let second = host.failed("echo drei >> app.txt; chmod +x app.txt; ln -s /etc/passwd link");

    let shown = host.json(&["workarea", "show", &first])["workarea"].clone();
    let manifest = &shown["manifest"];
    assert_eq!((&manifest["disposition"], &manifest["ref"]), (&"failed".into(), &"main".into()));
    assert!(first.starts_with(manifest["sessionId"].as_str().unwrap()));
    let tree = PathBuf::from(shown["path"].as_str().unwrap()).join("tree");
    assert_eq!(std::fs::read_to_string(tree.join("app.txt")).unwrap(), "one\ntwo\nthree\n");

    let diff = host.json(&["workarea", "diff", &first, &second])["diff"].clone();
    let differing = |entry: &&Value| !entry["path"].as_str().unwrap().starts_with(".git");
    let entries: Vec<_> = diff["entries"].as_array().unwrap().iter().filter(differing).collect();
    let told: Vec<_> =
        entries.iter().map(|entry| (entry["path"].as_str().unwrap(), entry["status"].as_str().unwrap())).collect();
    assert_eq!(told, [("app.txt", "modified"), ("link", "added"), ("new.txt", "removed")]);
    assert_eq!((&entries[0]["modeA"], &entries[0]["modeB"]), (&"-rw-r--r--".into(), &"-rwxr-xr-x".into()));
    patch_applies(&host, (&first, &second), &tree);

    let restored =
        host.run(&["workarea", "restore", &first, "--into-session-id", "again", "--reason", "look"]).exits(0);
    // No terminal, no progress bar.
    assert_eq!(restored.stderr, "");
    assert!(!restored.stdout.contains(['\r', '\u{1b}']), "{}", restored.stdout);
    let active = &host.json(&["workarea", "list"])["active"];
    let id = ids(active).remove(0);
    assert_eq!((active[0]["sessionId"].as_str().unwrap(), active[0]["status"].as_str().unwrap()), ("again", "ready"));
    let copy = PathBuf::from(host.json(&["workarea", "show", &id])["workarea"]["path"].as_str().unwrap());
    assert_eq!(std::fs::read_to_string(copy.join("new.txt")).unwrap(), "new\n");
    let conflict = host.run(&["workarea", "restore", &first, "--into-session-id", "again"]).exits(1);
    assert!(
        conflict.stderr.contains("409") || conflict.stderr.contains("has a restored workarea"),
        "{}",
        conflict.stderr
    );
    assert!(conflict.stderr.contains("rensei workarea prune"), "{}", conflict.stderr);

    host.does(&["workarea", "prune", &id]);
    assert!(!copy.exists());
    host.does(&["workarea", "prune", "--keep", "1", "--dry-run"]);
    assert_eq!(host.archives().len(), 2);
    host.does(&["workarea", "prune", "--keep", "1"]);
    assert_eq!(host.archives(), [second]);
    let gone = host.run(&["workarea", "prune", &first]).exits(1);
    assert!(gone.stderr.contains("rensei workarea list"), "{}", gone.stderr);
}

/// What `--patch` prints is what git applies.
fn patch_applies(host: &Host, (first, second): (&str, &str), tree: &Path) {
    let patch = host.run(&["workarea", "diff", "--patch", first, second]).exits(0);
    assert!(patch.stdout.contains("-three\n+drei\n") && patch.stdout.contains("--- a/new.txt\n+++ /dev/null\n"));
    assert!(!patch.stdout.contains(".git/") && patch.stderr.contains("below .git not shown"), "{}", patch.stderr);
    let file = host.world.path().join("change.patch");
    std::fs::write(&file, patch.stdout).unwrap();
    let work = host.world.path().join("applied");
    let copied = Command::new("cp").arg("-r").arg(tree).arg(&work).status().unwrap();
    assert!(copied.success());
    host.world.git(&["-C", work.to_str().unwrap(), "apply", file.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(work.join("app.txt")).unwrap(), "one\ntwo\ndrei\n");
    assert!(!work.join("new.txt").exists());
}

#[test]
fn a_live_session_is_archived_and_goes_on() {
    let host = Host::start("");
    let go = host.world.path().join("go");
    let command = format!("echo half > half.txt; until [ -e '{}' ]; do sleep 0.01; done", go.display());
    let mut running =
        host.world.command(&["session", "run", "--repository", "alpha", "--ref", "main", "--command", &command]);
    running.env("RENSEI_DAEMON_URL", &host.url);
    let mut running = host.world.launch(running);
    let half = |row: &Value| {
        host.world.state().join("worktrees").join(row["sessionId"].as_str().unwrap()).join("half.txt").exists()
    };
    until("the agent is at work", || host.json(&["workarea", "list"])["active"].as_array().unwrap().iter().any(half));
    let session = ids(&host.json(&["workarea", "list"])["active"]).remove(0);
    let archived = host.json(&["workarea", "archive", &session, "--reason", "half way"])["workarea"].clone();
    assert_eq!(
        (&archived["manifest"]["disposition"], &archived["manifest"]["reason"]),
        (&"live".into(), &"half way".into())
    );
    let tree = PathBuf::from(archived["path"].as_str().unwrap()).join("tree");
    assert_eq!(std::fs::read_to_string(tree.join("half.txt")).unwrap(), "half\n");
    std::fs::write(go, "").unwrap();
    assert_eq!(running.end(), Some(0));
    assert_eq!(host.archives().len(), 1, "what succeeded is not archived");
}

#[test]
fn what_is_missing_in_a_workarea_is_told_to_agent_and_operator() {
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n", "a".repeat(64));
    let files = [(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n"), ("model.bin", pointer.as_str())];
    let host = Host::start_in(World::new(), &files, "");
    let archive = host.failed("cat > told.txt");
    let shown = host.json(&["workarea", "show", &archive])["workarea"].clone();
    let told = std::fs::read_to_string(Path::new(shown["path"].as_str().unwrap()).join("tree/told.txt")).unwrap();
    assert!(told.contains("# Notes on this workarea") && told.contains("git lfs pull"), "{told}");
    let session = shown["sessionId"].as_str().unwrap();
    let sheet = host.run(&["session", "show", session]).exits(0).stdout;
    assert!(sheet.contains("Note:") && sheet.contains("git lfs pull"), "{sheet}");
}

/// A small disk for the archives, gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs"]).arg(&at).stderr(std::process::Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(at));
        }
        println!("SKIPPED: only root may mount a small file system");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A test that fails has other worries.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn on_a_full_disk_nothing_is_restored_and_nothing_is_lost() {
    let world = World::new();
    let Some(disk) = SmallDisk::mount(world.path().join("disk")) else { return };
    let root = disk.0.join("workareas");
    let host = Host::start_in(world, &[], &format!("workarea: {{archiveRoot: {}}}\n", root.display()));
    let first = host.failed("echo first > first.txt");
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![0; 3_900_000]).unwrap();

    let refused = host.run(&["workarea", "restore", &first]).exits(1);
    assert!(refused.stderr.contains("pool is full") && refused.stderr.contains("hint: "), "{}", refused.stderr);
    let mut asked = Command::new("curl");
    asked.args(["-s", "-i", "-X", "POST"]).arg(format!("{}/api/daemon/workareas/{first}/restore", host.url));
    let answer = finish(asked).exits(0).stdout.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 503") && answer.contains("\r\nretry-after: 30\r\n"), "{answer}");

    // What fails now is kept, shown, and archived when there is room.
    let big = "head -c 600000 /dev/zero > big.bin; echo second > second.txt; exit 3";
    let ran = host.run(&["session", "run", "--repository", "alpha", "--ref", "main", "--command", big]);
    assert_eq!(ran.code, Some(1), "{} {}", ran.stdout, ran.stderr);
    let kept = || {
        host.json(&["workarea", "list"])["active"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["status"] == "invalid")
            .cloned()
    };
    until("the failure is shown", || kept().is_some());
    let row = kept().unwrap();
    let (id, session) = (row["id"].as_str().unwrap(), row["sessionId"].as_str().unwrap());
    let list = host.run(&["workarea", "list"]).exits(0);
    let advice = format!("rensei workarea archive {id}");
    assert!(list.stderr.contains("no space left") && list.stderr.contains(&advice), "{}", list.stderr);
    let doctor = host.run(&["host", "doctor"]);
    assert!(doctor.stdout.contains("1 workarea of failed sessions not archived"), "{}", doctor.stdout);
    let again = host.run(&["workarea", "archive", session]).exits(1);
    assert!(
        again.stderr.contains(root.to_str().unwrap()) && again.stderr.contains("rensei workarea prune"),
        "{}",
        again.stderr
    );

    std::fs::remove_file(ballast).unwrap();
    host.does(&["workarea", "archive", session]);
    assert!(host.archives().contains(&id.to_owned()) && kept().is_none());
    let second = std::fs::read_to_string(root.join(id).join("tree/second.txt")).unwrap();
    assert_eq!(second, "second\n");
    host.does(&["workarea", "restore", &first]);
}

/// An archive of these files.
fn made_by_hand(studio: &Studio, id: &str, files: &[(&str, &str)]) {
    let archive = studio.world.state().join("workareas").join(id);
    std::fs::create_dir_all(archive.join("tree")).unwrap();
    std::fs::write(archive.join("manifest.json"), "{}").unwrap();
    files.iter().for_each(|(name, content)| std::fs::write(archive.join("tree").join(name), content).unwrap());
}

#[test]
fn snapshots_of_workareas() {
    let (studio, host) = Studio::with_daemon();
    studio.shot("empty", &["workarea", "prune", "--keep", "5"]);
    for args in [&["workarea", "restore", "one"][..], &["workarea", "archive", "ses-1"], &["workarea", "prune", "one"]]
    {
        studio.shot("missing", args);
    }
    studio.shot("usage", &["workarea", "prune"]);
    let archived = |session: &str| -> String {
        let mut found = None;
        until("the session is archived", || {
            let rows = studio.json(&["workarea", "list"])["archived"].clone();
            found = ids(&rows).into_iter().find(|id| id.starts_with(session));
            found.is_some()
        });
        found.unwrap()
    };
    studio.post("ses-1", "Fail", "echo one > same.txt; echo one > a.txt; exit 3");
    let first = archived("ses-1");
    studio.post("ses-2", "Fail again", "echo one > same.txt; echo two > a.txt; echo more > b.txt; exit 3");
    let second = archived("ses-2");
    studio.shot("normal", &["workarea", "list"]);
    studio.shot("normal", &["workarea", "show", &first]);
    studio.shot("same", &["workarea", "diff", &first, &first]);
    made_by_hand(&studio, "before", &[("both", "same"), ("changed", "1\n"), ("gone", "g\n")]);
    made_by_hand(&studio, "behind", &[("both", "same"), ("changed", "2\n"), ("new", "n\n")]);
    studio.shot("normal", &["workarea", "diff", "before", "behind"]);
    studio.shot("json", &["workarea", "diff", "before", "behind", "--json"]);
    studio.shot_once("normal", &["workarea", "prune", "before", "behind"]);
    made_by_hand(&studio, "broken", &[]);
    std::fs::write(studio.world.state().join("workareas/broken/manifest.json"), "{").unwrap();
    studio.shot("broken", &["workarea", "list"]);
    studio.shot_once("broken", &["workarea", "prune", "broken"]);
    studio.shot("patch", &["workarea", "diff", &first, &second, "--patch"]);
    studio.shot_once("normal", &["workarea", "restore", &first, "--into-session-id", "again", "--reason", "to look"]);
    studio.shot("restored", &["workarea", "list"]);
    studio.shot("conflict", &["workarea", "restore", &first, "--into-session-id", "again"]);
    studio.shot("dry-run", &["workarea", "prune", "--keep", "1", "--dry-run"]);
    studio.post("ses-3", "Go on", "echo half > half.txt; sleep 1000");
    studio.wait("ses-3", &["running"]);
    until("it has a workarea", || studio.world.state().join("worktrees/ses-3/half.txt").exists());
    studio.shot_once("normal", &["workarea", "archive", "ses-3", "--reason", "half way"]);
    studio.shot_once("one", &["workarea", "prune", &second]);
    drop(host);
}
