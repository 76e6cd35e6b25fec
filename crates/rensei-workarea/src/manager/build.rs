//! Making one checkout.

use super::borrow::borrow;
use super::request::CloneStrategy;
use crate::files::{Keep, list};
use crate::files::{ListError, Listing, Present, Scan, Snapshot, WriteError, Writer};
use crate::git::GitEnvironment;
use crate::marker::Marker;
use crate::{WorkareaError, local, scratch};
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
    /// The real remote, without credentials: the agent's come from git's helpers.
    pub(crate) url: String,
    /// What of the history it has.
    pub(crate) strategy: CloneStrategy,
}

/// What checkouts are made with.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    pub(crate) git: GitEnvironment,
    /// Repository that has the objects.
    pub(crate) mirror: std::path::PathBuf,
    /// What used trees carry over.
    pub(crate) keep: Keep,
    pub(crate) threads: usize,
}

/// Why a checkout could not be made.
#[derive(Debug)]
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

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Git(error) => error.into(),
            ListError::Refused(error) => error.into(),
        }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Git(error) => error.into(),
            WriteError::Io(error) => error.into(),
        }
    }
}

impl Tools {
    /// What a commit holds.
    pub(crate) fn listing(&self, base: Option<Oid>) -> Result<Listing, Failure> {
        let Some(base) = base else { return Ok(Listing::default()) };
        let mirror = local::open_bare(&self.mirror, &self.git)?;
        let tree = mirror.find_commit(base)?.tree()?;
        Ok(list(&mirror, &tree)?)
    }

    /// Deletes from a used tree what the listing does not have.
    pub(crate) fn scan(&self, dir: &Path, listing: &Listing, before: &Snapshot) -> Result<Present, WorkareaError> {
        let scan = Scan {
            root: dir,
            items: &listing.items,
            directories: &listing.directories,
            before,
            keep: &self.keep,
            thorough: false,
            threads: self.threads,
        };
        scan.run().map_err(|error| WorkareaError::io("clean", dir, error))
    }

    /// Writes what is missing. Conversions need a repository at the root.
    pub(crate) fn write(&self, dir: &Path, listing: &Listing, present: &Present) -> Result<Snapshot, WriteError> {
        self.writer(dir, listing).run(present)
    }

    fn writer<'a>(&'a self, root: &'a Path, listing: &'a Listing) -> Writer<'a> {
        Writer { root, mirror: &self.mirror, git: &self.git, listing, threads: self.threads }
    }
}

impl Plan {
    /// Makes `dir` the checkout: an empty directory, or a tree that was handed out as `before`.
    pub(crate) fn make(
        &self,
        tools: &Tools,
        dir: &Path,
        listing: &Listing,
        before: Option<&Snapshot>,
    ) -> Result<Snapshot, Failure> {
        let convert = self.base.filter(|_| listing.converts || conversion_is_configured(&tools.git));
        // A conversion may be another one now: nothing counts as written.
        let nothing = Snapshot::default();
        let before = before.map(|before| if convert.is_some() { &nothing } else { before });
        let present = before.map_or_else(|| Ok(Present::default()), |before| tools.scan(dir, listing, before))?;
        self.init(tools, dir)?;
        let written = match convert {
            Some(commit) => tools.writer(dir, listing).convert(commit)?,
            None => tools.write(dir, listing, &present)?,
        };
        let index = dir.join(".git/index");
        std::fs::write(&index, written.to_bytes()).map_err(|error| WorkareaError::io("write", &index, error))?;
        Ok(written)
    }

