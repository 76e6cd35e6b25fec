//! One commit, read from its objects.

use super::FetchError;
use super::refs::Wanted;
use git2::{ErrorCode, ObjectType, Oid, Repository, RepositoryOpenFlags, Tree};
use std::ffi::OsStr;
use std::path::Path;
use tempfile::TempDir;

/// Entries of a tree that are looked at.
const MAX_ENTRIES: usize = 50_000;
/// Directories within each other that are looked into.
const MAX_DEPTH: usize = 24;
/// Mode bits of what an entry is.
const KIND: i32 = 0o170_000;
const LINK: i32 = 0o120_000;
const REGULAR: i32 = 0o100_000;

/// One commit of a repository.
pub(crate) struct Snapshot {
    repository: Repository,
    tree: Oid,
    /// Holds the objects when they were fetched.
    _fetched: Option<TempDir>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("tree", &self.tree).finish_non_exhaustive()
    }
}

/// Why a file of a commit cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is not there.
    #[error("{path} is not in the repository")]
    Missing {
        /// Its path.
        path: String,
    },
    /// It is a link, a directory or a submodule.
    #[error("{path} is {what}, not a regular file")]
    NotRegular {
        /// Its path.
        path: String,
        /// What it is instead.
        what: &'static str,
    },
    /// It is too large.
    #[error("{path} is larger than {} KiB", limit / 1024)]
    TooLarge {
        /// Its path.
        path: String,
        /// The bound, bytes.
        limit: u64,
    },
    /// There is too much to look through.
    #[error("the repository has more than {MAX_ENTRIES} files; name the manifest with manifestPath")]
    TooMany,
    /// The objects are damaged.
    #[error("failed to read {path}")]
    Objects {
        /// Its path.
        path: String,
        /// The cause.
        #[source]
        source: git2::Error,
    },
}

impl Snapshot {
    /// The commit of a repository on this machine, which is read in place.
    pub(super) fn local(path: &Path, wanted: &Wanted, url: &str) -> Result<Self, FetchError> {
        let objects = |source| FetchError::Objects { url: url.to_owned(), source };
        let flags = RepositoryOpenFlags::NO_SEARCH;
        let repository = Repository::open_ext(path, flags, &[] as &[&OsStr]).map_err(objects)?;
        let commit = match wanted {
            Wanted::Head => match repository.head() {
                Ok(head) => Some(head.peel_to_commit().map_err(objects)?.id()),
                Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => None,
                Err(error) => return Err(objects(error)),
            },
            Wanted::Named { names, commit, .. } => {
                let named = names.iter().find_map(|name| repository.find_reference(name).ok()?.peel_to_commit().ok());
                let by_id = || commit.filter(|id| repository.find_commit(*id).is_ok());
                named.map(|commit| commit.id()).or_else(by_id)
            }
        };
        let commit = commit.ok_or_else(|| wanted.missing(url))?;
        Self::of(repository, commit, None).map_err(objects)
    }

    /// A commit of a repository that holds it.
    pub(super) fn of(repository: Repository, commit: Oid, fetched: Option<TempDir>) -> Result<Self, git2::Error> {
        let tree = repository.find_object(commit, None)?.peel_to_tree()?.id();
        Ok(Self { repository, tree, _fetched: fetched })
    }

    /// Content of a regular file of at most `limit` bytes.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, SnapshotError> {
        let objects = |source| SnapshotError::Objects { path: path.to_owned(), source };
        let tree = self.repository.find_tree(self.tree).map_err(objects)?;
        let entry = tree.get_path(Path::new(path)).map_err(|error| match error.code() {
            ErrorCode::NotFound => SnapshotError::Missing { path: path.to_owned() },
            _ => objects(error),
        })?;
        let what = match (entry.kind(), entry.filemode() & KIND) {
            (Some(ObjectType::Blob), REGULAR) => None,
            (_, LINK) => Some("a symbolic link"),
            (Some(ObjectType::Tree), _) => Some("a directory"),
            _ => Some("a submodule"),
        };
        if let Some(what) = what {
            return Err(SnapshotError::NotRegular { path: path.to_owned(), what });
        }
        // The size is known before the content is unpacked.
        let (size, _) = self.repository.odb().and_then(|odb| odb.read_header(entry.id())).map_err(objects)?;
        if size as u64 > limit {
            return Err(SnapshotError::TooLarge { path: path.to_owned(), limit });
        }
        Ok(self.repository.find_blob(entry.id()).map_err(objects)?.content().to_vec())
    }

    /// Paths of all regular files for whose names `wanted` holds, sorted by directory.
    pub(crate) fn find(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, SnapshotError> {
        let tree = self.repository.find_tree(self.tree);
        let tree = tree.map_err(|source| SnapshotError::Objects { path: ".".to_owned(), source })?;
        let mut search = Search { repository: &self.repository, wanted, found: Vec::new(), seen: 0 };
        search.walk(&tree, "", 0)?;
        Ok(search.found)
    }
}

struct Search<'a, F> {
    repository: &'a Repository,
    wanted: F,
    found: Vec<String>,
    seen: usize,
}

impl<F: Fn(&str) -> bool> Search<'_, F> {
    fn walk(&mut self, tree: &Tree<'_>, prefix: &str, depth: usize) -> Result<(), SnapshotError> {
        for entry in tree {
            self.seen += 1;
            if self.seen > MAX_ENTRIES {
                return Err(SnapshotError::TooMany);
            }
            // A name that is not UTF-8 cannot be asked for.
            let Ok(name) = std::str::from_utf8(entry.name_bytes()) else { continue };
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            match entry.kind() {
                Some(ObjectType::Blob) if entry.filemode() & KIND == REGULAR && (self.wanted)(name) => {
                    self.found.push(path);
                }
                Some(ObjectType::Tree) if depth < MAX_DEPTH => {
                    let tree = self.repository.find_tree(entry.id());
                    let tree = tree.map_err(|source| SnapshotError::Objects { path: path.clone(), source })?;
                    self.walk(&tree, &path, depth + 1)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
