//! The configuration.

use super::check::Check;
use crate::commands::host::run::host_name;
use crate::env::Environment;
use rensei_daemon_core::config::{ConfigError, Defaults, Loaded, inspect};
use rensei_proto::error_chain;
use std::path::Path;

/// Reads the file as a daemon that starts now would.
pub(super) fn load(path: &Path, env: &Environment) -> Result<Loaded, ConfigError> {
    inspect(path, &env.strings(), &Defaults { hostname: host_name(), cpus: 1 })
}

/// What there is to say about what was read.
pub(super) fn check(path: &Path, read: &Result<Loaded, ConfigError>) -> Check {
    let shown = path.display();
    if path.try_exists().is_ok_and(|exists| !exists) {
        let fix = format!("`rensei platform init`, where the control plane runs, prints one to paste into {shown}");
        return Check::warning(NAME, format!("there is no {shown}: defaults, and no project to serve"), fix);
    }
    match read {
        Err(error) => {
            Check::error(NAME, error_chain(error), format!("correct {shown}; `docs/config.md` lists all keys"))
        }
        Ok(loaded) => match loaded.warnings.as_slice() {
            [] if loaded.config.projects.is_empty() => {
                let fix = format!("add `projects` to {shown}");
                Check::warning(NAME, format!("{shown} names no project, so every session is refused"), fix)
            }
            [] => Check::ok(NAME, format!("{shown} is valid")),
            [first, rest @ ..] => {
                let more = if rest.is_empty() { String::new() } else { format!("; and {} more", rest.len()) };
                Check::warning(NAME, format!("{shown}: {}{more}", first.message), first.hint.clone())
            }
        },
    }
}

const NAME: &str = "configuration";

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn each_state_of_the_file_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.yaml");
        let verdict = |text: Option<&str>| {
            let _absent = std::fs::remove_file(&path);
            text.iter().for_each(|text| std::fs::write(&path, text).unwrap());
            let check = check(&path, &load(&path, &Environment::default()));
            assert_eq!(check.fix.is_none(), check.status == Verdict::Ok, "{check:?}");
            (check.status, check.detail)
        };
        assert_eq!(verdict(None).0, Verdict::Warning);
        assert_eq!(verdict(Some("machine: {id: m}")).0, Verdict::Warning);
        let (status, detail) = verdict(Some("capacity: {maxConcurrentSessions: many}"));
        assert_eq!(status, Verdict::Error);
        assert!(detail.contains("maxConcurrentSessions"), "{detail}");
        assert_eq!(verdict(Some("projects: [{id: a, repository: /r}]")).0, Verdict::Ok);
    }
}
