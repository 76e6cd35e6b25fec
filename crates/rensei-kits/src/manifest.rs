//! What a kit says about itself: every table of `*.kit.toml`.

mod check;
mod parse;
mod place;

pub use parse::{MAX_MANIFEST_BYTES, ManifestError, ManifestWarning};

use crate::names::KitId;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// A manifest whose types, names, paths and patterns have been checked.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// Version of the format. Free text.
    pub api: String,
    /// Who the kit is.
    pub kit: Identity,
    /// Where it works.
    pub supports: Supports,
    /// What it needs of the host.
    pub requires: Requires,
    /// When it applies.
    pub detect: Detect,
    /// What it contributes.
    pub provide: Provide,
    /// How it goes with other kits.
    pub composition: CompositionRules,
    /// What other kits may depend on.
    pub provides: Provides,
    /// What it needs of other kits.
    pub depends_on: DependsOn,
    /// SHA-256 of files that it brings, by path: the manifest's signature covers them too.
    pub files: BTreeMap<String, String>,
}

/// `[kit]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// Its name among all kits. Required.
    pub id: KitId,
    /// Its version; a semantic one, or it is mentioned.
    pub version: String,
    /// Its name for people.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Who made it.
    pub author: String,
    /// The same as an identity, such as a DID.
    #[serde(rename = "authorIdentity")]
    pub author_identity: String,
    /// SPDX expression.
    pub license: String,
    /// Page for people.
    pub homepage: String,
    /// Where it is developed.
    pub repository: String,
    /// Higher goes first within its order group.
    pub priority: i64,
}

/// `[supports]`; an empty list means any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Supports {
    /// `linux`, `macos`, `windows`.
    pub os: Vec<String>,
    /// `x86_64`, `arm64`.
    pub arch: Vec<String>,
}

/// `[requires]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Requires {
    /// Range of versions of the kit contract, see [`CONTRACT_VERSION`](crate::CONTRACT_VERSION).
    pub rensei: String,
    /// Shown, never evaluated.
    pub capabilities: Vec<String>,
}

/// `[detect]`. Everything that is given must hold; without `files`, `files_all` and `content_matches` nothing matches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Detect {
    /// At least one of these exists: paths or globs.
    pub files: Vec<String>,
    /// All of these exist.
    pub files_all: Vec<String>,
    /// None of these exists.
    pub not_files: Vec<String>,
    /// Shell command that has the last word.
    pub exec: String,
    /// Tools that the kit works with, and their versions.
    pub toolchain: BTreeMap<String, String>,
    /// What files say.
    pub content_matches: Vec<ContentMatch>,
}

/// One entry of `detect.content_matches`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ContentMatch {
    /// Path without wildcards.
    pub file: String,
    /// A value that exists in a JSON or TOML file, such as `$.dependencies.next`.
    pub json_path: String,
    /// Text that the file holds.
    pub contains: String,
}

/// `[provide]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Provide {
    /// Shell commands by name: `build`, `test`, `validate`.
    pub commands: BTreeMap<String, String>,
    /// Others for one operating system.
    pub commands_override: BTreeMap<String, BTreeMap<String, String>>,
    /// Commands that install the tools, by operating system and key.
    pub toolchain_install: BTreeMap<String, BTreeMap<String, String>>,
    /// Commands at the ends of a session.
    pub hooks: Hooks,
    /// Commands that the agent may run.
    pub tool_permissions: Vec<ToolPermission>,
    /// What the agent is told.
    pub prompt_fragments: Vec<PromptFragment>,
    /// Skills, as files with front matter.
    pub skills: Vec<SkillFile>,
    /// Servers of the model context protocol.
    pub mcp_servers: Vec<McpServer>,
    /// Agents.
    pub agents: Vec<Agent>,
    /// Skills of remote agents.
    pub a2a_skills: Vec<A2aSkill>,
    /// Extractors of code intelligence.
    pub intelligence_extractors: Vec<Extractor>,
    /// Directories of a workarea.
    pub workarea_config: WorkareaConfig,
    /// Kinds of machines that parts of the kit need.
    pub lanes: Vec<Lane>,
}

/// `[provide.hooks]`: a shell command, or the path of a script that the kit brings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Hooks {
    /// Before the agent starts.
    pub post_acquire: String,
    /// After its work was published.
    pub pre_release: String,
    /// Others for one operating system.
    pub os: BTreeMap<String, OsHooks>,
}

