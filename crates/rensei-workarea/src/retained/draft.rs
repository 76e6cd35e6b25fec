//! What the archive of a retained workarea is going to say.

use crate::archive::{ArchiveManifest, ArchiveMetadata, STAMP, read_named_manifest};
use crate::marker::Marker;
use crate::tree::Tree;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::ffi::CString;
use std::path::Path;

/// Length of a time in a name.
const STAMP_LEN: usize = "20260102T030405Z".len();

/// From the note, or else from what name and workarea say.
pub(super) fn read(retained: &Path, id: &str) -> ArchiveManifest {
    let noted = noted(retained, id).filter(|noted| noted.id == id && !noted.session_id.is_empty());
    noted.unwrap_or_else(|| guessed(retained, id))
}

fn noted(retained: &Path, id: &str) -> Option<ArchiveManifest> {
    let name = CString::new(format!("{id}.json")).ok()?;
    let directory = Tree::open(retained).ok()?;
    read_named_manifest(&directory, &name).ok().map(|read| read.manifest)
}

fn guessed(retained: &Path, id: &str) -> ArchiveManifest {
    let (session, created) = taken_apart(id);
    let marker = Marker::read_inside(&retained.join(id)).filter(|marker| marker.session_id.as_str() == session);
    let known = ArchiveMetadata {
        session_id: session.to_owned(),
        disposition: "failed".to_owned(),
        created_at: created.unwrap_or_default(),
        ..ArchiveMetadata::default()
    };
    let known = match marker {
        Some(marker) => ArchiveMetadata {
            attempt: marker.attempt,
            repository: crate::redact(&marker.repository),
            r#ref: marker.r#ref,
            branch: marker.branch,
            commit: marker.base_commit,
            ..known
        },
        None => known,
    };
    ArchiveManifest { id: id.to_owned(), ..known.draft() }
}

/// Session and time of a name such as `s1-20260102T030405Z-2`.
fn taken_apart(id: &str) -> (&str, Option<Timestamp>) {
    for (dash, _) in id.rmatch_indices('-') {
        let stamp = id.get(dash + 1..dash + 1 + STAMP_LEN);
        if let Some(created) = stamp.and_then(|stamp| DateTime::strptime(STAMP, stamp).ok()) {
            return (&id[..dash], created.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp()));
        }
    }
    (id, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_it_is() {
        let at = Some(Timestamp::from_second(1_767_323_045).unwrap());
        for (id, session, created) in [
            ("s1-20260102T030405Z", "s1", at),
            ("a-b-20260102T030405Z-2", "a-b", at),
            ("x-20260102T030405Z-20260102T030405Z", "x-20260102T030405Z", at),
            ("nothing-20269902T030405Z", "nothing-20269902T030405Z", None),
            ("ü", "ü", None),
        ] {
            assert_eq!(taken_apart(id), (session, created), "{id}");
        }
    }
}
