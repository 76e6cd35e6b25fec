//! `cargo xtask api`: the control API under tools that know nothing of us. A public validator reads the OpenAPI document,
//! a property-based fuzzer holds a real daemon to it, and the parser of the Prometheus project reads the metrics.

use crate::task::TaskError;
use crate::{metadata, shell};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What is installed from PyPI into a directory of its own.
const TOOLS: [&str; 3] = ["schemathesis==4.*", "openapi-spec-validator==0.*", "prometheus-client==0.*"];
/// The document.
const DOCUMENT: &str = "docs/api/control.json";
/// What cannot be asked at random: it ends the host or makes it refuse work, has no end, or is refused by every host.
const LEFT_OUT: &str = "^/api/daemon/(stop|drain|pause|update|events)$";
/// Longest time for the daemon to be ready.
const READY: Duration = Duration::from_secs(30);
/// Reads the metrics in both formats; every sample must have a family.
const READ_METRICS: &str = "import sys, urllib.request as web\n\
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as newer\n\
    from prometheus_client.parser import text_string_to_metric_families as older\n\
    for accept, parse in (('application/openmetrics-text', newer), ('text/plain', older)):\n\
    \x20   request = web.Request(sys.argv[1], headers={'Accept': accept})\n\
    \x20   families = list(parse(web.urlopen(request).read().decode()))\n\
    \x20   assert len(families) > 5 and all(f.documentation for f in families), families\n\
    \x20   print(f'api: {len(families)} families of metrics as {accept}')\n";

/// Runs all of it. On a machine that cannot get the tools, an error under CI and a note elsewhere.
pub(crate) fn run() -> Result<Option<String>, TaskError> {
    let target = metadata::load()?.target_directory;
    let tools = target.join("api-tools");
    if let Err(error) = install(&tools) {
        if std::env::var_os("CI").is_some() {
            return Err(error);
        }
        return Ok(Some(format!("api      skipped: {error} (needs python3 with venv and pip, and PyPI)")));
    }
    shell::run(shell::command(&["cargo", "build", "--quiet", "-p", "rensei-cli", "--bin", "rensei"]))?;
    let program = |name: &str| tools.join("bin").join(name);
    let mut validate = Command::new(program("openapi-spec-validator"));
    shell::run({
        validate.arg(shell::root().join(DOCUMENT));
        validate
    })?;
    let host = Host::start(&target)?;
    let mut metrics = Command::new(program("python3"));
    metrics.args(["-c", READ_METRICS, &format!("http://127.0.0.1:{}/metrics", host.metrics)]);
    shell::run(metrics)?;
    shell::run(fuzz(&program("schemathesis"), &host))?;
    Ok(None)
}

/// Makes the directory with the tools, unless it is there.
fn install(tools: &Path) -> Result<(), TaskError> {
    let done = tools.join(TOOLS.concat().replace(['=', '*', '.'], ""));
    if done.exists() {
        return Ok(());
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(tools);
    shell::run(venv)?;
    let mut pip = Command::new(tools.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(TOOLS);
    shell::run(pip)?;
    std::fs::write(&done, "").map_err(TaskError::io(&done))
}

fn fuzz(schemathesis: &Path, host: &Host) -> Command {
    let mut command = Command::new(schemathesis);
    command.arg("run").arg(shell::root().join(DOCUMENT)).args(["--url", &format!("http://127.0.0.1:{}", host.port)]);
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    command.args(["--checks", checks, "--exclude-path-regex", LEFT_OUT, "--phases", "examples,coverage,fuzzing"]);
    command.args(["--max-examples", "25", "--seed", "1", "--generation-deterministic", "--no-color"]);
    // It leaves notes where it runs.
    command.current_dir(host.home.path());
    command
}

/// A daemon that is ended with this value.
struct Host {
    child: Child,
    port: u16,
    metrics: u16,
    home: tempfile::TempDir,
}

impl Host {
    fn start(target: &Path) -> Result<Self, TaskError> {
        let home = tempfile::tempdir().map_err(TaskError::io(target))?;
        let (port, metrics) = (free_port(target)?, free_port(target)?);
        let config = home.path().join("daemon.yaml");
        let text = format!(
            "capacity: {{maxConcurrentSessions: 1000}}\nobservability: {{metricsPort: {metrics}}}\n\
             projects:\n- {{id: app, repository: /srv/app}}\n"
        );
        std::fs::write(&config, text).map_err(TaskError::io(&config))?;
        let mut command = Command::new(target.join("debug/rensei"));
        command.args(["host", "run", "--skip-wizard", "--worker-command", "/bin/true", "--port", &port.to_string()]);
        command.env("RENSEI_HOME", home.path()).env("HOME", home.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let line = shell::line(&command);
        let child = command.spawn().map_err(|source| TaskError::Start { line: line.clone(), source })?;
        let host = Self { child, port, metrics, home };
        host.wait(line)?;
        Ok(host)
    }

    fn wait(&self, line: String) -> Result<(), TaskError> {
        let deadline = Instant::now() + READY;
        while [self.port, self.metrics].iter().any(|port| TcpStream::connect(("127.0.0.1", *port)).is_err()) {
            if Instant::now() > deadline {
                return Err(TaskError::TimedOut { line, seconds: READY.as_secs() });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A port that was free a moment ago.
fn free_port(target: &Path) -> Result<u16, TaskError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    Ok(listener.map_err(TaskError::io(&PathBuf::from(target)))?.port())
}
