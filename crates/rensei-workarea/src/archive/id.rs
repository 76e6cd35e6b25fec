//! Ids of archives and restored workareas.

use super::ArchiveError;
use std::ffi::CString;

/// Longest id.
const MAX_LEN: usize = 240;

/// The name of the directory: one component of a path, and none that is hidden.
pub(crate) fn file_name(id: &str) -> Result<CString, ArchiveError> {
    if is_valid(id)
        && let Ok(name) = CString::new(id)
    {
        return Ok(name);
    }
    Err(ArchiveError::InvalidId { shown: id.chars().take(40).flat_map(char::escape_debug).collect() })
}

/// Whether an archive of that name can be spoken of. Hidden names are those of what is being built or deleted.
pub(crate) fn is_valid(id: &str) -> bool {
    let allowed = |c: char| !c.is_control() && !matches!(c, '/' | '\\');
    !id.is_empty() && id.len() <= MAX_LEN && !id.starts_with('.') && id.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_component() {
        for good in ["a", "s1-20260101T000000Z", "wa with space", "ünïcode", "a..b", &"x".repeat(240)] {
            assert!(file_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", ".new-1", "a/b", "../a", "a\\b", "a\0", "a\n", "/etc", &"x".repeat(241)] {
            assert!(matches!(file_name(bad), Err(ArchiveError::InvalidId { .. })), "{bad}");
        }
    }
}
