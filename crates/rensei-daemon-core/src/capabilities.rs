//! What this machine can run, looked up once and only when somebody asks.

use rensei_process::find_program;
use rensei_proto::platform::Provides;
use rensei_workarea::{GitEnvironment, GitImplementation};
use std::collections::BTreeMap;
use std::ffi::OsStr;

/// In the order that the control plane expects: what every host has, then what needs a program, then the rest.
pub(crate) fn detect(environment: &BTreeMap<String, String>) -> Vec<Provides> {
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

/// What talks to repositories elsewhere.
pub(crate) fn git(environment: &BTreeMap<String, String>) -> &'static str {
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

    #[test]
    fn programs_are_claimed_only_when_they_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let kinds = || {
            let path = dir.path().display().to_string();
            let found = detect(&BTreeMap::from([("PATH".to_owned(), path)]));
            found.into_iter().map(|provides| provides.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(), ["native", "http", "host-binary", "workarea", "mcp-server"]);
        std::fs::write(dir.path().join("python3"), "").unwrap();
        assert!(!kinds().contains(&"python-pip".to_owned()), "a file that cannot be executed is no program");
        std::fs::set_permissions(dir.path().join("python3"), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(kinds(), ["native", "http", "host-binary", "workarea", "python-pip", "mcp-server"]);
    }
}
