//! `kill -9` of anything while ten sessions run: every session ends exactly once, none is lost, none runs twice at the
//! same time, nothing is left behind.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SESSIONS: usize = 10;
/// Bound on every wait; reached only when something hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs as the agent. `flock -n` fails when the same session already runs somewhere; the lock is the kernel's, so it
/// ends with its holder.
const AGENT: &str = r#"
exec 9>"$LOCKS/$RENSEI_SESSION_ID"
flock -n 9 || { echo "$RENSEI_SESSION_ID" >> "$LOCKS/violations"; exit 9; }
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do echo "line $n"; sleep 0.1; done
echo done > "work-$RENSEI_SESSION_ID.txt"
"#;

/// What can be killed.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Agent,
    Worker,
    Daemon,
    Platform,
}

struct World {
    dir: tempfile::TempDir,
    platform_port: u16,
    control_port: u16,
    api_key: String,
    platform: Option<Child>,
    daemon: Option<Child>,
}

impl Drop for World {
    fn drop(&mut self) {
        for child in [self.daemon.take(), self.platform.take()].into_iter().flatten() {
            kill_and_reap(child);
        }
        for pid in self.session_processes() {
            kill(pid);
        }
    }
}

fn kill(pid: u32) {
    let _gone = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
}

fn kill_and_reap(mut child: Child) {
    let _gone = child.kill();
    child.wait().unwrap();
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=T", "-c", "user.email=t@example.invalid", "-c", "init.defaultBranch=main"])
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Looks until there is something to see.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "gave up waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("locks")).unwrap();
        fs::create_dir_all(root.join("host")).unwrap();
        fs::create_dir_all(root.join("seed")).unwrap();
        git(&root.join("seed"), &["init", "-q"]);
        fs::write(root.join("seed/README.md"), "seed\n").unwrap();
        git(&root.join("seed"), &["add", "."]);
        git(&root.join("seed"), &["commit", "-qm", "seed"]);
        git(root, &["clone", "-q", "--bare", "seed", "origin.git"]);
        let mut world = Self {
            platform_port: free_port(),
            control_port: free_port(),
            api_key: String::new(),
            platform: None,
            daemon: None,
            dir,
        };
        let origin = world.origin();
        let tokens =
            world.json(&["platform", "init", "--org", "acme", "--project", "app", "--repository", &origin, "--json"]);
        world.api_key = tokens["apiKey"].as_str().unwrap().to_owned();
        let config = format!(
            "machine: {{id: crash-test}}\ncapacity: {{maxConcurrentSessions: {SESSIONS}}}\nprojects:\n- id: app\n  repository: {origin}\n\
             orchestrator:\n  url: http://127.0.0.1:{}\n  authToken: {}\n",
            world.platform_port,
            tokens["registrationToken"].as_str().unwrap()
        );
        fs::write(world.root().join("host/daemon.yaml"), config).unwrap();
        world.start_platform();
        world.start_daemon();
        world
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn origin(&self) -> String {
        self.root().join("origin.git").display().to_string()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rensei"));
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.root())
            .env("RENSEI_HOME", self.root().join("host"))
            .env("RENSEI_API_URL", format!("http://127.0.0.1:{}", self.platform_port))
            .env("RENSEI_API_TOKEN", &self.api_key)
            .env("LOCKS", self.root().join("locks"))
            .stdin(Stdio::null());
        command
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.command(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{args:?}: {error}: {text} {}", String::from_utf8_lossy(&output.stderr)))
    }

    fn spawn(&self, args: &[&str], log: &str) -> Child {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.root().join(log)).unwrap();
        self.command(args).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    fn start_platform(&mut self) {
        let listen = format!("127.0.0.1:{}", self.platform_port);
        let args = [
            "platform",
            "serve",
            "--listen",
            &listen,
            "--lease-seconds",
            "20",
            "--accept-seconds",
            "10",
            "--heartbeat-interval-ms",
            "1000",
        ];
        self.platform = Some(self.spawn(&args, "platform.log"));
    }

    fn start_daemon(&mut self) {
        let port = self.control_port.to_string();
        self.daemon = Some(self.spawn(&["host", "run", "--port", &port, "--skip-wizard"], "daemon.log"));
    }

    fn logs(&self) -> String {
        ["platform.log", "daemon.log"]
            .map(|name| {
                let text = fs::read_to_string(self.root().join(name)).unwrap_or_default();
                let lines: Vec<_> = text.lines().rev().take(60).collect();
                format!("--- {name}\n{}", lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
            })
            .join("\n")
    }

    /// Processes of sessions, by the marker and the test's own lock directory in their environment.
    fn session_processes(&self) -> Vec<u32> {
        let ours = format!("LOCKS={}", self.root().join("locks").display());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let Ok(environ) = fs::read(format!("/proc/{pid}/environ")) else { continue };
            let has = |wanted: &[u8]| environ.split(|byte| *byte == 0).any(|entry| entry.starts_with(wanted));
            if has(ours.as_bytes()) && has(b"RENSEI_SESSION_ID=") {
                found.push(pid);
            }
        }
        found
    }

    /// Workers are the ones that were started as `agent run`.
    fn pick(&self, workers: bool, random: &mut u64) -> Option<u32> {
        let is_worker = |pid: &u32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.windows(9).any(|part| part == b"agent\0run"))
        };
        let pids: Vec<_> = self.session_processes().into_iter().filter(|pid| is_worker(pid) == workers).collect();
        let index = usize::try_from(next(random)).unwrap() % pids.len().max(1);
        pids.get(index).copied()
    }

    fn strike(&mut self, victim: Victim, random: &mut u64) {
        match victim {
            Victim::Agent | Victim::Worker => {
                if let Some(pid) = self.pick(matches!(victim, Victim::Worker), random) {
                    kill(pid);
                }
            }
            Victim::Daemon => {
                kill_and_reap(self.daemon.take().unwrap());
                std::thread::sleep(Duration::from_millis(next(random) % 300));
                self.start_daemon();
            }
            Victim::Platform => {
                kill_and_reap(self.platform.take().unwrap());
                std::thread::sleep(Duration::from_millis(next(random) % 300));
                self.start_platform();
            }
        }
    }

    fn sessions(&self) -> Option<BTreeMap<String, Value>> {
        let output = self.command(&["session", "list", "--json"]).output().unwrap();
        let list: Value = serde_json::from_slice(&output.stdout).ok()?;
        let sessions = list.get("sessions").unwrap_or(&list).as_array()?.clone();
        Some(sessions.into_iter().map(|s| (s["sessionId"].as_str().unwrap().to_owned(), s)).collect())
    }

    /// Workareas that somebody has, and those that are to be archived.
    fn worktrees(&self) -> Vec<PathBuf> {
        let dirs = ["host/worktrees", "host/retained"].map(|dir| self.root().join(dir));
        let entries = dirs.iter().flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten());
        entries.filter(|entry| entry.file_name() != ".owned").map(|entry| entry.path()).collect()
    }

    /// Session and attempt of each archive.
    fn archived(&self) -> Vec<(String, u64)> {
        let entries = fs::read_dir(self.root().join("host/workareas")).into_iter().flatten().flatten();
        let whole = entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
        whole
            .map(|entry| {
                let manifest: Value =
                    serde_json::from_slice(&fs::read(entry.path().join("manifest.json")).unwrap()).unwrap();
                assert!(entry.path().join("tree").is_dir(), "{manifest}");
                (manifest["sessionId"].as_str().unwrap().to_owned(), manifest["attempt"].as_u64().unwrap())
            })
            .collect()
    }
}

