//! `cargo xtask layers`: dependency directions.
//!
//! The architecture is a table here, so that an arrow cannot be added by accident: a crate that is missing from the
//! table, an arrow that is missing from it, and a third-party crate outside its home all fail.

use crate::metadata::{self, Dependency, Metadata, Package};
use crate::task::{Finding, TaskError, verdict};
use crate::{manifest, shell};

/// Which workspace crates a workspace crate may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("rensei-proto", &[]),
    ("rensei-process", &["rensei-proto"]),
    ("rensei-tls", &[]),
    ("rensei-platform-client", &["rensei-proto", "rensei-tls"]),
    ("rensei-workarea", &["rensei-process", "rensei-proto", "rensei-tls"]),
    ("rensei-kits", &["rensei-process", "rensei-proto", "rensei-tls"]),
    (
        "rensei-daemon-core",
        &["rensei-kits", "rensei-platform-client", "rensei-process", "rensei-proto", "rensei-workarea"],
    ),
    ("rensei-control-api", &["rensei-daemon-core", "rensei-process", "rensei-proto"]),
    (
        "rensei-runner",
        &[
            "rensei-control-api",
            "rensei-kits",
            "rensei-platform-client",
            "rensei-process",
            "rensei-proto",
            "rensei-workarea",
        ],
    ),
    ("rensei-platform", &["rensei-proto"]),
    (
        "rensei-cli",
        &[
            "rensei-control-api",
            "rensei-daemon-core",
            "rensei-kits",
            "rensei-platform",
            "rensei-platform-client",
            "rensei-process",
            "rensei-proto",
            "rensei-runner",
            "rensei-workarea",
        ],
    ),
    ("rensei-daemon-bin", &["rensei-cli"]),
    ("rensei-platform-bin", &["rensei-cli"]),
    (
        "xtask",
        &[
            "rensei-control-api",
            "rensei-daemon-core",
            "rensei-kits",
            "rensei-platform-client",
            "rensei-proto",
            "rensei-workarea",
        ],
    ),
    ("rensei-testkit", &["rensei-daemon-core", "rensei-proto"]),
];

/// Crates that only tests may use.
const DEV_ONLY: &[&str] = &["rensei-testkit"];

/// Features of a workspace crate that only the named crates may switch on.
const FEATURE_HOMES: &[(&str, &str, &[&str])] = &[("rensei-control-api", "server", &["rensei-cli", "xtask"])];

/// Dependencies that must be behind a feature of the crate that has them.
const OPTIONAL_ARROWS: &[(&str, &str)] =
    &[("rensei-control-api", "rensei-daemon-core"), ("rensei-control-api", "rensei-process")];

/// Where a third-party crate lives. Everything else reaches it through that crate.
const HOMES: &[(&str, &[&str])] = &[
    ("aide", &["rensei-control-api"]),
    ("axum", &["rensei-control-api", "rensei-platform", "rensei-testkit"]),
    ("clap", &["rensei-cli", "xtask"]),
    ("git2", &["rensei-kits", "rensei-workarea"]),
    ("jsonwebtoken", &["rensei-platform"]),
    ("reqwest", &["rensei-kits", "rensei-platform-client", "rensei-workarea"]),
    ("rustls", &["rensei-tls"]),
    ("schemars", &["rensei-control-api", "rensei-proto"]),
    ("serde_yaml", &["rensei-daemon-core"]),
    ("sigstore-verify", &["rensei-kits"]),
    ("sqlx", &["rensei-platform"]),
    ("toml", &["rensei-kits"]),
    ("tower", &["rensei-control-api", "rensei-platform"]),
    ("yaml-edit", &["rensei-daemon-core"]),
];

/// Crates without a runtime and without I/O: what they may not use.
const PURE: &[(&str, &[&str])] = &[("rensei-proto", &["tokio", "hyper", "rustix", "tempfile", "tracing-subscriber"])];

/// Checks the workspace.
pub(crate) fn run() -> Result<(), TaskError> {
    let metadata = metadata::load()?;
    let mut findings = check(&metadata);
    for package in &metadata.packages {
        let text = shell::read(&package.manifest_path)?;
        findings.extend(manifest::check(&package.name, &text));
    }
    verdict(findings)?;
    println!("layers: {} crates, every arrow is in the table", metadata.packages.len());
    Ok(())
}

fn check(metadata: &Metadata) -> Vec<Finding> {
    let ours: Vec<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    metadata.packages.iter().flat_map(|package| check_package(package, &ours)).collect()
}

fn check_package(package: &Package, ours: &[&str]) -> Vec<Finding> {
    let name = package.name.as_str();
    let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
        return vec![Finding::new(name, "no row in the table of arrows (xtask/src/layers.rs): say what it may use")];
    };
    let used = package.dependencies.iter().filter(|dependency| !dependency.is_dev());
    used.filter_map(|dependency| {
        let problem = if ours.contains(&dependency.name.as_str()) {
            check_arrow(name, dependency, allowed)
        } else {
            check_third_party(name, dependency)
        };
        Some(Finding::new(name, problem?))
    })
    .collect()
}

