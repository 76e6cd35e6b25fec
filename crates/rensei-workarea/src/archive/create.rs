//! Making archives.

use super::ArchiveError;
use super::manifest::{ArchiveManifest, MANIFEST, SCHEMA, TREE};
use crate::scratch;
use crate::tree::{Copied, CopyRules, Limits, Progress, Tree, copy};
use rensei_proto::rfc3339_millis;
use rustix::fs::{Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// When an archive was made, as its name says it.
pub(crate) const STAMP: &str = "%Y%m%dT%H%M%SZ";
/// Archives that one session can have from the same second.
const MAX_SAME: u32 = 1000;

/// What an archive is to say of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveMetadata {
    /// Session whose workarea it is; the id of the archive begins with it.
    pub session_id: String,
    /// Which run of the session it was, when there can be several.
    pub attempt: Option<u64>,
    /// Project of the session; may be empty.
    pub project_id: String,
    /// Repository that the workarea was made from.
    pub repository: String,
    /// What the session started from.
    pub r#ref: String,
    /// Branch that is checked out.
    pub branch: String,
    /// Commit that the session started from.
    pub commit: String,
    /// Why there is an archive: `failed`, `terminated`, `released` or `live`.
    pub disposition: String,
    /// More about that, in somebody's words; may be empty.
    pub reason: String,
    /// Tools and their versions.
    pub toolchain: BTreeMap<String, String>,
    /// Now.
    pub created_at: jiff::Timestamp,
}

/// Archives the directory `source` below `root`, which is made when it is missing. Blocks for as long as copying takes.
///
/// What cannot be read, and what vanishes meanwhile, is left out; what was left out is named in the manifest.
///
/// # Errors
/// [`ArchiveError`]; nothing is left behind then.
pub fn create(source: &Path, root: &Path, metadata: &ArchiveMetadata) -> Result<ArchiveManifest, ArchiveError> {
    create_from(source, root, metadata.draft(), &Progress::default())
}

impl ArchiveMetadata {
    /// Name of an archive that is to say this, unless it is taken.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.session_id, self.created_at.strftime(STAMP))
    }

    /// What is known before anything is copied.
    pub(crate) fn draft(&self) -> ArchiveManifest {
        let metadata = self.clone();
        ArchiveManifest {
            schema_version: SCHEMA.to_owned(),
            id: self.name(),
            session_id: metadata.session_id,
            attempt: metadata.attempt,
            project_id: metadata.project_id,
            provider_id: "local".to_owned(),
            source_provider: "local".to_owned(),
            disposition: metadata.disposition,
            reason: metadata.reason,
            created_at: rfc3339_millis(metadata.created_at),
            repository: metadata.repository,
            r#ref: metadata.r#ref,
            branch: metadata.branch,
            commit: metadata.commit,
            toolchain: metadata.toolchain,
            ..ArchiveManifest::default()
        }
    }
}

/// Makes the archive of which `draft` is what is known of it.
pub(crate) fn create_from(
    source: &Path,
    root: &Path,
    draft: ArchiveManifest,
    progress: &Progress,
) -> Result<ArchiveManifest, ArchiveError> {
    super::id::file_name(&draft.id)?;
    private_directory(root).map_err(|error| ArchiveError::io("create", root, error))?;
    refuse_own_root(source, root)?;
    let building = scratch::building(root);
    let built = build(source, root, &building, progress).and_then(|copied| {
        let complete = ArchiveManifest {
            size_bytes: i64::try_from(copied.size).unwrap_or(i64::MAX),
            entry_count: copied.entries,
            excluded: copied.excluded,
            excluded_count: copied.excluded_count,
            ..draft
        };
        publish(&building, root, complete)
    });
    if built.is_err() {
        // Swept at the next start if even this fails.
        let _ = scratch::remove(&building);
    }
    built
}

fn build(source: &Path, root: &Path, building: &Path, progress: &Progress) -> Result<Copied, ArchiveError> {
    let tree = building.join("tree");
    private_directory(&tree).map_err(|error| ArchiveError::io("create", &tree, error))?;
    let open = |path: &Path| Tree::open(path).map_err(|error| ArchiveError::io("open", path, error.into()));
    let rules = CopyRules { exact_modes: true, tolerant: true, limits: Limits::USUAL };
    let copied = copy(&open(source)?, &open(&tree)?, rules, progress)
        .map_err(|error| ArchiveError::while_archiving(source, root, error))?;
    // The workarea may be deleted as soon as there is an archive of it.
    flush(&tree).map_err(|error| ArchiveError::io("flush the disk of", root, error))?;
    Ok(copied)
}

/// Gives a complete archive its name. The first free one is taken: two may be made in the same second.
fn publish(building: &Path, root: &Path, mut manifest: ArchiveManifest) -> Result<ArchiveManifest, ArchiveError> {
    let first = manifest.id.clone();
    for number in 1..=MAX_SAME {
        if number > 1 {
            manifest.id = format!("{first}-{number}");
        }
        write_manifest(building, &manifest)?;
        match rename_new(building, &root.join(&manifest.id)) {
            Ok(()) => {
                // The rename itself must survive a power failure, too.
                let synced = File::open(root).and_then(|root| root.sync_all());
                synced.map_err(|error| ArchiveError::io("flush", root, error))?;
                return Ok(manifest);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(ArchiveError::io("put in place", &root.join(&manifest.id), error)),
        }
    }
    Err(ArchiveError::io("put in place", &root.join(first), io::ErrorKind::AlreadyExists.into()))
}

fn write_manifest(building: &Path, manifest: &ArchiveManifest) -> Result<(), ArchiveError> {
    let failed = |error: io::Error| ArchiveError::io("write the manifest in", building, error);
    let directory = Tree::open(building).map_err(|error| failed(error.into()))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory.root(), MANIFEST, flags, Mode::RUSR | Mode::WUSR);
    let mut file = File::from(file.map_err(|error| failed(error.into()))?);
    let json = serde_json::to_vec_pretty(manifest).map_err(|error| failed(error.into()))?;
    file.write_all(&json).and_then(|()| file.sync_all()).map_err(failed)?;
    debug_assert_eq!(TREE, c"tree");
    Ok(())
}

/// An archive that contains the archives would contain itself.
fn refuse_own_root(source: &Path, root: &Path) -> Result<(), ArchiveError> {
    let canonical = |path: &Path| path.canonicalize().map_err(|error| ArchiveError::io("open", path, error));
    if canonical(root)?.starts_with(canonical(source)?) {
        let inside = io::Error::new(io::ErrorKind::InvalidInput, "the archives are kept inside of it");
        return Err(ArchiveError::io("archive", source, inside));
    }
    Ok(())
}

/// A directory that only its owner can enter, with its parents.
pub(crate) fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Renames to a name that must be free.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, RenameFlags::NOREPLACE) {
        // File systems that know no such flag: an empty directory could be replaced, which nobody has made.
        Err(Errno::INVAL | Errno::NOSYS) if std::fs::symlink_metadata(to).is_err() => std::fs::rename(from, to),
        Err(Errno::INVAL | Errno::NOSYS) => Err(io::ErrorKind::AlreadyExists.into()),
        renamed => Ok(renamed?),
    }
}

/// Brings everything that was written to disk: one call for a whole tree costs far less than one per file.
#[cfg(target_os = "linux")]
fn flush(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(path)?)?)
}

#[cfg(not(target_os = "linux"))]
fn flush(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
