//! Local repositories, opened with the configuration that the git environment names rather than the one of whoever
//! runs this process.

use crate::git::GitEnvironment;
use git2::{Config, ConfigLevel, Error, Repository, RepositoryOpenFlags};
use std::ffi::OsStr;
use std::path::Path;

/// Opens the bare repository at `path`, never one around it.
pub(crate) fn open_bare(path: &Path, git: &GitEnvironment) -> Result<Repository, Error> {
    open(path, RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::BARE | RepositoryOpenFlags::NO_DOTGIT, git)
}

/// Opens the checkout at `path`. One whose configuration points to files elsewhere is refused.
pub(crate) fn open_checkout(path: &Path, git: &GitEnvironment) -> Result<Repository, Error> {
    let repository = open(path, RepositoryOpenFlags::NO_SEARCH, git)?;
    let same = |found: Option<&Path>, expected: &Path| match (found.map(Path::canonicalize), expected.canonicalize()) {
        (Some(Ok(found)), Ok(expected)) => found == expected,
        _ => false,
    };
    if same(repository.workdir(), path) && same(Some(repository.path()), &path.join(".git")) {
        return Ok(repository);
    }
    Err(Error::from_str("the checkout's .git or its core.worktree points elsewhere"))
}

fn open(path: &Path, flags: RepositoryOpenFlags, git: &GitEnvironment) -> Result<Repository, Error> {
    let repository = Repository::open_ext(path, flags, std::iter::empty::<&OsStr>())?;
    repository.set_config(&composed(git, Some(&repository.path().join("config")))?)?;
    Ok(repository)
}

/// The user's configuration, without the one of any repository.
pub(crate) fn configuration(git: &GitEnvironment) -> Result<Config, Error> {
    composed(git, None)
}

/// Configuration as git itself would compose it in that environment.
fn composed(git: &GitEnvironment, local: Option<&Path>) -> Result<Config, Error> {
    let mut config = Config::new()?;
    let local = local.map(|path| (path.to_owned(), ConfigLevel::Local));
    for (path, level) in git.config_files().into_iter().chain(local) {
        if path.is_file() {
            config.add_file(&path, level, false)?;
        }
    }
    Ok(config)
}