/// `[provide.hooks.os.<os>]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct OsHooks {
    /// Replaces the generic one unless empty.
    pub post_acquire: String,
    /// Replaces the generic one unless empty.
    pub pre_release: String,
}

/// One entry of `provide.tool_permissions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ToolPermission {
    /// Pattern of a shell command, such as `cargo *`.
    pub shell: String,
}

/// One entry of `provide.prompt_fragments`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PromptFragment {
    /// Its name.
    pub partial: String,
    /// Types of work that it is for; none: all.
    pub when: Vec<String>,
    /// File with its text.
    pub file: String,
    /// Its text itself.
    pub text: String,
}

/// One entry of `provide.skills`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SkillFile {
    /// A `SKILL.md`.
    pub file: String,
    /// Its name.
    pub id: String,
}

/// One entry of `provide.mcp_servers`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct McpServer {
    /// Its name.
    pub name: String,
    /// Program that speaks on its standard streams.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// What it is for.
    pub description: String,
}

/// One entry of `provide.agents`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Agent {
    /// Its name.
    pub id: String,
    /// File with its template.
    pub template: String,
    /// Types of work that it is for.
    pub work_types: Vec<String>,
}

/// One entry of `provide.a2a_skills`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct A2aSkill {
    /// Its name.
    pub id: String,
    /// What it does.
    pub description: String,
    /// Where it is.
    pub endpoint: String,
}

/// One entry of `provide.intelligence_extractors`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Extractor {
    /// Its name.
    pub name: String,
    /// Language that it reads.
    pub language: String,
    /// Kinds of facts that it finds.
    pub emits: Vec<String>,
}

/// `[provide.workarea_config]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct WorkareaConfig {
    /// Directories that the next session must not find.
    pub clean_dirs: Vec<String>,
    /// Directories worth keeping.
    pub preserve_dirs: Vec<String>,
}

/// One entry of `provide.lanes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Lane {
    /// Its name.
    pub name: String,
    /// Operating systems that it runs on.
    pub os: Vec<String>,
    /// Architectures that it runs on.
    pub arch: Vec<String>,
}

/// `[composition]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CompositionRules {
    /// `foundation`, `framework`, `project`; anything else counts as the last.
    pub order: String,
    /// Kits that must not apply to the same files.
    pub conflicts_with: Vec<String>,
    /// Kits that it goes well with. Shown, never evaluated.
    pub composes_with: Vec<String>,
}

/// `[provides]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Provides {
    /// Free names that `depends_on.capabilities` of other kits may use.
    pub capabilities: Vec<String>,
}

/// `[depends_on]`: the kit applies only where all of these do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DependsOn {
    /// Ids of kits.
    pub kits: Vec<String>,
    /// Capabilities that some other kit provides.
    pub capabilities: Vec<String>,
}

/// When a kit has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// A language and its tools. One per directory.
    Foundation,
    /// What is built on a foundation.
    Framework,
    /// Everything else.
    Project,
}

impl CompositionRules {
    /// The group that the kit belongs to.
    #[must_use]
    pub fn group(&self) -> Order {
        match self.order.as_str() {
            "foundation" => Order::Foundation,
            "framework" => Order::Framework,
            _ => Order::Project,
        }
    }
}

impl Manifest {
    /// Paths of all files that the kit brings, sorted.
    pub(crate) fn brought_files(&self) -> Vec<String> {
        let provide = &self.provide;
        let mut files: BTreeSet<String> = self.files.keys().cloned().collect();
        files.extend(provide.prompt_fragments.iter().map(|fragment| fragment.file.clone()));
        files.extend(provide.skills.iter().map(|skill| skill.file.clone()));
        let hooks = &provide.hooks;
        let all = [&hooks.post_acquire, &hooks.pre_release].into_iter();
        let all = all.chain(hooks.os.values().flat_map(|hooks| [&hooks.post_acquire, &hooks.pre_release]));
        files.extend(all.filter_map(|run| hook_script(run)));
        files.retain(|file| crate::names::is_relative(file));
        files.into_iter().collect()
    }
}

/// The script that a hook names, if it does not hold a command itself.
pub(crate) fn hook_script(run: &str) -> Option<String> {
    let path = run.replace('\\', "/");
    let is_script = !run.contains(char::is_whitespace) && [".sh", ".cmd", ".ps1"].iter().any(|end| path.ends_with(end));
    is_script.then_some(path)
}
