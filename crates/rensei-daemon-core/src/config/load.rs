//! Reading the file.

use super::error::ConfigError;
use super::model::{Config, TokenSource};
use super::raw::RawConfig;
use super::resolve;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
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

/// A configuration that can be used, and what is odd about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What a person should know, in the order of the file.
    pub warnings: Vec<ConfigWarning>,
}

/// Something that works, but should not stay as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigWarning {
    /// Path of the key; empty for the file as a whole.
    pub key: String,
    /// What is odd.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// Reads `path` and logs what is odd about it. A missing file is a host with defaults and nothing to serve.
///
/// `env` is the environment that tokens, `${VAR}` and `HOME` are taken from.
///
/// # Errors
/// [`ConfigError`], which names the file, the place and the key.
pub fn load(path: &Path, env: &BTreeMap<String, String>, defaults: &Defaults) -> Result<Config, ConfigError> {
    let loaded = inspect(path, env, defaults)?;
    for warning in &loaded.warnings {
        let ConfigWarning { key, message, hint } = warning;
        tracing::warn!(path = %path.display(), key, hint, "{message}");
    }
    Ok(loaded.config)
}

/// As [`load`], but hands the warnings to the caller.
///
/// # Errors
/// As [`load`].
pub fn inspect(path: &Path, env: &BTreeMap<String, String>, defaults: &Defaults) -> Result<Loaded, ConfigError> {
    let Some((text, access)) = read(path)? else {
        return Ok(Loaded { config: resolve::without_file(env, defaults), warnings: Vec::new() });
    };
    let mut loaded = parse(path, &text, env, defaults)?;
    loaded.warnings.extend(exposed(path, access, &loaded.config));
    Ok(loaded)
}

/// Understands `text` as the content of `path`, which is only named.
///
/// # Errors
/// [`ConfigError::Parse`] and [`ConfigError::Invalid`].
pub(super) fn parse(
    path: &Path,
    text: &str,
    env: &BTreeMap<String, String>,
    defaults: &Defaults,
) -> Result<Loaded, ConfigError> {
    let raw = match text {
        _ if blank(text) => None,
        _ if text.contains("<<") => merged(path, text)?,
        _ => from_yaml(path, text)?,
    };
    resolve::resolve(raw.unwrap_or_default(), resolve::Source { path, text, env, defaults })
}

/// Who may do what with a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access {
    owner: u32,
    mode: u32,
    /// Who this process acts as.
    me: u32,
}

/// Content, and who has access to it; none without a file.
///
/// # Errors
/// [`ConfigError::Read`] and [`ConfigError::TooLarge`].
pub(super) fn read(path: &Path) -> Result<Option<(String, Access)>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let mut text = String::new();
    // One byte more than allowed: the file may grow after its size was looked at.
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    let me = rustix::process::geteuid().as_raw();
    Ok(Some((text, Access { owner: meta.uid(), mode: meta.mode(), me })))
}

/// Reads any value out of YAML.
///
/// # Errors
/// [`ConfigError::Parse`].
pub(super) fn from_yaml<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    serde_yaml::from_str(text).map_err(|error| {
        let location = error.location().map(|at| (at.line(), at.column()));
        let mut problem = error.to_string();
        if let Some((line, column)) = location {
            // Said once, in front, where terminals and editors look for it.
            let said = format!(" at line {line} column {column}");
            problem = problem.replacen(&said, "", 1);
        }
        ConfigError::Parse { path: path.to_owned(), location, problem }
    })
}

/// Reads a file that may use merge keys (`<<: *defaults`).
fn merged(path: &Path, text: &str) -> Result<Option<RawConfig>, ConfigError> {
    // First as if there were none: this way most mistakes have a place.
    from_yaml::<Option<RawConfig>>(path, text)?;
    let mut value: serde_yaml::Value = from_yaml(path, text)?;
    let merged = value.apply_merge().and_then(|()| serde_yaml::from_value(value));
    merged.map_err(|error| ConfigError::Parse { path: path.to_owned(), location: None, problem: error.to_string() })
}

/// Keys at the top of a text that was understood, in its order. What is no text is no key.
pub(super) fn top_keys(text: &str) -> Vec<String> {
    let tree: serde_yaml::Mapping = serde_yaml::from_str(text).unwrap_or_default();
    tree.keys().filter_map(|key| key.as_str().map(str::to_owned)).collect()
}

/// Whether there is no document at all.
pub(super) fn blank(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#'))
}

/// A file that others can change decides what runs here; one that others can read gives the token away.
pub(super) fn exposed(path: &Path, access: Access, config: &Config) -> Option<ConfigWarning> {
    let Access { owner, mode, me } = access;
    let file = shell_word(&path.to_string_lossy());
    let warning = |message: &str, hint| Some(ConfigWarning { key: String::new(), message: message.to_owned(), hint });
    // What root owns is as safe as the machine is.
    if owner != me && owner != 0 {
        let message = "the configuration belongs to another user, who can change it, and with it what runs here";
        return warning(message, format!("sudo chown {me} {file} && sudo chmod 600 {file}"));
    }
    let literal = config.orchestrator.as_ref().is_some_and(|o| o.token_source == TokenSource::File);
    let message = match (mode & 0o022 != 0, mode & 0o044 != 0 && literal) {
        (true, _) => "other users can change the configuration, and with it what runs here",
        (false, true) => "other users can read the configuration, and it holds a registration token",
        (false, false) => return None,
    };
    warning(message, format!("chmod 600 {file}"))
}

/// `text` as one word of a shell command.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '~');
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
#[path = "load/tests.rs"]
mod tests;
