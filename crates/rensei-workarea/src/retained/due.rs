//! Why retained workareas are not archived, and when it is worth another try.

use crate::archive::ArchiveError;
use crate::pool::Room;
use std::collections::BTreeMap;
use std::path::Path;

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
        use std::error::Error;
        let reason = match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
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