/// A small generator: the test prints its seed and needs no more.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state >> 8
}

fn is_terminal(session: &Value) -> bool {
    matches!(session["status"].as_str(), Some("completed" | "failed" | "stopped"))
}

#[test]
fn every_session_ends_exactly_once_whatever_is_killed() {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let mut random = u64::try_from(seed & 0xffff_ffff_ffff).unwrap() | 1;
    println!("seed {random}");
    let mut world = World::new();
    until("the control plane", || world.sessions());
    let created: Vec<String> = (0..SESSIONS)
        .map(|n| {
            let title = format!("session {n}");
            let session =
                world.json(&["session", "create", "--project", "app", "--title", &title, "--command", AGENT, "--json"]);
            session["sessionId"].as_str().unwrap().to_owned()
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.pick(false, &mut random).is_none() {
        assert!(Instant::now() < deadline, "no agent runs\n{}", world.logs());
        std::thread::sleep(Duration::from_millis(20));
    }

    let mut victims =
        vec![Victim::Agent, Victim::Worker, Victim::Daemon, Victim::Platform, Victim::Daemon, Victim::Platform];
    while !victims.is_empty() {
        std::thread::sleep(Duration::from_millis(50 + next(&mut random) % 400));
        let index = usize::try_from(next(&mut random)).unwrap() % victims.len();
        let victim = victims.swap_remove(index);
        println!("killing {victim:?}");
        world.strike(victim, &mut random);
    }

    let deadline = Instant::now() + PATIENCE;
    let ended = loop {
        if let Some(sessions) = world.sessions()
            && sessions.values().all(is_terminal)
        {
            break sessions;
        }
        assert!(Instant::now() < deadline, "not all sessions ended: {:#?}\n{}", world.sessions(), world.logs());
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(ended.len(), SESSIONS, "{ended:#?}");
    let count = |status: &str| ended.values().filter(|s| s["status"] == status).count();
    println!("{} completed, {} failed", count("completed"), count("failed"));
    assert_eq!(count("completed") + count("failed"), SESSIONS, "{ended:#?}\n{}", world.logs());
    // An agent and a worker were killed; everything else must have come through.
    assert!(count("failed") <= 2, "{ended:#?}\n{}", world.logs());
    assert!(created.iter().all(|id| ended.contains_key(id)));
    assert!(!world.root().join("locks/violations").exists(), "a session ran twice at the same time\n{}", world.logs());
    until("the last process to go", || world.session_processes().is_empty().then_some(()));
    let deadline = Instant::now() + Duration::from_secs(30);
    while !world.worktrees().is_empty() {
        assert!(Instant::now() < deadline, "leaked: {:?}\n{}", world.worktrees(), world.logs());
        std::thread::sleep(Duration::from_millis(20));
    }
    // What an attempt left is archived once.
    let archived = world.archived();
    let distinct: BTreeSet<_> = archived.iter().collect();
    assert_eq!(distinct.len(), archived.len(), "{archived:?}\n{}", world.logs());
    assert!(archived.iter().all(|(id, _)| ended.contains_key(id)));
    println!("{} archived", archived.len());
    // What ended as completed is on the remote, once.
    let branches = git(&world.root().join("origin.git"), &["branch", "--list", "agent/*", "--format=%(refname:short)"]);
    for (id, session) in &ended {
        if session["status"] == "completed" {
            assert!(branches.lines().any(|branch| branch == format!("agent/{id}")), "{id} was not pushed: {branches}");
        }
    }
    // Nothing changes any more.
    let later = world.sessions().unwrap();
    for (id, session) in &ended {
        assert_eq!((&session["status"], &session["endedAt"]), (&later[id]["status"], &later[id]["endedAt"]));
    }
}
