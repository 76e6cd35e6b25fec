//! Where the daemon of this user keeps its state.

use crate::env::Environment;
use crate::error::{CommandError, CommandResult};
use crate::output::text;
use rustix::fs::{Access, access};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The state root and what to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateRoot {
    /// Absolute path.
    pub(crate) path: PathBuf,
    /// Set when the directory of the predecessor is used.
    pub(crate) warning: Option<String>,
}

/// Finds the state root: `RENSEI_HOME`, else `~/.rensei`, else an existing `~/.donmai`. Makes nothing.
pub(crate) fn resolve(env: &Environment) -> CommandResult<StateRoot> {
    if let Some(path) = env.get_os("RENSEI_HOME") {
        return from_variable(Path::new(path));
    }
    let home = env.get_os("HOME").map(Path::new).filter(|home| home.is_absolute());
    let Some(home) = home else {
        return Err(CommandError::usage("no home directory: HOME is not set to an absolute path")
            .hint("set RENSEI_HOME to the directory for the daemon's state"));
    };
    let (ours, theirs) = (home.join(".rensei"), home.join(".donmai"));
    if !ours.exists() && theirs.is_dir() {
        let warning = format!("using {}, because {} does not exist", theirs.display(), ours.display());
        return Ok(StateRoot { path: theirs, warning: Some(warning) });
    }
    Ok(StateRoot { path: ours, warning: None })
}

fn from_variable(path: &Path) -> CommandResult<StateRoot> {
    if path.is_absolute() {
        return Ok(StateRoot { path: path.to_owned(), warning: None });
    }
    Err(CommandError::usage(format!("RENSEI_HOME is not an absolute path: `{}`", path.display()))
        .hint("set RENSEI_HOME to an absolute path, or unset it to use ~/.rensei"))
}

/// Makes the state root, readable by its owner alone, unless it is there and can be used.
pub(crate) fn create(path: &Path) -> CommandResult {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        CommandError::context(format!("failed to make the state directory {}", path.display()), error)
            .hint("make its parent directory writable, or set RENSEI_HOME to another directory")
    })?;
    access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        let shown = path.display();
        CommandError::context(format!("state directory {shown} cannot be used"), std::io::Error::from(error))
            .hint(format!("see whose it is: `ls -ld {}`", text::quoted(&path.to_string_lossy())))
            .hint("run as its owner, or set RENSEI_HOME to a directory of your own")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn variable_then_ours_then_the_predecessor() {
        let home = tempfile::tempdir().unwrap();
        let text = home.path().to_str().unwrap();
        let env = Environment::from([("HOME", text)]);
        assert_eq!(resolve(&env).unwrap().path, home.path().join(".rensei"));
        std::fs::create_dir(home.path().join(".donmai")).unwrap();
        let old = resolve(&env).unwrap();
        assert_eq!(old.path, home.path().join(".donmai"));
        assert!(old.warning.is_some());
        create(&home.path().join(".rensei")).unwrap();
        assert_eq!(resolve(&env).unwrap(), StateRoot { path: home.path().join(".rensei"), warning: None });
        assert_eq!(home.path().join(".rensei").metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let set = Environment::from([("HOME", text), ("RENSEI_HOME", "/x")]);
        assert_eq!(resolve(&set).unwrap().path, Path::new("/x"));
    }

    #[test]
    fn relative_roots_are_refused() {
        let error = resolve(&Environment::from([("RENSEI_HOME", "here")])).unwrap_err();
        assert!(error.to_string().contains("absolute") && !error.hints().is_empty());
        assert!(resolve(&Environment::default()).is_err());
    }
}
