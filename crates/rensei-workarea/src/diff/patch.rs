//! Differences of text files as patches.

use crate::tree::{Tree, file_type, open_file, unescaped};
use rensei_proto::control::DiffEntry;
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use similar::TextDiff;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

/// Larger files are not shown.
const MAX_BYTES: u64 = 1 << 20;
/// Longest that one file is looked at for the smallest difference; after that any difference will do.
const DEADLINE: Duration = Duration::from_millis(500);

/// What a patch says of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patch {
    /// A unified difference.
    Text(String),
    /// One of the files is not UTF-8 text.
    Binary,
    /// One of the files has more than a MiB.
    TooLarge,
    /// There is no regular file on either side, or the contents are the same.
    Nothing,
}

/// Content of one side.
enum Content {
    Absent,
    Text(String),
    Other(Patch),
}

/// The patch from the file at `entry` in `tree_a` to that in `tree_b`, the `tree` directories of two archives.
///
/// # Errors
/// When a file cannot be read.
pub fn patch(tree_a: &Path, tree_b: &Path, entry: &DiffEntry) -> io::Result<Patch> {
    let path = match &entry.path_escaped {
        Some(text) => unescaped(text),
        None => entry.path.clone().into_bytes(),
    };
    let (a, b) = (content(tree_a, &path, &entry.mode_a)?, content(tree_b, &path, &entry.mode_b)?);
    let (a, b, heads) = match (a, b) {
        (Content::Other(patch), _) | (_, Content::Other(patch)) => return Ok(patch),
        (Content::Absent, Content::Absent) => return Ok(Patch::Nothing),
        (Content::Absent, Content::Text(b)) => (String::new(), b, (false, true)),
        (Content::Text(a), Content::Absent) => (a, String::new(), (true, false)),
        (Content::Text(a), Content::Text(b)) => (a, b, (true, true)),
    };
    if a == b {
        return Ok(Patch::Nothing);
    }
    let name = |side: &str, there: bool| if there { format!("{side}/{}", entry.path) } else { "/dev/null".to_owned() };
    let difference = TextDiff::configure().timeout(DEADLINE).diff_lines(&a, &b);
    let mut unified = difference.unified_diff();
    Ok(Patch::Text(unified.context_radius(3).header(&name("a", heads.0), &name("b", heads.1)).to_string()))
}

fn content(tree: &Path, path: &[u8], mode: &str) -> io::Result<Content> {
    if mode.is_empty() {
        return Ok(Content::Absent);
    }
    let (directory, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"".as_slice(), path),
    };
    let name = CString::new(name)?;
    let directory = Tree::open(tree)?.directory(directory)?;
    let file = match open_file(std::os::fd::AsFd::as_fd(&directory), &name) {
        Ok(file) => File::from(file),
        // A link, or a socket.
        Err(Errno::LOOP | Errno::NXIO) => return Ok(Content::Absent),
        Err(error) => return Err(error.into()),
    };
    if file_type(&fstat(&file)?) != FileType::RegularFile {
        return Ok(Content::Absent);
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Ok(Content::Other(Patch::TooLarge));
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Content::Text(text),
        _ => Content::Other(Patch::Binary),
    })
}
