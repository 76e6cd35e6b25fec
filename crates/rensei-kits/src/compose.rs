//! What the kits that apply amount to together.
//!
//! The result depends on the kits alone, not on the order in which they were found. A name that several kits claim for one
//! directory is nobody's: neither order nor priority decides, the operator does by disabling one of them.

mod claims;
mod files;

pub use claims::Claim;

use crate::detect::{Detection, Match};
use crate::manifest::Manifest;
use crate::target::Target;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Everything that applies in a tree.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Composition {
    /// The kits, in their order.
    pub kits: Vec<Applied>,
    /// Tools and the versions that kits name for them, each with its kit.
    pub toolchain: Vec<Tool>,
    /// Named commands.
    pub commands: Vec<Command>,
    /// What the agent is told, in order.
    pub prompt: Vec<Text>,
    /// Skills, in order.
    pub skills: Vec<Skill>,
    /// Patterns of commands that the agent may run, sorted.
    pub allowed_shell: Vec<String>,
    /// Patterns that skills rule out, sorted.
    pub disallowed_shell: Vec<String>,
    /// Servers of the model context protocol by name.
    pub mcp_servers: BTreeMap<String, McpServer>,
    /// Names of agents, each with its kit.
    pub agents: BTreeMap<String, String>,
    /// Run before the agent starts.
    pub post_acquire: Vec<Hook>,
    /// Run after its work was published.
    pub pre_release: Vec<Hook>,
    /// Commands that would install the tools. For people and for images: a host does not run them.
    pub toolchain_install: Vec<Hook>,
    /// Directories that the next session must not find.
    pub clean_dirs: Vec<String>,
    /// What could not be used, and why.
    pub warnings: Vec<String>,
}

/// A kit that applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// The directory that it applies to; empty: the tree itself.
    pub root: String,
    /// How sure that is, in percent.
    pub confidence: u8,
    /// What was found.
    pub reasons: Vec<String>,
}

/// A tool with its version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What the kit names.
    pub version: String,
    /// Id of the kit.
    pub kit: String,
}

/// A named command.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Command {
    /// The directory to run it in; empty: the tree itself.
    pub root: String,
    /// Its name.
    pub name: String,
    /// For a shell.
    pub run: String,
    /// Id of the kit.
    pub kit: String,
}

/// A text for the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Text {
    /// The directory that it is about.
    pub root: String,
    /// Its name.
    pub name: String,
    /// The text, trimmed.
    pub text: String,
    /// Id of the kit.
    pub kit: String,
}

/// A skill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skill {
    /// Its name.
    pub id: String,
    /// The text without its front matter.
    pub text: String,
    /// Id of the kit.
    pub kit: String,
}

/// How to start a server of the model context protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct McpServer {
    /// Program.
    pub command: String,
    /// Arguments.
    pub args: Vec<String>,
    /// Environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// A command of a kit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hook {
    /// The directory to run it in; empty: the tree itself.
    pub root: String,
    /// For a shell.
    pub run: String,
    /// The script, when it is one that the kit brings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<PathBuf>,
    /// Id of the kit.
    pub kit: String,
}

/// For what a composition is made.
#[derive(Debug, Clone, Copy)]
pub struct Purpose<'a> {
    /// The machine.
    pub target: Target,
    /// Type of work of the session; empty: all fragments.
    pub work_type: &'a str,
    /// Whether files that the manifest gives no digest of may be used.
    pub unsigned_files: bool,
}

/// Several kits claim the same name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", claims.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct AmbiguousClaims {
    /// All such names, sorted.
    pub claims: Vec<Claim>,
}

impl AmbiguousClaims {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let kit = self.claims.first()?.claimants.last()?;
        Some(format!("disable one of them: rensei kit disable {kit}"))
    }
}

impl Composition {
    /// Composes the matches of a detection. Reads the files that kits bring, so it blocks.
    ///
    /// # Errors
    /// [`AmbiguousClaims`] when kits claim the same command of one directory, or the same server, agent or skill.
    pub fn of(detection: &Detection, purpose: Purpose<'_>) -> Result<Self, AmbiguousClaims> {
        let matches = sorted(&detection.matches);
        claims::check(&matches, purpose.target)?;
        let mut composed = Self::default();
        for found in &matches {
            composed.add(found, purpose);
        }
        composed.finish();
        Ok(composed)
    }

