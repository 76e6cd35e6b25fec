//! Names that only one kit can have.

use super::AmbiguousClaims;
use crate::detect::{Match, shown_root};
use crate::manifest::Manifest;
use crate::target::Target;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A name with all kits that claim it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// `command`, `MCP server`, `agent` or `skill`.
    pub kind: &'static str,
    /// The name.
    pub name: String,
    /// The directory, for a command; empty: the tree itself.
    pub root: String,
    /// Ids of the kits, sorted.
    pub claimants: Vec<String>,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind, self.name)?;
        if self.kind == COMMAND {
            write!(f, " in {}", shown_root(&self.root))?;
        }
        write!(f, " is claimed by {}", self.claimants.join(", "))
    }
}

const COMMAND: &str = "command";

type Names<'a> = BTreeMap<(&'static str, String, &'a str), BTreeSet<String>>;

/// That no name is claimed twice.
pub(super) fn check(matches: &[&Match], target: Target) -> Result<(), AmbiguousClaims> {
    let mut names = Names::new();
    for found in matches {
        let provide = &found.kit.manifest.provide;
        let id = found.kit.id().to_string();
        let mut claim = |kind, name: &str, root| {
            names.entry((kind, name.to_owned(), root)).or_default().insert(id.clone());
        };
        commands(&found.kit.manifest, target).keys().for_each(|name| claim(COMMAND, name, found.root.as_str()));
        provide.mcp_servers.iter().for_each(|server| claim("MCP server", &server.name, ""));
        provide.agents.iter().for_each(|agent| claim("agent", &agent.id, ""));
        provide.skills.iter().filter(|skill| !skill.id.is_empty()).for_each(|skill| claim("skill", &skill.id, ""));
    }
    let several = names.into_iter().filter(|(_, claimants)| claimants.len() > 1);
    let claims: Vec<Claim> = several
        .map(|((kind, name, root), claimants)| Claim {
            kind,
            name,
            root: root.to_owned(),
            claimants: claimants.into_iter().collect(),
        })
        .collect();
    if claims.is_empty() { Ok(()) } else { Err(AmbiguousClaims { claims }) }
}

/// The kit's commands on one operating system. An override counts only for a name that the kit has.
pub(super) fn commands(manifest: &Manifest, target: Target) -> BTreeMap<String, String> {
    let mut commands = manifest.provide.commands.clone();
    for (name, run) in manifest.provide.commands_override.get(target.os).into_iter().flatten() {
        if let Some(command) = commands.get_mut(name) {
            command.clone_from(run);
        }
    }
    commands.retain(|_, run| !run.trim().is_empty());
    commands
}
