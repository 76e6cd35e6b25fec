//! A temporary home, and the binary in it with nothing else of this machine's environment.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Bound of every wait. Generous, because nothing waits for it unless something is broken.
pub(crate) const BOUND: Duration = Duration::from_secs(60);
/// Pause between looks at a condition.
const LOOK: Duration = Duration::from_millis(10);

/// A temporary home.
#[derive(Debug)]
pub(crate) struct World {
    dir: TempDir,
}

/// A command that has ended.
#[derive(Debug)]
#[must_use]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// Checks the exit code and shows everything when it is another.
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A process that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    stderr: PathBuf,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("rensei-cli-test-").tempdir().unwrap();
        for sub in ["home", "tmp"] {
            std::fs::create_dir(dir.path().join(sub)).unwrap();
        }
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// State root.
    pub(crate) fn state(&self) -> PathBuf {
        self.path().join("home/.rensei")
    }

    /// Directory for temporary files.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.path().join("tmp")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rensei"));
        command.args(args).env_clear().current_dir(self.path()).stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.path().join("home")).env("TMPDIR", self.tmp());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        finish(self.command(args))
    }

    /// Starts a server and waits until its stdout has a line that starts with `ready`; the rest of the line comes back.
    pub(crate) fn start(&self, args: &[&str], ready: &str) -> (Running, String) {
        let mut running = self.launch(self.command(args));
        let rest = running.line(ready);
        (running, rest)
    }

    pub(crate) fn launch(&self, mut command: Command) -> Running {
        let stderr = self.path().join(format!("stderr-{}", std::fs::read_dir(self.path()).unwrap().count()));
        command.stdout(Stdio::piped()).stderr(std::fs::File::create(&stderr).unwrap());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Running { child, lines, stderr }
    }

    /// A bare repository with one commit on `main`.
    pub(crate) fn repository(&self) -> String {
        self.repository_with(&[])
    }

    /// The same with these files in it.
    pub(crate) fn repository_with(&self, files: &[(&str, &str)]) -> String {
        let path = self.path().join("repo.git");
        let text = path.to_str().unwrap().to_owned();
        self.git(&["init", "--quiet", "--bare", "--initial-branch=main", &text]);
        let lines = files.iter().map(|(name, content)| {
            let file = self.path().join("content");
            std::fs::write(&file, content).unwrap();
            let blob = self.git(&["-C", &text, "hash-object", "-w", file.to_str().unwrap()]);
            format!("100644 blob {}\t{name}\n", blob.trim())
        });
        let listing = self.path().join("listing");
        std::fs::write(&listing, lines.collect::<String>()).unwrap();
        let mut mktree = self.git_command(&["-C", &text, "mktree"]);
        mktree.stdin(std::fs::File::open(listing).unwrap());
        let tree = finish(mktree).exits(0).stdout;
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let commit = [&["-C", &text], &identity[..], &["commit-tree", tree.trim(), "-m", "first"]].concat();
        let commit = self.git(&commit);
        self.git(&["-C", &text, "update-ref", "refs/heads/main", commit.trim()]);
        text
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        finish(self.git_command(args)).exits(0).stdout
    }

    fn git_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
        command.env("HOME", self.path().join("home")).current_dir(self.path());
        command
    }

    /// Writes daemon.yaml for one project; `rest` is appended.
    pub(crate) fn configure(&self, repository: &str, rest: &str) {
        std::fs::create_dir_all(self.state()).unwrap();
        let yaml = format!("machine: {{id: test}}\nprojects:\n  - {{id: alpha, repository: {repository}}}\n{rest}");
        std::fs::write(self.state().join("daemon.yaml"), yaml).unwrap();
    }

    /// Starts a host on a free port; its URL comes back.
    pub(crate) fn host(&self) -> (Running, String) {
        let (mut host, address) = self.start(&["host", "run", "--port", "0"], "[daemon] http listening on ");
        host.line("[daemon] state -> running");
        (host, format!("http://{address}"))
    }

    /// Processes that were started in this world and still run.
    pub(crate) fn survivors(&self) -> Vec<u32> {
        let marker = self.path().to_str().unwrap().as_bytes().to_vec();
        let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid: &u32| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.windows(marker.len()).any(|window| window == marker)
        })
        .collect()
    }

    /// Waits until nothing that was started in this world runs any more.
    pub(crate) fn is_quiet(&self) {
        until("no process is left", || self.survivors().is_empty());
    }
}

impl Running {
    /// What follows `prefix` on the next line that starts with it.
    pub(crate) fn line(&mut self, prefix: &str) -> String {
        let deadline = Instant::now() + BOUND;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some(rest) = line.strip_prefix(prefix) {
                        return rest.trim().to_owned();
                    }
                }
                Err(_) => panic!("no line `{prefix}`; stderr:\n{}", self.stderr()),
            }
        }
    }

    /// Waits for a line that has `needle` in it.
    pub(crate) fn line_with(&mut self, needle: &str) -> String {
        let deadline = Instant::now() + BOUND;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(needle) => return line,
                Ok(_) => {}
                Err(_) => panic!("no line with `{needle}`; stderr:\n{}", self.stderr()),
            }
        }
    }

    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits for the end; the exit code comes back.
    pub(crate) fn end(&mut self) -> Option<i32> {
        wait(&mut self.child).unwrap_or_else(|| panic!("does not end; stderr:\n{}", self.stderr())).code()
    }
}

impl Drop for Running {
    /// A host that is killed would leave its sessions to the next one, which does not come; one that is asked twice does
    /// not wait for them.
    fn drop(&mut self) {
        let asked = Instant::now();
        while let Ok(None) = self.child.try_wait() {
            if asked.elapsed() > BOUND {
                let _ended = self.child.kill();
                let _reaped = self.child.wait();
                return;
            }
            let _asked =
                Command::new("kill").args(["-TERM", &self.child.id().to_string()]).stderr(Stdio::null()).status();
            std::thread::sleep(LOOK);
        }
    }
}

/// Waits until `condition` holds.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {BOUND:?}: {what}");
        std::thread::sleep(LOOK);
    }
}

pub(crate) fn finish(mut command: Command) -> Done {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let out = drain(child.stdout.take().unwrap());
    let err = drain(child.stderr.take().unwrap());
    let status = wait(&mut child);
    if status.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (stdout, stderr) = (out.join().unwrap(), err.join().unwrap());
    let status = status.unwrap_or_else(|| panic!("does not end: {command:?}\n{stdout}\n{stderr}"));
    Done { code: status.code(), stdout, stderr }
}

fn drain(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(child: &mut Child) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + BOUND;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(LOOK);
    }
    None
}
