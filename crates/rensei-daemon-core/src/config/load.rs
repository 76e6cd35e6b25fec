//! Reading and checking the file.

use super::model::Config;
use rensei_proto::Secret;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Largest file that is read.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// What the machine itself contributes where the file is silent.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// Host name, from which a missing `machine.id` is derived.
    pub hostname: String,
    /// Processors; without a file, half as many sessions run at once, 1 to 8.
    pub cpus: usize,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is larger than any configuration.
    #[error("{} is larger than 4 MiB", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not YAML, or a key has a value of the wrong kind.
    #[error("{}{}", path.display(), location.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line and column, from 1.
        location: Option<(usize, usize)>,
        /// Key and reason.
        #[source]
        source: serde_yaml::Error,
    },
    /// A key has a value that makes no sense.
    #[error("{}{}: `{key}` {problem}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line of the key, from 1, when it could be found.
        line: Option<usize>,
        /// Path of the key, such as `projects[1].id`.
        key: String,
        /// What is wrong and what is allowed.
        problem: String,
    },
}

/// Reads `path`. A missing file is a host with defaults and nothing to serve.
///
/// # Errors
/// [`ConfigError`], which names the file, the line and the key.
pub fn load(path: &Path, env: &BTreeMap<String, String>, defaults: &Defaults) -> Result<Config, ConfigError> {
    let mut config = match read(path)? {
        Some(text) => {
            let config = parse(path, &text)?;
            check(path, &text, &config)?;
            config
        }
        None => without_file(env, defaults),
    };
    if config.machine.id.is_empty() {
        config.machine.id = label(&defaults.hostname);
    }
    apply_environment(&mut config, env);
    Ok(config)
}

fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(meta) if meta.len() > MAX_BYTES => return Err(ConfigError::TooLarge { path: path.to_owned() }),
        Ok(_) => {}
    }
    fs::read_to_string(path).map(Some).map_err(failed)
}

fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
    if text.trim().is_empty() {
        return Ok(Config::default());
    }
    serde_yaml::from_str(text).map_err(|source| ConfigError::Parse {
        path: path.to_owned(),
        location: source.location().map(|at| (at.line(), at.column())),
        source,
    })
}

fn without_file(env: &BTreeMap<String, String>, defaults: &Defaults) -> Config {
    let mut config = Config::default();
    let half = u32::try_from(defaults.cpus / 2).unwrap_or(8);
    config.capacity.max_concurrent_sessions = Some(half.clamp(1, 8));
    if let Some(url) = first_set(env, ["RENSEI_ORCHESTRATOR_URL", "DONMAI_ORCHESTRATOR_URL"]) {
        config.orchestrator = Some(super::Orchestrator { url: url.to_owned(), auth_token: None });
    }
    config
}

/// Checks that serde cannot express.
fn check(path: &Path, text: &str, config: &Config) -> Result<(), ConfigError> {
    let invalid = |key: String, word: &str, nth: usize, problem: &str| ConfigError::Invalid {
        path: path.to_owned(),
        line: nth_line_of_key(text, word, nth),
        key,
        problem: problem.to_owned(),
    };
    for (index, project) in config.projects.iter().enumerate() {
        if project.id.trim().is_empty() {
            return Err(invalid(format!("projects[{index}].id"), "projects", 0, "is missing or empty"));
        }
        if project.repository.trim().is_empty() {
            let problem = "is missing or empty; give a URL or an absolute path";
            return Err(invalid(format!("projects[{index}].repository"), "id", index, problem));
        }
    }
    if let Some(orchestrator) = &config.orchestrator {
        let known = ["http://", "https://", "file://"];
        if !known.iter().any(|scheme| orchestrator.url.starts_with(scheme)) {
            let problem = "must start with http://, https:// or file:// (none: remove `orchestrator`)";
            return Err(invalid("orchestrator.url".to_owned(), "url", 0, problem));
        }
    }
    Ok(())
}

/// Line of the `nth` occurrence of `key:` in the text. Good enough to point a person at the place.
fn nth_line_of_key(text: &str, key: &str, nth: usize) -> Option<usize> {
    let names_key = |line: &str| {
        let line = line.trim_start().trim_start_matches("- ").trim_start();
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'))
    };
    text.lines().enumerate().filter(|(_, line)| names_key(line)).nth(nth).map(|(index, _)| index + 1)
}

fn apply_environment(config: &mut Config, env: &BTreeMap<String, String>) {
    let Some(orchestrator) = &mut config.orchestrator else { return };
    if let Some(token) = &orchestrator.auth_token {
        orchestrator.auth_token = Some(Secret::from(expand(token.expose(), env)));
    }
    if let Some(token) = first_set(env, ["RENSEI_DAEMON_TOKEN", "DONMAI_DAEMON_TOKEN"]) {
        orchestrator.auth_token = Some(Secret::from(token));
    }
}

