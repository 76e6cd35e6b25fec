//! Archives of workareas: what a session left behind, kept as it was.
//!
//! ```text
//! <root>/<archive>/manifest.json     what it is, see [`ArchiveManifest`]
//! <root>/<archive>/tree/             the workarea, byte for byte
//! <root>-restored/<restore>/         a restored workarea
//! <root>-restored/<restore>.json     where it came from
//! <retained>/                        what is to be archived
//! ```
//!
//! An archive is built beside its place and renamed, and never changes after that. It has modes, times of files and
//! links as they were; hard links become files of their own, owners and extended attributes are not kept, and what is
//! neither file, directory nor link is named in the manifest and left out. Its `.git` still borrows objects of the
//! host's mirror: files, index and what the agent committed are in the archive, the history before that is not. Listing,
//! comparing and restoring need neither the mirror nor git.

mod create;
mod error;
mod id;
mod list;
mod manifest;
mod prune;
mod use_count;

pub use create::{ArchiveMetadata, create};
pub use error::ArchiveError;
pub use manifest::ArchiveManifest;
pub use prune::Retention;

pub(crate) use create::{STAMP, create_from, private_directory, rename_new};
pub(crate) use id::file_name;
pub(crate) use list::detail;
pub(crate) use manifest::{ManifestError, Read, TREE, read as read_manifest, read_named as read_named_manifest};

use crate::retained::Failures;
use crate::scratch;
use crate::tree::{Progress, Tree};
use rensei_proto::control::CopyProgress;
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use use_count::{InUse, UseCount};

/// All archives below one directory, and what was restored from them. Copies share everything.
///
/// Every call looks at the disk; nothing is remembered but what is going on right now. All calls block.
#[derive(Debug, Clone)]
pub struct Archives {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Directory of what is to be archived.
    retained: PathBuf,
    /// What of that is being archived or removed.
    settling: UseCount,
    failures: Mutex<Failures>,
    /// Archives that are read or removed.
    used: UseCount,
    /// Sessions that a workarea is being restored for.
    reserved: UseCount,
    running: Mutex<Vec<Arc<Running>>>,
    /// Held while a restored workarea and the note about it come or go.
    register: Mutex<()>,
}

/// A copy that is going on.
#[derive(Debug)]
pub(crate) struct Running {
    operation: &'static str,
    source: String,
    total_bytes: Option<u64>,
    pub(crate) progress: Progress,
}

/// Ends the mention of a copy.
pub(crate) struct Mention<'a> {
    inner: &'a Inner,
    pub(crate) running: Arc<Running>,
}