/// What is wrong with an arrow between two workspace crates.
fn check_arrow(from: &str, dependency: &Dependency, allowed: &[&str]) -> Option<String> {
    let to = dependency.name.as_str();
    if DEV_ONLY.contains(&to) {
        return Some(format!("arrow {from} -> {to}: {to} is for tests; make it a dev-dependency"));
    }
    if !allowed.contains(&to) {
        let rule = if allowed.is_empty() { "no workspace crate".to_owned() } else { allowed.join(", ") };
        return Some(format!("wrong arrow {from} -> {to}: {from} may use {rule}"));
    }
    if OPTIONAL_ARROWS.contains(&(from, to)) && !dependency.optional {
        return Some(format!("arrow {from} -> {to} must be optional, behind a feature"));
    }
    FEATURE_HOMES.iter().find_map(|(krate, feature, homes)| {
        let wrong = *krate == to && dependency.features.iter().any(|f| f == feature) && !homes.contains(&from);
        wrong.then(|| format!("arrow {from} -> {to}[{feature}]: only {} may switch that on", homes.join(", ")))
    })
}

/// What is wrong with the use of a crate from elsewhere.
fn check_third_party(from: &str, dependency: &Dependency) -> Option<String> {
    let name = dependency.rename.as_deref().unwrap_or(&dependency.name);
    if let Some((_, homes)) = HOMES.iter().find(|(krate, homes)| *krate == name && !homes.contains(&from)) {
        return Some(format!("{name} outside its home: only {} may use it", homes.join(", ")));
    }
    let (_, banned) = PURE.iter().find(|(krate, _)| *krate == from)?;
    banned.contains(&name).then(|| format!("{name} in {from}: that crate has no runtime and does no I/O"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Findings for one crate with these dependencies, beside an empty workspace of the usual names.
    fn findings(name: &str, dependencies: &Value) -> Vec<String> {
        let mut packages: Vec<Value> = ARROWS
            .iter()
            .map(|(n, _)| *n)
            .chain(DEV_ONLY.iter().copied())
            .filter(|n| *n != name)
            .map(|n| json!({"name": n, "manifest_path": "x", "dependencies": []}))
            .collect();
        packages.push(json!({"name": name, "manifest_path": "x", "dependencies": dependencies}));
        let metadata = serde_json::from_value(json!({"packages": packages, "target_directory": "t"})).unwrap();
        check(&metadata).into_iter().filter(|f| f.place == name).map(|f| f.message).collect()
    }

    #[test]
    fn an_allowed_arrow_passes() {
        assert!(findings("rensei-runner", &json!([{"name": "rensei-workarea"}, {"name": "serde"}])).is_empty());
    }

    #[test]
    fn a_wrong_arrow_is_named_with_its_rule() {
        let found = findings("rensei-workarea", &json!([{"name": "rensei-daemon-core"}]));
        assert_eq!(
            found,
            [
                "wrong arrow rensei-workarea -> rensei-daemon-core: rensei-workarea may use rensei-process, rensei-proto, \
             rensei-tls"
            ]
        );
        assert_eq!(findings("rensei-proto", &json!([{"name": "rensei-process", "kind": "build"}])).len(), 1);
    }

    #[test]
    fn a_crate_outside_the_table_fails() {
        assert!(findings("rensei-new", &json!([]))[0].contains("no row"));
    }

    #[test]
    fn tests_may_use_anything_and_the_testkit_is_theirs_alone() {
        let dev = json!([{"name": "rensei-daemon-core", "kind": "dev"}, {"name": "sqlx", "kind": "dev"}]);
        assert!(findings("rensei-workarea", &dev).is_empty());
        assert!(findings("rensei-cli", &json!([{"name": "rensei-testkit", "kind": "dev"}])).is_empty());
        assert!(findings("rensei-cli", &json!([{"name": "rensei-testkit"}]))[0].contains("dev-dependency"));
    }

    #[test]
    fn third_party_crates_stay_at_home_also_when_renamed() {
        assert!(findings("rensei-runner", &json!([{"name": "git2"}]))[0].contains("only rensei-kits, rensei-workarea"));
        let renamed = json!([{"name": "yaml_serde", "rename": "serde_yaml"}]);
        assert!(findings("rensei-platform", &renamed)[0].contains("serde_yaml outside its home"));
        assert!(findings("rensei-daemon-core", &renamed).is_empty());
        assert!(findings("rensei-proto", &json!([{"name": "tokio"}]))[0].contains("no runtime"));
    }

    #[test]
    fn the_server_of_the_control_api_is_for_the_daemon_program() {
        let server = json!([{"name": "rensei-control-api", "features": ["server"]}]);
        assert!(findings("rensei-runner", &server)[0].contains("[server]"));
        assert!(findings("rensei-cli", &server).is_empty());
        let always = json!([{"name": "rensei-daemon-core"}]);
        assert!(findings("rensei-control-api", &always)[0].contains("must be optional"));
    }

    #[test]
    fn the_table_has_no_cycle() {
        for (from, uses) in ARROWS {
            for to in *uses {
                let below = ARROWS.iter().position(|(name, _)| name == to).expect("every target has a row");
                let here = ARROWS.iter().position(|(name, _)| name == from).expect("own row");
                assert!(below < here, "{from} -> {to} points upwards");
            }
        }
    }
}