fn first_set<'a>(env: &'a BTreeMap<String, String>, names: [&str; 2]) -> Option<&'a str> {
    names.into_iter().filter_map(|name| env.get(name)).map(String::as_str).find(|value| !value.is_empty())
}

/// Replaces each `${NAME}` whose variable exists; others stay as they are.
fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, tail) = rest.split_at(start);
        out.push_str(before);
        let Some(end) = tail.find('}') else {
            return out + tail;
        };
        let value = env.get(&tail[2..end]).map_or(&tail[..=end], String::as_str);
        out.push_str(value);
        rest = &tail[end + 1..];
    }
    out + rest
}

/// A host name as a label: lower case, `[a-z0-9-]`, no repeated or outer dashes.
fn label(hostname: &str) -> String {
    let mapped: String =
        hostname.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let parts: Vec<_> = mapped.split('-').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "local-machine".to_owned() } else { parts.join("-") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Defaults {
        Defaults { hostname: "Big_Mac..local".to_owned(), cpus: 6 }
    }

    fn load_text(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.yaml");
        fs::write(&path, text).unwrap();
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        load(&path, &env, &defaults())
    }

    fn chain(error: &dyn std::error::Error) -> String {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }

    #[test]
    fn full_file() {
        let config = load_text(
            "apiVersion: rensei.dev/v1\nkind: LocalDaemon\nmachine: {id: m1, region: home}\ncapacity:\n  maxConcurrentSessions: 0\nprojects:\n\
             - id: a\n  repository: https://x.y/a\n  cloneStrategy: reference-clone\n  git: {sshKey: /k}\n- id: b\n  repoUrl: /srv/b\n\
             orchestrator:\n  url: http://127.0.0.1:1\n  authToken: ${TOKEN}-x\nfuture: {a: 1}\n",
            &[("TOKEN", "rsp_live_1")],
        )
        .unwrap();
        assert_eq!((config.machine.id.as_str(), config.max_sessions()), ("m1", 0));
        assert_eq!(config.projects[1].repository, "/srv/b");
        assert_eq!(config.orchestrator.unwrap().auth_token.unwrap().expose(), "rsp_live_1-x");
        assert_eq!(config.auto_update.drain_timeout_seconds, 600);
    }

    #[test]
    fn environment_wins_over_the_file_and_a_missing_variable_stays() {
        let text = "orchestrator: {url: 'http://h', authToken: '${NOPE}'}";
        let token = |env: &[(&str, &str)]| {
            load_text(text, env).unwrap().orchestrator.unwrap().auth_token.unwrap().expose().to_owned()
        };
        assert_eq!(token(&[]), "${NOPE}");
        assert_eq!(token(&[("DONMAI_DAEMON_TOKEN", "d")]), "d");
        assert_eq!(token(&[("DONMAI_DAEMON_TOKEN", "d"), ("RENSEI_DAEMON_TOKEN", "r")]), "r");
    }

    #[test]
    fn no_file_is_a_local_host() {
        let config = load(Path::new("/nonexistent/daemon.yaml"), &BTreeMap::new(), &defaults()).unwrap();
        assert_eq!((config.machine.id.as_str(), config.max_sessions()), ("big-mac-local", 3));
        assert!(config.orchestrator.is_none());
    }

    #[test]
    fn errors_name_file_line_key_and_what_is_allowed() {
        let cases = [
            ("machine: [", &["daemon.yaml:"][..]),
            (
                "machine: {id: m}\nprojects:\n- id: a\n  repository: r\n  cloneStrategy: deep\n",
                &["daemon.yaml:5:", "projects[0].cloneStrategy", "`deep`", "`shallow`", "`full`", "`reference-clone`"],
            ),
            ("capacity:\n  maxConcurrentSessions: -1\n", &["daemon.yaml:2:", "maxConcurrentSessions"]),
            ("projects:\n- id: a\n", &["daemon.yaml:2:", "projects[0].repository", "missing"]),
            ("projects:\n- repository: a\n", &["daemon.yaml:1:", "projects[0].id"]),
            ("machine: {id: m}\norchestrator:\n  url: ftp://x\n", &["daemon.yaml:3:", "orchestrator.url", "https://"]),
            ("control:\n  auth: nobody\n", &["daemon.yaml:2:", "control.auth", "same-user"]),
        ];
        for (text, expected) in cases {
            let message = chain(&load_text(text, &[]).unwrap_err());
            for word in expected {
                assert!(message.contains(word), "{text:?}: {message} lacks {word}");
            }
        }
    }
}
