//! The real control plane and the real daemon, as child processes in a temporary directory.

use crate::error::BenchError;
use rensei_platform_client::OperatorClient;
use rensei_proto::Secret;
use rensei_proto::control::{RegistrationState, Status};
use rustix::process::{Pid, Signal};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Project and repository that all sessions name. It is never cloned: the workers of this benchmark do not ask for it.
pub(crate) const REPOSITORY: &str = "https://bench.invalid/dispatch.git";
const PROJECT: &str = "bench";
/// Longest wait for a process to be ready, or to end.
const BOUND: Duration = Duration::from_secs(20);

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct Rig {
    programs: PathBuf,
    platform: Running,
    platform_port: u16,
    registration_token: String,
    api_key: String,
    // Removed last, when nothing writes to it any more.
    dir: TempDir,
}

/// A daemon.
#[derive(Debug)]
pub(crate) struct Host {
    process: Running,
    home: PathBuf,
    port: u16,
}

/// A child process that is ended with this value.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Rig {
    /// Starts the control plane.
    pub(crate) async fn start(programs: &Path, scratch: &Path) -> Result<Self, BenchError> {
        let dir = tempfile::Builder::new().prefix("bench-").tempdir_in(scratch).map_err(BenchError::io(scratch))?;
        let programs = programs.to_owned();
        let data = dir.path().join("platform");
        let mut init = rensei(&programs, dir.path());
        init.args(["platform", "init", "--org", "bench", "--project", PROJECT, "--repository", REPOSITORY, "--json"]);
        let tokens: serde_json::Value = json_of(init.arg("--data-dir").arg(&data))?;
        let platform_port = free_port()?;
        let mut serve = rensei(&programs, dir.path());
        serve.args(["platform", "serve", "--listen", &format!("127.0.0.1:{platform_port}"), "--data-dir"]).arg(&data);
        let platform = Running::spawn(serve, dir.path().join("platform.log"))?;
        let token = |name: &str| tokens[name].as_str().unwrap_or_default().to_owned();
        let rig = Self {
            programs,
            platform,
            platform_port,
            registration_token: token("registrationToken"),
            api_key: token("apiKey"),
            dir,
        };
        rig.wait_for_platform().await?;
        Ok(rig)
    }

    async fn wait_for_platform(&self) -> Result<(), BenchError> {
        let deadline = Instant::now() + BOUND;
        let client = self.operator()?;
        let query = rensei_platform_client::ListQuery { limit: Some(1), ..Default::default() };
        loop {
            match client.list_sessions(&query).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline || error.status().is_some() => {
                    eprintln!("{}", self.platform.said());
                    return Err(error.into());
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Base URL of the control plane.
    pub(crate) fn platform_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.platform_port)
    }

    /// The stamping program.
    pub(crate) fn stamp(&self) -> PathBuf {
        self.programs.join("stamp")
    }

    /// Temporary directory of this run.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Type of the file system that everything is on, as `stat -f` names it.
    pub(crate) fn file_system(&self) -> String {
        let output = Command::new("stat").args(["-f", "-c", "%T"]).arg(self.dir()).output();
        output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_else(|_| "unknown".into())
    }

    /// A client for the operator side, with connections of its own.
    pub(crate) fn operator(&self) -> Result<OperatorClient, BenchError> {
        Ok(OperatorClient::new(&self.platform_url(), Secret::from(self.api_key.as_str()))?)
    }

    /// Starts a daemon that is registered with the control plane and runs `worker` for each session.
    pub(crate) async fn start_host(&mut self, name: &str, worker: &Path) -> Result<Host, BenchError> {
        let orchestrator =
            format!("orchestrator:\n  url: {}\n  authToken: {}\n", self.platform_url(), self.registration_token);
        let host = self.spawn_host(name, worker, &orchestrator)?;
        self.wait_for(&host, RegistrationState::Registered).await?;
        Ok(host)
    }

    /// Starts a daemon without a control plane.
    pub(crate) async fn start_local_host(&mut self, name: &str, worker: &Path) -> Result<Host, BenchError> {
        let host = self.spawn_host(name, worker, "")?;
        self.wait_for(&host, RegistrationState::Local).await?;
        Ok(host)
    }

    /// Starts a daemon and does not wait for anything.
    pub(crate) fn spawn_host(&self, name: &str, worker: &Path, orchestrator: &str) -> Result<Host, BenchError> {
        let home = self.configure(name, 8, orchestrator)?;
        self.spawn_daemon(name, home, &[worker.as_os_str()])
    }

    /// Starts a daemon without a control plane that has so many slots and runs `script` for each session.
    pub(crate) async fn start_shell_host(&self, name: &str, slots: usize, script: &str) -> Result<Host, BenchError> {
        let home = self.configure(name, slots, "")?;
        let host = self.spawn_daemon(name, home, &["/bin/sh", "-c", script].map(OsStr::new))?;
        self.wait_for(&host, RegistrationState::Local).await?;
        Ok(host)
    }

    /// Starts a host inside a program whose heap has so many megabytes.
    pub(crate) async fn start_heavy_host(&self, name: &str, megabytes: usize) -> Result<Host, BenchError> {
        let (home, port) = (self.configure(name, 8, "")?, free_port()?);
        let mut command = Command::new(self.programs.join("heavy-host"));
        command.env_clear().arg(&home).arg(port.to_string()).arg(megabytes.to_string()).arg(self.stamp());
        let process = Running::spawn(command, self.dir().join(format!("{name}.log")))?;
        let host = Host { process, home, port };
        self.wait_for(&host, RegistrationState::Local).await?;
        Ok(host)
    }

    /// Writes the configuration of a host; the answer is its state root.
    fn configure(&self, name: &str, slots: usize, orchestrator: &str) -> Result<PathBuf, BenchError> {
        let home = self.dir().join(name);
        fs::create_dir_all(&home).map_err(BenchError::io(&home))?;
        let config = home.join("daemon.yaml");
        let text = format!(
            "machine:\n  id: {name}\ncapacity:\n  maxConcurrentSessions: {slots}\nprojects:\n- id: {PROJECT}\n  \
             repository: {REPOSITORY}\n{orchestrator}"
        );
        fs::write(&config, text).map_err(BenchError::io(&config))?;
        Ok(home)
    }

    fn spawn_daemon(&self, name: &str, home: PathBuf, worker: &[&OsStr]) -> Result<Host, BenchError> {
        let port = free_port()?;
        let mut run = rensei(&self.programs, &home);
        run.args(["host", "run", "--skip-wizard", "--port", &port.to_string(), "--worker-command"]);
        let (program, args) = worker.split_first().expect("a worker is a program");
        run.arg(program).args(args.iter().flat_map(|arg| [OsStr::new("--worker-arg"), arg]));
        let process = Running::spawn(run, self.dir().join(format!("{name}.log")))?;
        Ok(Host { process, home, port })
    }

    async fn wait_for(&self, host: &Host, state: RegistrationState) -> Result<(), BenchError> {
        let deadline = Instant::now() + BOUND;
        while Instant::now() < deadline {
            let status: Result<Status, _> = json_of(self.status_command(host).arg("--json"));
            if status.is_ok_and(|status| status.registration.is_some_and(|r| r.state == state)) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        eprintln!("{}", host.process.said());
        Err(BenchError::TimedOut(format!("the daemon to be {state:?}")))
    }

    /// `rensei host status` for a daemon.
    pub(crate) fn status_command(&self, host: &Host) -> Command {
        let mut command = rensei(&self.programs, host.home());
        command.args(["host", "status", "--port", &host.port.to_string()]);
        command
    }

    /// Ends a daemon as an operator would.
    pub(crate) async fn stop_host(&self, mut host: Host) -> Result<(), BenchError> {
        host.process.terminate();
        let deadline = Instant::now() + BOUND;
        while Instant::now() < deadline {
            if matches!(host.process.child.try_wait(), Ok(Some(_))) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(BenchError::TimedOut("the daemon to end after SIGTERM".into()))
    }
}

impl Host {
    /// Its state root.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Port of its control API.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Base URL of its control API.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Running {
    fn spawn(mut command: Command, log: PathBuf) -> Result<Self, BenchError> {
        let file = File::create(&log).map_err(BenchError::io(&log))?;
        let both = file.try_clone().map_err(BenchError::io(&log))?;
        let program = PathBuf::from(command.get_program());
        let child = command.stdin(Stdio::null()).stdout(file).stderr(both).spawn();
        Ok(Self { child: child.map_err(|source| BenchError::Start { program, source })?, log })
    }

    fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // Gone already is as good.
        let _ = pid.map(|pid| rustix::process::kill_process(pid, Signal::TERM));
    }

    /// What it has written so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The `rensei` program with nothing of the caller's environment but the search path.
fn rensei(programs: &Path, home: &Path) -> Command {
    let mut command = Command::new(programs.join("rensei"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).env("HOME", home).env("RENSEI_HOME", home).current_dir(home);
    command
}

/// Runs a command and reads the one JSON document that it prints.
fn json_of<T: serde::de::DeserializeOwned>(command: &mut Command) -> Result<T, BenchError> {
    let program = PathBuf::from(command.get_program());
    let output = command.stdin(Stdio::null()).output().map_err(|source| BenchError::Start { program, source })?;
    let unexpected = |output: &Output| BenchError::Unexpected {
        what: format!("{command:?} ended with {}", output.status),
        output: format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
    };
    if !output.status.success() {
        return Err(unexpected(&output));
    }
    serde_json::from_slice(&output.stdout).map_err(|_| unexpected(&output))
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, BenchError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    Ok(listener.map_err(BenchError::io(Path::new("127.0.0.1:0")))?.port())
}
