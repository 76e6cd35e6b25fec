//! Manifests: every crate inherits the workspace's lints and dependency versions.
//!
//! A line reader, not a TOML parser: it understands the one style that this repository's manifests are written in and
//! reports everything else.

use crate::task::Finding;

/// What is wrong in the manifest `text` of `crate_name`.
pub(crate) fn check(crate_name: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut section = "";
    let mut inherits_lints = false;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        } else if section == "lints" && line.replace(' ', "") == "workspace=true" {
            inherits_lints = true;
        } else if is_dependency_section(section) && !is_inherited(line) {
            findings.push(Finding::new(
                crate_name,
                format!("[{section}] `{line}`: declare the version in the root manifest and use `workspace = true`"),
            ));
        }
    }
    if !inherits_lints {
        findings.push(Finding::new(crate_name, "no `[lints] workspace = true` in its manifest"));
    }
    findings
}

fn is_dependency_section(section: &str) -> bool {
    section.ends_with("dependencies")
}

/// Whether a dependency line takes its version from the workspace, or is a crate of this repository by path.
fn is_inherited(line: &str) -> bool {
    let Some((key, value)) = line.split_once('=') else { return false };
    let value = value.replace(' ', "");
    let by_workspace = key.trim().ends_with(".workspace") && value == "true" || value.contains("workspace=true");
    by_workspace || (value.contains("path=") && !value.contains("version="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inherited_manifests_pass() {
        let text = "[package]\nname = \"a\"\n\n[dependencies]\n# why\nserde.workspace = true\n\
            tokio = { workspace = true, features = [\"rt\"] }\nrensei-cli = { path = \"../rensei-cli\" }\n\n\
            [lints]\nworkspace = true\n";
        assert_eq!(check("a", text), []);
    }

    #[test]
    fn own_versions_and_missing_lints_fail() {
        let text = "[dependencies]\nserde = \"1\"\n[target.'cfg(unix)'.dependencies]\nlibc = { version = \"0.2\" }\n";
        let messages: Vec<_> = check("a", text).into_iter().map(|finding| finding.message).collect();
        assert_eq!(messages.len(), 3);
        assert!(messages[0].contains("serde") && messages[1].contains("libc") && messages[2].contains("lints"));
    }
}