impl Archives {
    /// The same as [`retaining`](Self::retaining), with a directory beside `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self::retaining(root, &beside(root, "-retained"))
    }

    /// Archives below `root`, an absolute path that need not exist; workareas that are to be archived are kept in
    /// `retained`, which must be on the disk of the workareas. What an earlier process left unfinished in either is deleted
    /// in the background.
    #[must_use]
    pub fn retaining(root: &Path, retained: &Path) -> Self {
        let inner = Inner {
            root: root.to_owned(),
            retained: retained.to_owned(),
            settling: UseCount::default(),
            failures: Mutex::default(),
            used: UseCount::default(),
            reserved: UseCount::default(),
            running: Mutex::default(),
            register: Mutex::default(),
        };
        let archives = Self { inner: Arc::new(inner) };
        let sweeper = std::thread::Builder::new().name("archive-sweep".to_owned());
        let swept = archives.clone();
        if let Err(error) = sweeper.spawn(move || swept.sweep()) {
            tracing::warn!(%error, "could not delete what an earlier run left");
        }
        archives
    }

    fn sweep(&self) {
        scratch::sweep(self.root());
        scratch::sweep(&self.restored_root());
        scratch::sweep(self.retained_root());
        self.forget_gone();
        self.forget_settled();
    }

    /// Directory of the archives.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// Directory of what was restored from them.
    #[must_use]
    pub fn restored_root(&self) -> PathBuf {
        restored_beside(&self.inner.root)
    }

    /// Directory of what is to be archived.
    #[must_use]
    pub fn retained_root(&self) -> &Path {
        &self.inner.retained
    }

    /// Archives the directory `source`.
    ///
    /// # Errors
    /// [`ArchiveError`]; nothing is left behind then.
    pub fn create(&self, source: &Path, metadata: &ArchiveMetadata) -> Result<ArchiveManifest, ArchiveError> {
        let mention = self.mention("archive", &metadata.session_id, None);
        create_from(source, &self.inner.root, metadata.draft(), &mention.running.progress)
    }

    /// What is being archived or restored at this moment.
    #[must_use]
    pub fn in_progress(&self) -> Vec<CopyProgress> {
        let running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().map(|one| one.report()).collect()
    }

    pub(crate) fn mention(&self, operation: &'static str, source: &str, total_bytes: Option<u64>) -> Mention<'_> {
        let running =
            Arc::new(Running { operation, source: source.to_owned(), total_bytes, progress: Progress::default() });
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&running));
        Mention { inner: &self.inner, running }
    }

    /// Opens the directory of an archive and keeps it from being removed.
    pub(crate) fn open(&self, id: &str) -> Result<Opened<'_>, ArchiveError> {
        let name = file_name(id)?;
        // What is being removed is as good as gone.
        let in_use = self.inner.used.hold(id).ok_or_else(|| ArchiveError::NotFound { id: id.to_owned() })?;
        let found = Tree::open_chosen(&self.inner.root).and_then(|root| root.child(&name));
        match found {
            Ok(directory) => Ok(Opened { id: id.to_owned(), directory, _in_use: in_use }),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Err(ArchiveError::NotFound { id: id.to_owned() }),
            Err(error) => Err(ArchiveError::io("open archive", Path::new(id), error.into())),
        }
    }

    /// Lets nobody else add or remove restored workareas.
    pub(crate) fn registering(&self) -> MutexGuard<'_, ()> {
        self.inner.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a retained workarea from being archived twice at the same time.
    pub(crate) fn settling(&self, id: &str) -> Result<InUse<'_>, ArchiveError> {
        self.inner.settling.hold_alone(id).ok_or_else(|| ArchiveError::InUse { id: id.to_owned() })
    }

    /// Why retained workareas are not archived.
    pub(crate) fn failures(&self) -> MutexGuard<'_, Failures> {
        self.inner.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an archive from being opened; none while somebody reads it.
    fn hold_alone(&self, id: &str) -> Option<InUse<'_>> {
        self.inner.used.hold_alone(id)
    }

    /// Keeps a session from being restored into twice at the same time; none when somebody is at it.
    pub(crate) fn reserve(&self, session: &str) -> Option<InUse<'_>> {
        self.inner.reserved.hold_alone(session)
    }
}

impl Running {
    fn report(&self) -> CopyProgress {
        CopyProgress {
            operation: self.operation.to_owned(),
            source: self.source.clone(),
            bytes: self.progress.bytes.load(Ordering::Relaxed),
            entries: self.progress.entries.load(Ordering::Relaxed),
            total_bytes: self.total_bytes,
        }
    }
}

impl Drop for Mention<'_> {
    fn drop(&mut self) {
        let mut running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|one| !Arc::ptr_eq(one, &self.running));
    }
}

/// The directory of an archive, held open.
#[derive(Debug)]
pub(crate) struct Opened<'a> {
    pub(crate) id: String,
    pub(crate) directory: Tree,
    _in_use: InUse<'a>,
}

impl Opened<'_> {
    /// The manifest, which must be there and whole.
    pub(crate) fn manifest(&self) -> Result<Read, ArchiveError> {
        read_manifest(&self.directory).map_err(|error| match error {
            ManifestError::Missing => ArchiveError::NotFound { id: self.id.clone() },
            ManifestError::Corrupted { reason } => ArchiveError::Corrupted { id: self.id.clone(), reason },
            ManifestError::Unreadable(error) => {
                ArchiveError::io("read the manifest of archive", Path::new(&self.id), error)
            }
        })
    }

    /// The tree, if there is one.
    pub(crate) fn tree(&self) -> Result<Option<Tree>, ArchiveError> {
        match self.directory.child(TREE) {
            Ok(tree) => Ok(Some(tree)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(ArchiveError::io("open the tree of archive", Path::new(&self.id), error.into())),
        }
    }
}

/// Directory of the workareas that are made from the archives in `root`.
pub(crate) fn restored_beside(root: &Path) -> PathBuf {
    beside(root, "-restored")
}

/// Beside the archives, with their name and something after it.
fn beside(root: &Path, suffix: &str) -> PathBuf {
    let mut name = root.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    root.with_file_name(name)
}