    fn add(&mut self, found: &Match, purpose: Purpose<'_>) {
        let (kit, manifest) = (&*found.kit, &found.kit.manifest);
        let id = kit.id().to_string();
        self.kits.push(Applied {
            id: id.clone(),
            version: manifest.kit.version.clone(),
            root: found.root.clone(),
            confidence: found.confidence,
            reasons: found.reasons.clone(),
        });
        let tools = manifest.detect.toolchain.iter();
        self.toolchain.extend(tools.map(|(name, version)| Tool {
            name: name.clone(),
            version: version.clone(),
            kit: id.clone(),
        }));
        let commands = claims::commands(manifest, purpose.target).into_iter();
        self.commands.extend(commands.map(|(name, run)| Command {
            root: found.root.clone(),
            name,
            run,
            kit: id.clone(),
        }));
        let provide = &manifest.provide;
        self.allowed_shell.extend(provide.tool_permissions.iter().map(|entry| entry.shell.clone()));
        for server in &provide.mcp_servers {
            let (command, args, env) = (server.command.clone(), server.args.clone(), server.env.clone());
            self.mcp_servers.insert(server.name.clone(), McpServer { command, args, env });
        }
        self.agents.extend(provide.agents.iter().map(|agent| (agent.id.clone(), id.clone())));
        let clean = provide.workarea_config.clean_dirs.iter().filter(|dir| crate::names::is_relative(dir));
        self.clean_dirs.extend(clean.map(|dir| join(&found.root, dir)));
        self.add_hooks(found, purpose);
        files::add_texts(self, kit, &found.root, purpose);
    }

    fn add_hooks(&mut self, found: &Match, purpose: Purpose<'_>) {
        let provide = &found.kit.manifest.provide;
        let install = provide.toolchain_install.get(purpose.target.os);
        for run in install.into_iter().flat_map(BTreeMap::values).filter(|run| !run.trim().is_empty()) {
            // The same text of two kits would do the same thing twice.
            if !self.toolchain_install.iter().any(|other| other.run == *run) {
                self.toolchain_install.push(hook(found, run));
            }
        }
        let (acquire, release) = hooks(&found.kit.manifest, purpose.target);
        for (run, pre_release) in [(acquire, false), (release, true)] {
            if run.trim().is_empty() {
                continue;
            }
            match files::script(&found.kit, run, purpose) {
                Ok(script) => {
                    let list = if pre_release { &mut self.pre_release } else { &mut self.post_acquire };
                    list.push(Hook { script, ..hook(found, run) });
                }
                Err(warning) => self.warnings.push(warning),
            }
        }
    }

    fn finish(&mut self) {
        for list in [&mut self.allowed_shell, &mut self.disallowed_shell, &mut self.clean_dirs] {
            *list = std::mem::take(list)
                .into_iter()
                .filter(|entry| !entry.is_empty())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
        }
        self.toolchain.sort();
        self.toolchain.dedup();
        self.commands.sort();
    }
}

fn sorted(matches: &[Match]) -> Vec<&Match> {
    let mut sorted: Vec<&Match> = matches.iter().collect();
    sorted.sort_by_key(|found| {
        let manifest = &found.kit.manifest;
        (manifest.composition.group(), -i128::from(manifest.kit.priority), found.kit.id(), &found.root)
    });
    sorted
}

fn hook(found: &Match, run: &str) -> Hook {
    Hook { root: found.root.clone(), run: run.to_owned(), script: None, kit: found.kit.id().to_string() }
}

/// The hooks for one operating system.
fn hooks(manifest: &Manifest, target: Target) -> (&str, &str) {
    let hooks = &manifest.provide.hooks;
    let own = hooks.os.get(target.os);
    let acquire = own.map(|own| own.post_acquire.as_str()).filter(|run| !run.is_empty());
    let release = own.map(|own| own.pre_release.as_str()).filter(|run| !run.is_empty());
    (acquire.unwrap_or(&hooks.post_acquire), release.unwrap_or(&hooks.pre_release))
}

fn join(root: &str, path: &str) -> String {
    if root.is_empty() { path.to_owned() } else { format!("{root}/{path}") }
}

#[cfg(test)]
mod tests;
