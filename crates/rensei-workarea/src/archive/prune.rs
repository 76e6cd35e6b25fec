//! Removing archives: by rule, or by name.

use super::manifest::{MANIFEST, SCHEMA};
use super::{ArchiveError, Archives, id, read_manifest};
use crate::scratch;
use crate::tree::{Tree, list};
use jiff::Timestamp;
use rensei_proto::control::{PruneResponse, PrunedWorkarea, SkippedWorkarea, WorkareaSummary};
use rensei_proto::error_chain;
use rustix::fs::{AtFlags, FileType, statat};
use rustix::io::Errno;
use std::time::Duration;

/// Which archives are kept. Limits that are missing do not limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Age of the oldest one.
    pub max_age: Option<Duration>,
    /// How many; the newest stay.
    pub max_count: Option<usize>,
    /// Sizes of their files, added up; the newest stay.
    pub max_bytes: Option<u64>,
}

/// An archive that a rule may remove.
struct Candidate {
    name: String,
    created: Timestamp,
    size: u64,
}

impl Archives {
    /// Removes what `retention` does not keep, oldest first, and retained workareas that are as old. Of archives only archives that this program made and that can be read
    /// are ever removed by rule, and none that is read at this moment.
    ///
    /// # Errors
    /// When the directory of the archives cannot be read. What cannot be removed is in the answer.
    pub fn prune(&self, retention: &Retention, now: Timestamp, dry_run: bool) -> Result<PruneResponse, ArchiveError> {
        let mut response = PruneResponse { dry_run, ..PruneResponse::default() };
        for candidate in surplus(self.candidates()?, retention, now) {
            self.note_removal(&mut response, &candidate.name, candidate.size, dry_run);
        }
        let old = |row: &WorkareaSummary| {
            let since = row.released_at.as_ref().and_then(|at| at.parse().ok());
            since.zip(retention.max_age).is_some_and(|(since, max)| age(since, now) > max)
        };
        for row in self.retained()?.into_iter().filter(old) {
            self.note_other(&mut response, &row.id, dry_run);
        }
        Ok(response)
    }

    /// Removes archives, restored and retained workareas by name, whoever made them and whatever state they are in.
    #[must_use]
    pub fn remove(&self, ids: &[String], dry_run: bool) -> PruneResponse {
        let mut response = PruneResponse { dry_run, ..PruneResponse::default() };
        for id in ids {
            match self.named(id) {
                Ok(Some(size)) => self.note_removal(&mut response, id, size, dry_run),
                Ok(None) => self.note_other(&mut response, id, dry_run),
                Err(error) => skip(&mut response, id, &error),
            }
        }
        response
    }

    fn note_removal(&self, response: &mut PruneResponse, name: &str, size: u64, dry_run: bool) {
        let removed = if dry_run { Ok(()) } else { self.remove_archive(name) };
        note(response, name, removed.map(|()| size));
    }

    /// What is no archive: restored, or to be archived.
    fn note_other(&self, response: &mut PruneResponse, id: &str, dry_run: bool) {
        let removed = match self.remove_restored(id, dry_run) {
            Err(ArchiveError::NotFound { .. }) => self.remove_retained(id, dry_run),
            removed => removed,
        };
        note(response, id, removed);
    }

    fn remove_archive(&self, name: &str) -> Result<(), ArchiveError> {
        let Some(_alone) = self.hold_alone(name) else { return Err(ArchiveError::InUse { id: name.to_owned() }) };
        let path = self.root().join(name);
        scratch::remove(&path).map_err(|error| ArchiveError::io("delete", &path, error))
    }

    /// Size of the archive of that name, as far as it says so. None when there is none.
    fn named(&self, id: &str) -> Result<Option<u64>, ArchiveError> {
        let archive = match self.open(id) {
            Ok(archive) => archive,
            Err(ArchiveError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_archive = statat(archive.directory.root(), MANIFEST, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        Ok(is_archive.then(|| read_manifest(&archive.directory).map_or(0, |read| read.manifest.size())))
    }

    fn candidates(&self) -> Result<Vec<Candidate>, ArchiveError> {
        let failed = |error: Errno| ArchiveError::io("list", self.root(), error.into());
        let root = match Tree::open_chosen(self.root()) {
            Ok(root) => root,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut found = Vec::new();
        for entry in list(root.root()).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.kind == FileType::Directory
                && let Ok(name) = entry.name.to_str()
                && id::is_valid(name)
                && let Ok(directory) = root.child(&entry.name)
                && let Ok(read) = read_manifest(&directory)
                && read.manifest.schema_version == SCHEMA
                && let Some(created) = read.manifest.created()
            {
                found.push(Candidate { name: name.to_owned(), created, size: read.manifest.size() });
            }
        }
        Ok(found)
    }
}

/// What is not to be kept, oldest first.
fn surplus(mut candidates: Vec<Candidate>, retention: &Retention, now: Timestamp) -> Vec<Candidate> {
    candidates.sort_unstable_by(|a, b| (b.created, &b.name).cmp(&(a.created, &a.name)));
    let (mut count, mut bytes) = (0_usize, 0_u64);
    let mut surplus: Vec<Candidate> = candidates
        .into_iter()
        .filter(|candidate| {
            let kept = retention.max_age.is_none_or(|max| age(candidate.created, now) <= max)
                && retention.max_count.is_none_or(|max| count < max)
                && retention.max_bytes.is_none_or(|max| bytes.saturating_add(candidate.size) <= max);
            if kept {
                count += 1;
                bytes = bytes.saturating_add(candidate.size);
            }
            !kept
        })
        .collect();
    surplus.reverse();
    surplus
}

/// One from the future, after a clock was set, has no age.
fn age(created: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(created)).unwrap_or_default()
}

/// What became of one, and the bytes that it had.
fn note(response: &mut PruneResponse, id: &str, removed: Result<u64, ArchiveError>) {
    match removed {
        Ok(size_bytes) => {
            response.freed_bytes = response.freed_bytes.saturating_add(size_bytes);
            response.removed.push(PrunedWorkarea { id: id.to_owned(), size_bytes });
        }
        Err(error) => skip(response, id, &error),
    }
}

fn skip(response: &mut PruneResponse, id: &str, error: &ArchiveError) {
    let reason = error_chain(error);
    response.skipped.push(SkippedWorkarea { id: id.to_owned(), reason });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(retention: Retention) -> Vec<String> {
        let at = |hours: i64| Timestamp::from_second(1_000_000 + hours * 3600).unwrap();
        let all = [("old", 0, 50), ("mid", 10, 30), ("new", 20, 20), ("future", 99, 10)];
        let all = all.map(|(name, hours, size)| Candidate { name: name.to_owned(), created: at(hours), size });
        surplus(all.into(), &retention, at(21)).into_iter().map(|candidate| candidate.name).collect()
    }

    #[test]
    fn the_newest_stay() {
        let none = Retention::default();
        assert!(gone(none).is_empty());
        assert_eq!(gone(Retention { max_age: Some(Duration::from_secs(11 * 3600)), ..none }), ["old"]);
        assert_eq!(gone(Retention { max_count: Some(1), ..none }), ["old", "mid", "new"]);
        assert_eq!(gone(Retention { max_count: Some(0), ..none }).len(), 4);
        assert_eq!(gone(Retention { max_bytes: Some(60), ..none }), ["old"]);
        assert_eq!(gone(Retention { max_bytes: Some(0), ..none }).len(), 4);
    }
}
