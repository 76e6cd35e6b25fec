//! Why retained workareas are not archived, and when it is worth another try.

use crate::archive::{ArchiveError, Archives};
use crate::pool::{Room, replace};
use rensei_proto::error_chain;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest reason that is read.
const MAX_REASON: u64 = 4096;
/// Time from the first failure to the second attempt. Each further one takes twice as long to come, up to a bound.
const FIRST_PAUSE: Duration = Duration::from_secs(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);

/// What was tried in vain since this process began, by id.
#[derive(Debug, Default)]
pub(crate) struct Failures(BTreeMap<String, Failure>);

#[derive(Debug)]
struct Failure {
    reason: String,
    again: Again,
}

/// When it is worth another try.
#[derive(Debug, Clone, Copy)]
enum Again {
    /// When there is more than this, which was free after the disk had been full.
    WithMoreRoom(Room),
    /// After such a pause.
    After { failed_at: Instant, pause: Duration },
}

impl Failures {
    pub(super) fn note(&mut self, id: &str, error: &ArchiveError, root: &Path, failed_at: Instant) {
        let full = matches!(error, ArchiveError::DiskFull { .. });
        let pause = match self.0.get(id).map(|earlier| earlier.again) {
            Some(Again::After { pause, .. }) => (pause * 2).min(LONGEST_PAUSE),
            Some(Again::WithMoreRoom(_)) | None => FIRST_PAUSE,
        };
        let again = match full.then(|| Room::of(root)) {
            Some(Ok(room)) => Again::WithMoreRoom(room),
            Some(Err(_)) | None => Again::After { failed_at, pause },
        };
        self.0.insert(id.to_owned(), Failure { reason: error_chain(error), again });
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.0.remove(id);
    }

    pub(super) fn reason(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(|failure| failure.reason.as_str())
    }

    /// Whether it may succeed: after a full disk when there is more room, after anything else when some time has passed.
    pub(super) fn is_due(&self, id: &str, root: &Path, now: Instant) -> bool {
        match self.0.get(id).map(|failure| failure.again) {
            None => true,
            Some(Again::WithMoreRoom(then)) => Room::of(root).is_ok_and(|room| room.is_more_than(then)),
            Some(Again::After { failed_at, pause }) => now.saturating_duration_since(failed_at) >= pause,
        }
    }
}

impl Archives {
    pub(super) fn note_failure(&self, id: &str, error: &ArchiveError) {
        self.failures().note(id, error, self.root(), Instant::now());
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
    fn attempts_come_more_and_more_rarely_and_never_end() {
        let (root, begun) = (Path::new("/"), Instant::now());
        let mut failures = Failures::default();
        let error = ArchiveError::InUse { id: "a".to_owned() };
        assert!(failures.is_due("a", root, begun));
        for pause in [300, 600, 1200, 2400, 4800, 9600, 19_200, 21_600, 21_600].map(Duration::from_secs) {
            failures.note("a", &error, root, begun);
            assert!(!failures.is_due("a", root, begun + pause - Duration::from_secs(1)), "{pause:?}");
            assert!(failures.is_due("a", root, begun + pause), "{pause:?}");
        }
        failures.forget("a");
        assert!(failures.is_due("a", root, begun));
    }

    #[test]
    fn what_failed_is_archived_later_by_the_same_host() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("workareas");
        let archives = Archives::new(&root);
        let id = retain(&archives);
        std::fs::write(&root, "in the way").unwrap();
        let before = Instant::now();
        archives.settle_all(before);
        let row = archives.retained().unwrap().remove(0);
        assert!(row.disposition.starts_with("not archived: "), "{}", row.disposition);
        std::fs::remove_file(&root).unwrap();
        archives.settle_all(before);
        assert!(archives.list().unwrap().is_empty());
        archives.settle_all(Instant::now() + FIRST_PAUSE);
        assert_eq!(archives.list().unwrap().remove(0).id, id);
        assert!(archives.retained().unwrap().is_empty());
    }

    fn retain(archives: &Archives) -> String {
        let metadata = ArchiveMetadata { session_id: "s1".to_owned(), ..ArchiveMetadata::default() };
        let moved = archives.retain(&metadata, |to| {
            std::fs::create_dir(to).unwrap();
            Ok(true)
        });
        moved.unwrap().unwrap()
    }

    #[test]
    fn what_can_never_be_archived_is_tried_again_only_when_somebody_asks() {
        let dir = tempfile::tempdir().unwrap();
        let archives = || Archives::new(&dir.path().join("workareas"));
        let first = archives();
        let id = retain(&first);
        let reason = "the tree has more than 7 bytes".to_owned();
        first.note_failure(&id, &ArchiveError::TooLarge { path: id.clone(), reason });

        let next_start = archives();
        next_start.settle_all(Instant::now() + LONGEST_PAUSE);
        next_start.forget_settled();
        assert!(next_start.list().unwrap().is_empty());
        let shown = next_start.retained().unwrap().remove(0).disposition;
        assert!(shown.starts_with("not archived: ") && shown.contains("7 bytes"), "{shown}");
        next_start.settle(&id).unwrap();
        assert_eq!(next_start.list().unwrap().len(), 1);
        assert_eq!(std::fs::read_dir(next_start.retained_root()).unwrap().count(), 0);
    }
}
