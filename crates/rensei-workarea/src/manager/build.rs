//! Making one checkout.

use super::filters;
use crate::git::GitEnvironment;
use crate::marker::Marker;
use crate::{WorkareaError, local, scratch};
use git2::build::CheckoutBuilder;
use git2::{ErrorClass, ErrorCode, Oid, Repository, RepositoryInitOptions};
use std::io;
use std::path::Path;

/// A checkout to be made.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// What is noted about it.
    pub(crate) marker: Marker,
    /// Commit to start from; none in a repository without commits.
    pub(crate) base: Option<Oid>,
    /// The real remote.
    pub(crate) url: String,
}

/// Why a checkout could not be made.
pub(crate) struct Failure {
    pub(crate) error: WorkareaError,
    /// Whether the mirror may be to blame.
    pub(crate) damaged: bool,
}

impl From<git2::Error> for Failure {
    fn from(error: git2::Error) -> Self {
        let missing =
            error.code() == ErrorCode::NotFound && matches!(error.class(), ErrorClass::Odb | ErrorClass::Object);
        let broken =
            matches!(error.class(), ErrorClass::Zlib | ErrorClass::Indexer | ErrorClass::Odb | ErrorClass::Object);
        Self { damaged: missing || broken, error: WorkareaError::local("make the checkout", &error) }
    }
}

impl From<WorkareaError> for Failure {
    fn from(error: WorkareaError) -> Self {
        Self { error, damaged: false }
    }
}

impl Plan {
    /// Builds beside `path` and renames. When someone else was faster, theirs counts.
    pub(crate) fn build(self, git: &GitEnvironment, mirror: &Path, path: &Path) -> Result<Marker, Failure> {
        let building = scratch::building(path.parent().unwrap_or(Path::new("/")));
        let built = self.build_in(&building, git, mirror).and_then(|()| self.put_in_place(&building, path));
        if built.is_err() {
            // Swept at the next start if even this fails.
            let _ = scratch::remove(&building);
        }
        built
    }

    fn build_in(&self, dir: &Path, git: &GitEnvironment, mirror: &Path) -> Result<(), Failure> {
        let mut options = RepositoryInitOptions::new();
        options.no_reinit(true).external_template(false).mkpath(true).initial_head(&self.marker.branch);
        drop(Repository::init_opts(dir, &options)?);
        borrow(&dir.join(".git"), mirror)?;
        let repository = local::open_checkout(dir, git)?;
        self.configure(&repository)?;
        let Some(base) = self.base else { return Ok(()) };
        let start = format!("refs/heads/{}", self.marker.branch);
        repository.reference(&start, base, false, "session: start")?;
        if let Some(branch) = &self.marker.base_branch {
            // For `git diff origin/main` and the like; the other branches come with the agent's first fetch.
            repository.reference(&format!("refs/remotes/origin/{branch}"), base, true, "session: start")?;
        }
        repository.set_head(&start)?;
        let tree = repository.find_commit(base)?.tree()?;
        let convert = filters::are_needed(&repository, &tree, git)?;
        repository.checkout_head(Some(CheckoutBuilder::new().force().disable_filters(!convert)))?;
        Ok(())
    }

    fn configure(&self, repository: &Repository) -> Result<(), git2::Error> {
        let mut config = git2::Config::open(&repository.path().join("config"))?;
        config.set_str("remote.origin.url", &self.url)?;
        config.set_str("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")?;
        config.set_str(&format!("branch.{}.remote", self.marker.branch), "origin")?;
        config.set_str(&format!("branch.{}.merge", self.marker.branch), &format!("refs/heads/{}", self.marker.branch))
    }

    fn put_in_place(self, building: &Path, path: &Path) -> Result<Marker, Failure> {
        let rename = |error| Failure::from(WorkareaError::io("put in place", path, error));
        if let Some(other) = Marker::read(path) {
            return self.give_way(other, building);
        }
        self.marker.write(building, path)?;
        match std::fs::rename(building, path) {
            Ok(()) => Ok(self.marker),
            Err(error) if path.is_dir() => match Marker::read(path) {
                Some(other) => self.give_way(other, building),
                None => Err(rename(error)),
            },
            Err(error) => Err(rename(error)),
        }
    }

    fn give_way(&self, other: Marker, building: &Path) -> Result<Marker, Failure> {
        scratch::remove(building).map_err(|error| WorkareaError::io("delete", building, error))?;
        if other.repository == self.marker.repository {
            return Ok(other);
        }
        let taken = io::ErrorKind::AlreadyExists.into();
        Err(WorkareaError::io("make a checkout in", building, taken).into())
    }
}

/// Lets a repository use the objects of the mirror, and know where its history is cut off if it is.
fn borrow(git_dir: &Path, mirror: &Path) -> Result<(), WorkareaError> {
    let alternates = git_dir.join("objects/info/alternates");
    let objects = mirror.join("objects");
    std::fs::create_dir_all(git_dir.join("objects/info"))
        .and_then(|()| std::fs::write(&alternates, format!("{}\n", objects.display())))
        .map_err(|error| WorkareaError::io("write", &alternates, error))?;
    let shallow = mirror.join("shallow");
    match std::fs::copy(&shallow, git_dir.join("shallow")) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(WorkareaError::io("copy", &shallow, error)),
    }
}
