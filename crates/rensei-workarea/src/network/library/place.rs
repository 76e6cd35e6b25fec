//! What libgit2 can get at.

use crate::WorkareaError;
use crate::repository::Repository;
use git2::{ErrorCode, RepositoryOpenFlags};
use reqwest::Url;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where a repository is.
#[derive(Debug)]
pub(super) enum Place {
    /// On this machine: the directory with its objects.
    Local(PathBuf),
    /// Behind http or https.
    Http(Url),
}

impl Place {
    pub(super) fn of(repository: &Repository) -> Result<Self, WorkareaError> {
        let url = repository.url.as_str();
        if url.starts_with('/') {
            return open(Path::new(url), repository).map(Self::Local);
        }
        let needs_git =
            |what: &str| WorkareaError::NeedsGit { repository: repository.shown.clone(), what: what.into() };
        match url.split_once("://") {
            Some((scheme, path)) if scheme.eq_ignore_ascii_case("file") => {
                let path = Url::parse(url).ok().and_then(|url| url.to_file_path().ok()).unwrap_or_else(|| path.into());
                open(&path, repository).map(Self::Local)
            }
            Some((scheme, _)) if ["http", "https"].iter().any(|http| scheme.eq_ignore_ascii_case(http)) => {
                let url = Url::parse(url).ok().filter(Url::has_host);
                let invalid = || WorkareaError::invalid("repository", &repository.url, "it is no URL");
                url.map(Self::Http).ok_or_else(invalid)
            }
            Some((scheme, _)) => Err(needs_git(scheme)),
            None => Err(needs_git("ssh")),
        }
    }
}

/// The directory with the objects of the repository at `path`, itself or its `.git`.
fn open(path: &Path, repository: &Repository) -> Result<PathBuf, WorkareaError> {
    let opened = git2::Repository::open_ext(path, RepositoryOpenFlags::NO_SEARCH, std::iter::empty::<&OsStr>());
    let (shown, detail) =
        (repository.shown.clone(), |error: &git2::Error| crate::git::readable(error.message().as_bytes()));
    match opened {
        Ok(opened) => Ok(opened.path().to_owned()),
        Err(error) if error.code() == ErrorCode::Owner => {
            Err(WorkareaError::Denied { repository: shown, detail: format!("dubious ownership: {}", detail(&error)) })
        }
        Err(error) => Err(WorkareaError::NotARepository { repository: shown, detail: detail(&error) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_git_says_so() {
        for (text, what) in [("git@h:o/r", "ssh"), ("ssh://h/r", "ssh"), ("git://h/r", "git")] {
            let error = Place::of(&Repository::parse(text).unwrap()).unwrap_err();
            assert_eq!(error.kind(), crate::WorkareaErrorKind::NeedsGit);
            assert!(error.to_string().contains(what) && error.hint().unwrap().contains("install git"), "{error}");
        }
        let http = Place::of(&Repository::parse("HTTPS://u:p@h:1/o/r").unwrap());
        assert!(matches!(http.unwrap(), Place::Http(url) if url.port() == Some(1)));
        let error = Place::of(&Repository::parse("/nonexistent").unwrap()).unwrap_err();
        assert_eq!(error.kind(), crate::WorkareaErrorKind::NotARepository);
    }
}
