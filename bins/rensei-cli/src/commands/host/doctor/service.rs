//! The service manager's side: the unit that starts the daemon.

use super::check::Check;
use crate::env::Environment;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Name of the operating system, as earlier hosts of the family spell it.
pub(super) const OS: &str = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };

/// Label of the unit.
const LABEL: &str = "dev.rensei.daemon";
/// Time for a question to the service manager.
const ANSWER: Duration = Duration::from_secs(5);

/// What is known of the unit.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) path: PathBuf,
    pub(super) installed: bool,
    pub(super) active: Option<bool>,
    pub(super) detail: String,
    /// The program in the unit, when it names one that is not there.
    stale: Option<PathBuf>,
}

impl Service {
    /// Looks at the unit of this user, or of the machine.
    pub(super) async fn inspect(env: &Environment, system: bool) -> Self {
        let path = path(env, system);
        let unit = std::fs::read_to_string(&path).ok();
        let program = unit.as_deref().and_then(program);
        let stale = program.filter(|program| !program.is_file());
        let (active, detail) = match unit {
            Some(_) => is_active(env, system).await,
            None => (None, format!("there is no {}", path.display())),
        };
        Self { installed: unit.is_some(), path, active, detail, stale }
    }

    /// A host that nothing starts is down after the next reboot.
    pub(super) fn check(&self) -> Check {
        let path = self.path.display();
        if !self.installed {
            let fix = "run the daemon under a service manager, with the unit in that file, or in the foreground: `rensei host run`";
            return Check::error(NAME, format!("not installed: there is no {path}"), fix);
        }
        if let Some(program) = &self.stale {
            let fix = format!("name the program that is there in {path}");
            return Check::error(NAME, format!("{path} starts {}, which is not there", program.display()), fix);
        }
        match self.active {
            Some(true) => Check::ok(NAME, format!("{path} is active")),
            Some(false) => {
                Check::error(NAME, format!("{path} is not active: {}", self.detail), "see why: `rensei host logs`")
            }
            None => Check::unknown(NAME, format!("{path} is there; {}", self.detail)),
        }
    }
}

const NAME: &str = "service";

fn path(env: &Environment, system: bool) -> PathBuf {
    let home = env.get_os("HOME").map(PathBuf::from).unwrap_or_default();
    match (cfg!(target_os = "macos"), system) {
        (true, _) => home.join(format!("Library/LaunchAgents/{LABEL}.plist")),
        (false, true) => Path::new("/etc/systemd/system").join(format!("{LABEL}.service")),
        (false, false) => home.join(format!(".config/systemd/user/{LABEL}.service")),
    }
}

/// The program that a unit or property list starts.
fn program(unit: &str) -> Option<PathBuf> {
    let line = unit.lines().find_map(|line| line.trim().strip_prefix("ExecStart="));
    let word = match line {
        Some(line) => match line.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next()?,
            None => line.split_whitespace().next()?,
        },
        None => {
            let arguments = unit.split("<key>ProgramArguments</key>").nth(1)?;
            arguments.split("<string>").nth(1)?.split("</string>").next()?
        }
    };
    Some(PathBuf::from(word)).filter(|path| path.is_absolute())
}

/// Whether the unit is active, and in which words the service manager says so.
async fn is_active(env: &Environment, system: bool) -> (Option<bool>, String) {
    let mut command = if cfg!(target_os = "macos") {
        let mut command = Command::new("launchctl");
        command.args(["list", LABEL]);
        command
    } else {
        let mut command = Command::new("systemctl");
        command.args((!system).then_some("--user")).args(["is-active", LABEL]);
        command
    };
    command.env_clear().envs(env.strings()).stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(ANSWER, command.output()).await {
        Ok(Ok(answer)) => {
            let text = String::from_utf8_lossy(&answer.stdout);
            let error = String::from_utf8_lossy(&answer.stderr);
            let line = text.lines().chain(error.lines()).next().unwrap_or_default().to_owned();
            // Without a session bus there is no answer, only an error.
            let is_known = answer.status.success() || !text.trim().is_empty();
            (is_known.then(|| answer.status.success()), line)
        }
        Ok(Err(error)) => (None, format!("the service manager cannot be asked: {error}")),
        Err(_) => (None, "the service manager does not answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn the_program_of_a_unit() {
        for (unit, expected) in [
            ("[Service]\nExecStart=/usr/bin/rensei host run\n", Some("/usr/bin/rensei")),
            ("ExecStart=\"/opt/my rensei\" host run\n", Some("/opt/my rensei")),
            ("<key>ProgramArguments</key><array><string>/a/b</string><string>host</string></array>", Some("/a/b")),
            ("ExecStart=\n", None),
            ("", None),
        ] {
            assert_eq!(program(unit), expected.map(PathBuf::from), "{unit}");
        }
    }

    #[tokio::test]
    async fn a_missing_unit_and_a_stale_one_are_errors() {
        let home = tempfile::tempdir().unwrap();
        let env = Environment::from([("HOME", home.path().to_str().unwrap()), ("PATH", "/nowhere")]);
        let missing = Service::inspect(&env, false).await;
        assert_eq!((missing.installed, missing.check().status), (false, Verdict::Error));
        std::fs::create_dir_all(missing.path.parent().unwrap()).unwrap();
        std::fs::write(&missing.path, "ExecStart=/gone/rensei host run\n").unwrap();
        let stale = Service::inspect(&env, false).await;
        assert!(stale.installed && stale.check().detail.contains("/gone/rensei"), "{stale:?}");
        assert_eq!(stale.check().status, Verdict::Error);
    }
}
