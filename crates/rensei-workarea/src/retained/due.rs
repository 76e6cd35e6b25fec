//! Why retained workareas are not archived, and when it is worth another try.

use crate::archive::{ArchiveError, Archives};
use crate::pool::{Room, replace};
use rensei_proto::error_chain;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Longest reason that is read.
const MAX_REASON: u64 = 4096;

/// What was tried in vain since this process began, by id.
#[derive(Debug, Default)]
pub(crate) struct Failures(BTreeMap<String, Failure>);

#[derive(Debug)]
struct Failure {
    reason: String,
    /// What was free after the attempt, when the disk was full.
    room: Option<Room>,
}

impl Failures {
    pub(super) fn note(&mut self, id: &str, error: &ArchiveError, root: &Path) {
        let reason = error_chain(error);
        let full = matches!(error, ArchiveError::DiskFull { .. });
        let room = full.then(|| Room::of(root)).transpose().unwrap_or_default();
        self.0.insert(id.to_owned(), Failure { reason, room });
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.0.remove(id);
    }

    pub(super) fn reason(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(|failure| failure.reason.as_str())
    }

    /// Whether it may succeed: after a full disk when there is more room, after anything else not before the next start.
    pub(super) fn is_due(&self, id: &str, root: &Path) -> bool {
        match self.0.get(id) {
            None => true,
            Some(Failure { room: Some(then), .. }) => Room::of(root).is_ok_and(|now| now.is_more_than(*then)),
            Some(Failure { room: None, .. }) => false,
        }
    }
}

impl Archives {
    pub(super) fn note_failure(&self, id: &str, error: &ArchiveError) {
        self.failures().note(id, error, self.root());
        if error.is_permanent()
            && let Err(error) = replace(&self.failed_of(id), error_chain(error).as_bytes())
        {
            // It costs another try at the next start.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(workarea_id = id, error, "it is not noted that a workarea cannot be archived");
        }
    }

    /// Why a workarea could not be archived, at an earlier start or this one, when no further start changes that.
    pub(super) fn failed_for_good(&self, id: &str) -> Option<String> {
        let mut reason = Vec::new();
        File::open(self.failed_of(id)).ok()?.take(MAX_REASON).read_to_end(&mut reason).ok()?;
        Some(String::from_utf8_lossy(&reason).into_owned())
    }

    pub(super) fn has_failed_for_good(&self, id: &str) -> bool {
        std::fs::symlink_metadata(self.failed_of(id)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ArchiveMetadata;

    #[test]
    fn what_can_never_be_archived_is_tried_again_only_when_somebody_asks() {
        let dir = tempfile::tempdir().unwrap();
        let archives = || Archives::new(&dir.path().join("workareas"));
        let first = archives();
        let metadata = ArchiveMetadata { session_id: "s1".to_owned(), ..ArchiveMetadata::default() };
        let moved = first.retain(&metadata, |to| {
            std::fs::create_dir(to).unwrap();
            Ok(true)
        });
        let id = moved.unwrap().unwrap();
        let reason = "the tree has more than 7 bytes".to_owned();
        first.note_failure(&id, &ArchiveError::TooLarge { path: id.clone(), reason });

        let next_start = archives();
        next_start.settle_all();
        next_start.forget_settled();
        assert!(next_start.list().unwrap().is_empty());
        let shown = next_start.retained().unwrap().remove(0).disposition;
        assert!(shown.starts_with("not archived: ") && shown.contains("7 bytes"), "{shown}");
        next_start.settle(&id).unwrap();
        assert_eq!(next_start.list().unwrap().len(), 1);
        assert_eq!(std::fs::read_dir(next_start.retained_root()).unwrap().count(), 0);
    }
}
