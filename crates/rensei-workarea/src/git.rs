//! What git finds around it, and its executable.

mod classify;
mod command;
mod text;

pub(crate) use classify::classify;
pub(crate) use command::{GitCall, GitFailure, REMOTE};
pub(crate) use text::readable;
pub use text::redact;

use crate::repository;
use git2::ConfigLevel;
use rensei_process::find_program;
use rensei_proto::Secret;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest that one call of git may take unless told otherwise.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// Variables that would point git at another repository than the one it is called for.
const FOREIGN: [&str; 15] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Where git is and what it finds in its environment: `HOME`, `PATH`, proxies, ssh agent and so on.
#[derive(Debug, Clone)]
pub struct GitEnvironment {
    /// Whole environment of git, but for what is set to keep it from asking questions.
    pub env: BTreeMap<OsString, OsString>,
    /// The executable; without a `/` it is looked for in the `PATH` of `env`.
    pub program: OsString,
    /// Longest that one call may take.
    pub time_limit: Duration,
}

/// What talks to remotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitImplementation {
    /// The `git` executable at this path.
    Executable(PathBuf),
    /// libgit2, as there is no executable: no ssh and no credential helpers.
    Library,
}

/// How a project's repository wants to be accessed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitHints {
    /// Value for git's `credential.helper`, tried after the user's own ones.
    pub credential_helper: Option<String>,
    /// Private key for ssh remotes.
    pub ssh_key: Option<PathBuf>,
    /// Credentials of the session alone; each is shown to the host of its own repository and to nobody else.
    pub tokens: Vec<GitToken>,
}

/// Credentials for one repository over http or https.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitToken {
    /// URL of the repository.
    pub url: String,
    /// User; empty: `x-access-token`, which the known forges take together with a token.
    pub username: String,
    /// Token or password.
    pub token: Secret,
}

impl GitToken {
    /// Who logs in with it.
    pub(crate) fn user(&self) -> &str {
        if self.username.is_empty() { "x-access-token" } else { &self.username }
    }
}

impl GitHints {
    /// What the session itself has for the repository at `url`: the host that may see it, and the credentials.
    pub(crate) fn token_for(&self, url: &str) -> Option<(String, &GitToken)> {
        let origin = repository::http_origin(url)?;
        let token = self.tokens.iter().find(|token| repository::is_same_place(&token.url, url))?;
        Some((origin, token))
    }
}

impl GitEnvironment {
    /// `git` from the `PATH` of `env`.
    #[must_use]
    pub fn new(env: BTreeMap<OsString, OsString>) -> Self {
        Self { env, program: "git".into(), time_limit: TIME_LIMIT }
    }

    /// What talks to remotes here: the executable if there is one.
    #[must_use]
    pub fn implementation(&self) -> GitImplementation {
        find_program(&self.program, self.get("PATH"))
            .ok()
            .filter(|path| path.is_file())
            .map_or(GitImplementation::Library, GitImplementation::Executable)
    }

    fn get(&self, name: &str) -> Option<&OsStr> {
        self.env.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// A variable as text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.to_string_lossy().into_owned())
    }

    /// Configuration files that git reads, weakest first.
    pub(crate) fn config_files(&self) -> Vec<(PathBuf, ConfigLevel)> {
        let mut files = Vec::new();
        if self.get("GIT_CONFIG_NOSYSTEM").is_none_or(|value| value == "0" || value == "false") {
            files.push((
                self.get("GIT_CONFIG_SYSTEM").unwrap_or(OsStr::new("/etc/gitconfig")).into(),
                ConfigLevel::System,
            ));
        }
        if let Some(global) = self.get("GIT_CONFIG_GLOBAL") {
            files.push((global.into(), ConfigLevel::Global));
            return files;
        }
        files.extend(self.xdg("git/config").map(|path| (path, ConfigLevel::XDG)));
        files.extend(self.get("HOME").map(|home| (Path::new(home).join(".gitconfig"), ConfigLevel::Global)));
        files
    }

    /// Attribute files that git reads besides those of a repository and those that its configuration names.
    pub(crate) fn attribute_files(&self) -> Vec<PathBuf> {
        self.xdg("git/attributes").into_iter().chain(["/etc/gitattributes".into()]).collect()
    }

    fn xdg(&self, file: &str) -> Option<PathBuf> {
        let home = || Some(Path::new(self.get("HOME")?).join(".config"));
        Some(self.get("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home)?.join(file))
    }

    /// The environment that git gets.
    pub(crate) fn composed(&self, hints: &GitHints) -> BTreeMap<OsString, OsString> {
        let mut env = self.env.clone();
        env.retain(|name, _| !FOREIGN.iter().any(|foreign| name == foreign));
        // Nobody is there to answer: every question is an error.
        env.insert("GIT_TERMINAL_PROMPT".into(), "0".into());
        env.insert("GCM_INTERACTIVE".into(), "never".into());
        for (name, value) in [("SSH_ASKPASS_REQUIRE", "force"), ("SSH_ASKPASS", "false")] {
            env.entry(name.into()).or_insert_with(|| value.into());
        }
        // Messages are read by us.
        env.insert("LC_ALL".into(), "C".into());
        env.insert("LANGUAGE".into(), "".into());
        if let Some(key) = &hints.ssh_key {
            let mut command = OsString::from("ssh -o IdentitiesOnly=yes -o BatchMode=yes -i ");
            command.push(quoted(key));
            env.insert("GIT_SSH_COMMAND".into(), command);
        }
        env
    }
}

/// A path as one word of a shell command.
fn quoted(path: &Path) -> OsString {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_asks_nobody_and_stays_where_it_is_sent() {
        let given = [("GIT_DIR", "/x"), ("HOME", "/h"), ("SSH_ASKPASS", "mine"), ("GIT_TERMINAL_PROMPT", "1")];
        let env = given.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let hints = GitHints { ssh_key: Some("/k/it's".into()), ..GitHints::default() };
        let composed = GitEnvironment::new(env).composed(&hints);
        let get = |name: &str| composed.get(OsStr::new(name)).and_then(|value| value.to_str());
        assert_eq!((get("GIT_DIR"), get("HOME"), get("SSH_ASKPASS")), (None, Some("/h"), Some("mine")));
        assert_eq!((get("GIT_TERMINAL_PROMPT"), get("LC_ALL")), (Some("0"), Some("C")));
        assert!(get("GIT_SSH_COMMAND").unwrap().ends_with(r"-i '/k/it'\''s'"));
    }

    #[test]
    fn configuration_is_found_like_git_does() {
        let files = |given: &[(&str, &str)]| -> Vec<String> {
            let env = given.iter().map(|(name, value)| (name.into(), value.into())).collect();
            GitEnvironment::new(env).config_files().into_iter().map(|(path, _)| path.display().to_string()).collect()
        };
        assert_eq!(files(&[("HOME", "/h")]), ["/etc/gitconfig", "/h/.config/git/config", "/h/.gitconfig"]);
        assert_eq!(files(&[("HOME", "/h"), ("GIT_CONFIG_GLOBAL", "/g"), ("GIT_CONFIG_NOSYSTEM", "1")]), ["/g"]);
        assert_eq!(files(&[("XDG_CONFIG_HOME", "/x"), ("GIT_CONFIG_SYSTEM", "/s")]), ["/s", "/x/git/config"]);
    }
}
