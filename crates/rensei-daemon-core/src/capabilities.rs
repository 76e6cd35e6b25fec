//! What this machine can run, looked up once and only when somebody asks.

use rensei_process::find_program;
use rensei_proto::platform::Provides;
use rensei_workarea::{GitEnvironment, GitImplementation};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::{Arc, OnceLock};

/// What everybody who tells of the machine tells alike: each answer is found when it is first asked for, and then stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct MachineCapabilities(Arc<Lookup>);

#[derive(Debug, Default)]
struct Lookup {
    environment: BTreeMap<String, String>,
    provides: OnceLock<Vec<Provides>>,
    git: OnceLock<&'static str>,
}

impl MachineCapabilities {
    /// Of the machine as programs with `environment` see it. Looks nothing up yet.
    pub(crate) fn new(environment: BTreeMap<String, String>) -> Self {
        Self(Arc::new(Lookup { environment, ..Lookup::default() }))
    }

    /// What sessions may ask for.
    pub(crate) fn provides(&self) -> &[Provides] {
        self.0.provides.get_or_init(|| detect(&self.0.environment))
    }

    /// What talks to repositories elsewhere.
    pub(crate) fn git(&self) -> &'static str {
        self.0.git.get_or_init(|| git(&self.0.environment))
    }
}

/// In the order that the control plane expects: what every host has, then what needs a program, then the rest.
fn detect(environment: &BTreeMap<String, String>) -> Vec<Provides> {
    let path = environment.get("PATH").map(OsStr::new);
    let has = |program: &str| find_program(OsStr::new(program), path).is_ok();
    let optional = [("npm", "node"), ("python-pip", "python3")];
    let always = ["native", "http", "host-binary", "workarea"].into_iter();
    always
        .chain(optional.into_iter().filter(|(_, program)| has(program)).map(|(kind, _)| kind))
        .chain(["mcp-server"])
        .map(|kind| Provides { kind: kind.to_owned() })
        .collect()
}

fn git(environment: &BTreeMap<String, String>) -> &'static str {
    let environment = environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
    match GitEnvironment::new(environment).implementation() {
        GitImplementation::Executable(_) => "git",
        GitImplementation::Library => "libgit2",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn kinds(provides: &[Provides]) -> Vec<&str> {
        provides.iter().map(|provides| provides.kind.as_str()).collect()
    }

    #[test]
    fn programs_are_claimed_only_when_they_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let environment = BTreeMap::from([("PATH".to_owned(), dir.path().display().to_string())]);
        assert_eq!(kinds(&detect(&environment)), ["native", "http", "host-binary", "workarea", "mcp-server"]);
        std::fs::write(dir.path().join("python3"), "").unwrap();
        assert!(!kinds(&detect(&environment)).contains(&"python-pip"), "a file that cannot be executed is no program");
        std::fs::set_permissions(dir.path().join("python3"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let all = ["native", "http", "host-binary", "workarea", "python-pip", "mcp-server"];
        assert_eq!(kinds(&detect(&environment)), all);
    }

    #[test]
    fn what_the_machine_can_run_is_looked_up_when_first_asked_for_and_is_the_same_for_everybody() {
        let dir = tempfile::tempdir().unwrap();
        let program = |name: &str| {
            std::fs::write(dir.path().join(name), "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(dir.path().join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        let machine = MachineCapabilities::new(BTreeMap::from([("PATH".to_owned(), dir.path().display().to_string())]));
        let other = machine.clone();
        // Installed after the host was made and before anybody asked.
        program("python3");
        program("git");
        assert!(kinds(other.provides()).contains(&"python-pip"));
        assert_eq!(machine.git(), "git");
        program("node");
        std::fs::remove_file(dir.path().join("git")).unwrap();
        assert_eq!(machine.provides(), other.provides());
        assert_eq!((machine.git(), other.git()), ("git", "git"));
    }
}
