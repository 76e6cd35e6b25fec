//! Archives made into workareas that can be worked in.

mod note;
mod registry;

use crate::archive::{ArchiveError, Archives, Opened, private_directory, rename_new};
use crate::scratch;
use crate::tree::{Copied, CopyRules, Limits, Tree, copy};
use jiff::Timestamp;
use note::Note;
use rensei_proto::SessionId;
use rensei_proto::control::{RestoreRequest, WorkareaDetail, WorkareaKind, WorkareaStatus};
use std::fmt;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Part of the disk that may be in use before nothing is restored any more.
const FULL_PERCENT: u8 = 90;
/// Wait that is asked for when the pool does not say.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Restores of one archive that can begin in the same nanosecond.
const MAX_SAME: i128 = 100;

/// How many of the things that were left out are named.
const MAX_NAMED: usize = 100;

/// What a restore depends on besides the archive.
pub struct RestoreContext<'a> {
    /// How long to wait when the pool has no room; none when it has.
    pub saturated: &'a dyn Fn() -> Option<Duration>,
    /// Whether a session of that id is live.
    pub is_live: &'a dyn Fn(&str) -> bool,
    /// Now.
    pub now: Timestamp,
}

impl fmt::Debug for RestoreContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestoreContext").field("now", &self.now).finish_non_exhaustive()
    }
}

impl Archives {
    /// Makes a workarea from an archive, which stays as it is. Blocks for as long as copying takes.
    ///
    /// The workarea is built beside its place and renamed; from then on it is listed until it is removed. Directories
    /// are 0750, files keep their modes but for set-id bits, and what is neither file, directory nor link is left out.
    ///
    /// # Errors
    /// [`ArchiveError`], in this order: the session's name, the id, the manifest, the pool, the session, the tree; then
    /// copying. Nothing is left behind.
    pub fn restore(
        &self,
        id: &str,
        request: &RestoreRequest,
        context: &RestoreContext<'_>,
    ) -> Result<WorkareaDetail, ArchiveError> {
        let session = request.into_session_id.as_deref().filter(|session| !session.is_empty());
        session.map(SessionId::parse).transpose().map_err(|source| ArchiveError::InvalidSession { source })?;
        let archive = self.open(id)?;
        let read = archive.manifest()?;
        if let Some(delay) = (context.saturated)() {
            return Err(ArchiveError::Saturated { retry_after: if delay.is_zero() { RETRY_AFTER } else { delay } });
        }
        // Held until the workarea is registered, so that of two callers one gets it.
        let _reserved = session.map(|session| self.claim(session, context)).transpose()?;
        let tree = archive.tree()?.ok_or_else(|| no_tree(id))?;
        let mention = self.mention("restore", id, Some(read.manifest.size()));
        let restored = self.restored_root();
        private_directory(&restored).map_err(|error| ArchiveError::io("create", &restored, error))?;
        let building = scratch::building(&restored);
        let built = build(&archive, &tree, &building, &mention.running.progress).and_then(|copied| {
            let mut detail = crate::archive::detail(id, read);
            detail.session_id = session.map_or(detail.session_id, str::to_owned);
            detail.excluded = copied.excluded;
            detail.excluded.truncate(MAX_NAMED);
            self.publish(&building, id, detail, Order { request, session, now: context.now })
        });
        // After a success it holds nothing any more.
        let _ = scratch::remove(&building);
        built
    }

    /// How long a restore should wait because the disk is almost full, if it is.
    #[must_use]
    pub fn saturated(&self) -> Option<Duration> {
        let pressure = crate::pool::pressure(&self.restored_root()).ok()?;
        pressure.reaches(FULL_PERCENT).then_some(RETRY_AFTER)
    }

    fn claim(&self, session: &str, context: &RestoreContext<'_>) -> Result<impl Sized, ArchiveError> {
        let conflict = || ArchiveError::Conflict { session: session.to_owned() };
        let reserved = self.reserve(session).ok_or_else(conflict)?;
        if (context.is_live)(session) || self.is_restored_for(session)? {
            return Err(conflict());
        }
        Ok(reserved)
    }

    /// Gives a complete workarea its name: first the note about it, which means nothing without the workarea.
    fn publish(
        &self,
        building: &Path,
        archive: &str,
        detail: WorkareaDetail,
        order: Order<'_>,
    ) -> Result<WorkareaDetail, ArchiveError> {
        let restored = self.restored_root();
        let mut nanoseconds = order.now.as_nanosecond();
        let last = nanoseconds + MAX_SAME;
        let _alone = self.registering();
        loop {
            let id = format!("{archive}-restore-{nanoseconds}");
            let path = restored.join(&id);
            let detail = WorkareaDetail {
                id: id.clone(),
                kind: WorkareaKind::Active,
                status: WorkareaStatus::Ready,
                path: path.display().to_string(),
                archive_location: self.root().join(archive).display().to_string(),
                acquired_at: Some(rensei_proto::rfc3339_millis(order.now)),
                ..detail.clone()
            };
            let note = Note::new(archive, &detail, &order);
            match put_in_place(building, &path, &note) {
                Ok(()) => return Ok(detail),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && nanoseconds < last => nanoseconds += 1,
                Err(error) => return Err(ArchiveError::io("put in place", &path, error)),
            }
        }
    }
}

/// Who wants what.
#[derive(Clone, Copy)]
struct Order<'a> {
    request: &'a RestoreRequest,
    session: Option<&'a str>,
    now: Timestamp,
}

fn no_tree(id: &str) -> ArchiveError {
    ArchiveError::Corrupted { id: id.to_owned(), reason: "there is no directory `tree` in it".to_owned() }
}

fn build(
    archive: &Opened<'_>,
    tree: &Tree,
    building: &Path,
    progress: &crate::tree::Progress,
) -> Result<Copied, ArchiveError> {
    let target = content(building);
    let made = private_directory(building).and_then(|()| std::fs::DirBuilder::new().mode(0o750).create(&target));
    made.map_err(|error| ArchiveError::io("create", &target, error))?;
    let target_tree = Tree::open(&target).map_err(|error| ArchiveError::io("open", &target, error.into()))?;
    let rules = CopyRules { exact_modes: false, tolerant: false, limits: Limits::USUAL };
    let failed = |error| ArchiveError::while_restoring(&archive.id, building.parent().unwrap_or(building), error);
    copy(tree, &target_tree, rules, progress).map_err(failed)
}

/// Where the tree is while it is being built.
fn content(building: &Path) -> PathBuf {
    building.join("content")
}

fn put_in_place(building: &Path, path: &Path, note: &Note) -> io::Result<()> {
    if std::fs::symlink_metadata(path).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let beside = note::path_of(path);
    let new = building.join("note.json");
    note.write(&new)?;
    rename_new(&new, &beside)?;
    rename_new(&content(building), path).inspect_err(|_| {
        // It means nothing without the workarea; the next start would remove it.
        let _ = std::fs::remove_file(&beside);
    })?;
    std::fs::File::open(path.parent().unwrap_or(path))?.sync_all()
}
