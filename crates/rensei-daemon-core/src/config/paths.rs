//! Paths in the file: written in full, or from the home directory on.

use std::path::PathBuf;

/// `text` as an absolute path. `home` is what `~/` stands for.
///
/// # Errors
/// What is wrong with it and what to write instead.
pub(super) fn resolve(text: &str, home: Option<&str>) -> Result<PathBuf, String> {
    if text.starts_with('/') {
        return Ok(PathBuf::from(text));
    }
    if text == "~" || text.starts_with("~/") {
        let home = home.filter(|home| home.starts_with('/'));
        let home = home.ok_or("starts with `~`, but HOME is not set to an absolute path: write it in full")?;
        return Ok(PathBuf::from(home).join(text.trim_start_matches('~').trim_start_matches('/')));
    }
    if text.starts_with('~') {
        return Err(format!("is `{text}`: only `~/` is expanded, write the path in full"));
    }
    Err(format!(
        "is the relative path `{text}`: a host has no working directory that stays, write it in full or from `~/` on"
    ))
}

/// A repository: URLs, scp-like addresses and `owner/name` stay as they are, local paths become absolute.
///
/// # Errors
/// As [`resolve`].
pub(super) fn repository(text: &str, home: Option<&str>) -> Result<String, String> {
    let is_local = text.starts_with(['/', '~', '.']);
    if is_local { resolve(text, home).map(text_of) } else { Ok(text.to_owned()) }
}

/// A credential helper: a name or a shell command (`!…`) stays as it is, the path of a program becomes absolute.
///
/// # Errors
/// As [`resolve`].
pub(super) fn credential_helper(text: &str, home: Option<&str>) -> Result<String, String> {
    let (program, arguments) = text.split_once(' ').map_or((text, None), |(program, rest)| (program, Some(rest)));
    if text.starts_with('!') || !program.contains('/') {
        return Ok(text.to_owned());
    }
    let program = text_of(resolve(program, home)?);
    Ok(arguments.map_or_else(|| program.clone(), |arguments| format!("{program} {arguments}")))
}

/// Lossless: the path was made of text.
pub(super) fn text_of(path: PathBuf) -> String {
    path.into_os_string().into_string().unwrap_or_else(|path| path.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_paths_are_absolute_or_from_home_on() {
        let home = Some("/u");
        assert_eq!(resolve("/a/b", None), Ok("/a/b".into()));
        assert_eq!(resolve("~/a", home), Ok("/u/a".into()));
        assert_eq!(resolve("~", home), Ok("/u".into()));
        // An absolute tail must not replace the home directory.
        assert_eq!(resolve("~//etc", home), Ok("/u/etc".into()));
        assert!(resolve("~/a", None).unwrap_err().contains("HOME"));
        assert!(resolve("~/a", Some("rel")).unwrap_err().contains("HOME"));
        assert!(resolve("~other/a", home).unwrap_err().contains("only `~/`"));
        assert!(resolve("a/b", home).unwrap_err().contains("relative path `a/b`"));
    }

    #[test]
    fn config_repositories_and_helpers_keep_what_is_no_path() {
        let home = Some("/u");
        for kept in ["https://x.y/a", "git@h:o/r.git", "owner/name", "file:///srv/a", "ssh://h/a"] {
            assert_eq!(repository(kept, home), Ok(kept.to_owned()));
        }
        assert_eq!(repository("~/r", home), Ok("/u/r".to_owned()));
        assert!(repository("./r", home).is_err() && repository("../r", home).is_err());
        for kept in ["cache", "osxkeychain", "cache --timeout=9", "!f() { echo a/b; }; f", "/usr/bin/h"] {
            assert_eq!(credential_helper(kept, home), Ok(kept.to_owned()));
        }
        assert_eq!(credential_helper("~/bin/h --x a/b", home), Ok("/u/bin/h --x a/b".to_owned()));
        assert!(credential_helper("bin/h", home).is_err());
    }
}