    /// A repository of its own, which knows nothing of any other session.
    fn init(&self, tools: &Tools, dir: &Path) -> Result<(), Failure> {
        let mut options = RepositoryInitOptions::new();
        options.no_reinit(true).external_template(false).mkpath(true).initial_head(&self.marker.branch);
        drop(Repository::init_opts(dir, &options)?);
        let git_dir = dir.join(".git");
        borrow(&git_dir, &tools.mirror, self.strategy, self.base)?;
        let exclude = git_dir.join("info/exclude");
        std::fs::create_dir_all(git_dir.join("info"))
            .and_then(|()| std::fs::write(&exclude, "/.rensei/\n"))
            .map_err(|error| WorkareaError::io("write", &exclude, error))?;
        let repository = local::open_checkout(dir, &tools.git)?;
        self.configure(&repository)?;
        let Some(base) = self.base else { return Ok(()) };
        let start = format!("refs/heads/{}", self.marker.branch);
        repository.reference(&start, base, false, "session: start")?;
        if let Some(branch) = &self.marker.base_branch {
            // For `git diff origin/main` and the like; the other branches come with the agent's first fetch.
            repository.reference(&format!("refs/remotes/origin/{branch}"), base, true, "session: start")?;
        }
        Ok(repository.set_head(&start)?)
    }

    fn configure(&self, repository: &Repository) -> Result<(), git2::Error> {
        let mut config = git2::Config::open(&repository.path().join("config"))?;
        config.set_str("remote.origin.url", &self.url)?;
        config.set_str("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")?;
        config.set_str(&format!("branch.{}.remote", self.marker.branch), "origin")?;
        config.set_str(&format!("branch.{}.merge", self.marker.branch), &format!("refs/heads/{}", self.marker.branch))
    }

    /// Renames a complete checkout. When someone else was faster, theirs counts.
    pub(crate) fn put_in_place(&self, building: &Path, path: &Path) -> Result<Marker, WorkareaError> {
        let rename = |error| WorkareaError::io("put in place", path, error);
        if let Some(other) = Marker::read(path) {
            return self.give_way(other, building);
        }
        self.marker.write_inside(building)?;
        match std::fs::rename(building, path) {
            // Only now, so that whoever has to give way says nothing about the checkout that is there.
            Ok(()) => match self.marker.write_beside(path) {
                Ok(()) => Ok(self.marker.clone()),
                Err(error) => {
                    // Swept at the next start if even this fails.
                    let _ = scratch::remove(path);
                    Err(error)
                }
            },
            Err(error) => match Marker::read(path) {
                Some(other) => self.give_way(other, building),
                None => Err(rename(error)),
            },
        }
    }

    fn give_way(&self, other: Marker, building: &Path) -> Result<Marker, WorkareaError> {
        scratch::remove(building).map_err(|error| WorkareaError::io("delete", building, error))?;
        if other.repository == self.marker.repository {
            return Ok(other);
        }
        let taken = io::ErrorKind::AlreadyExists.into();
        Err(WorkareaError::io("make a checkout in", building, taken))
    }
}

/// Whether the user's own settings ask for conversions, whatever a repository says.
fn conversion_is_configured(git: &GitEnvironment) -> bool {
    let Ok(config) = local::configuration(git) else { return false };
    let asks =
        |name: &str, harmless: &[&str]| config.get_string(name).is_ok_and(|value| !harmless.contains(&value.as_str()));
    asks("core.autocrlf", &["false", "input"])
        || asks("core.eol", &["lf", "native"])
        || asks("core.attributesfile", &[])
        || git.attribute_files().iter().any(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_place_that_is_taken_by_a_stranger_is_not_claimed() {
        let dir = tempfile::tempdir().unwrap();
        let (building, path) = (dir.path().join(".new-1"), dir.path().join("s1"));
        std::fs::create_dir_all(path.join("precious")).unwrap();
        let marker = json!({"version": 1, "sessionId": "s1", "repository": "/r", "ref": "", "baseCommit": "",
            "branch": "b", "createdAtMs": 1});
        let marker: Marker = serde_json::from_value(marker).unwrap();
        let plan = Plan { marker, base: None, url: "/r".to_owned(), strategy: CloneStrategy::default() };
        std::fs::create_dir(&building).unwrap();
        assert!(plan.put_in_place(&building, &path).is_err());
        assert_eq!((Marker::read(&path), path.join("precious").exists()), (None, true));
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!(plan.put_in_place(&building, &path).unwrap(), plan.marker);
        assert_eq!(Marker::read(&path), Some(plan.marker));
    }
}
