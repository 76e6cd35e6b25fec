//! Opening what is in a tree.

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::{Errno, Result};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Flags for directories.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);
/// Longest piece of a path that is opened at once; the kernel takes 4095 bytes.
const PIECE: usize = 4000;

/// A directory that is held open, with everything in it.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: CString,
    pub(crate) kind: FileType,
}

impl Tree {
    /// The tree at a path that is ours; symbolic links on the way there are followed, the last one is not.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self { root: rustix::fs::open(path, DIRECTORY, Mode::empty())? })
    }

    /// The tree at a path that a person chose, which may be a symbolic link.
    pub(crate) fn open_chosen(path: &Path) -> Result<Self> {
        Ok(Self { root: rustix::fs::open(path, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty())? })
    }

    /// A directory right below this one.
    pub(crate) fn child(&self, name: &CStr) -> Result<Self> {
        Ok(Self { root: openat(&self.root, name, DIRECTORY, Mode::empty())? })
    }

    /// The root itself.
    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens a directory at any depth; the empty path is the root.
    pub(crate) fn directory(&self, path: &[u8]) -> Result<OwnedFd> {
        if path.is_empty() {
            return openat(&self.root, c".", DIRECTORY, Mode::empty());
        }
        let mut at: Option<OwnedFd> = None;
        for piece in pieces(path) {
            at = Some(open_below(at.as_ref().unwrap_or(&self.root).as_fd(), piece)?);
        }
        at.ok_or(Errno::INVAL)
    }
}

/// Opens a regular file for reading. Anything else that is there by now is an error: a link is not followed, and a pipe
/// does not block.
pub(crate) fn open_file(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    openat(dir, name, flags, Mode::empty())
}

/// What is in a directory, in the order of the file system.
pub(crate) fn list(dir: BorrowedFd<'_>) -> Result<impl Iterator<Item = Result<Listed>>> {
    let dir = dir.try_clone_to_owned().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let named = Dir::read_from(&dir)?.filter_map(move |entry| match entry {
        Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => None,
        Ok(entry) => {
            let name = entry.file_name().to_owned();
            Some(known_kind(dir.as_fd(), &name, entry.file_type()).map(|kind| Listed { name, kind }))
        }
        Err(error) => Some(Err(error)),
    });
    Ok(named)
}

/// Some file systems do not say in the listing what a name is.
fn known_kind(dir: BorrowedFd<'_>, name: &CStr, kind: FileType) -> Result<FileType> {
    match kind {
        FileType::Unknown => statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| super::file_type(&stat)),
        known => Ok(known),
    }
}

/// Cuts a path between names, into pieces that the kernel takes.
fn pieces(path: &[u8]) -> Vec<&[u8]> {
    let (mut found, mut start, mut end) = (Vec::new(), 0, 0);
    for name in path.split(|byte| *byte == b'/') {
        let next = if end == 0 { name.len() } else { end + 1 + name.len() };
        if next - start > PIECE && end > start {
            found.push(&path[start..end]);
            start = end + 1;
        }
        end = next;
    }
    found.push(&path[start..end]);
    found
}

#[cfg(target_os = "linux")]
fn open_below(dir: BorrowedFd<'_>, piece: &[u8]) -> Result<OwnedFd> {
    use rustix::fs::{ResolveFlags, openat2};
    let confined = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(dir, piece, DIRECTORY, Mode::empty(), confined) {
        // An old kernel, or a sandbox that knows no such call.
        Err(Errno::NOSYS | Errno::PERM) => open_by_name(dir, piece),
        opened => opened,
    }
}

#[cfg(not(target_os = "linux"))]
fn open_below(dir: BorrowedFd<'_>, piece: &[u8]) -> Result<OwnedFd> {
    open_by_name(dir, piece)
}

fn open_by_name(dir: BorrowedFd<'_>, piece: &[u8]) -> Result<OwnedFd> {
    let mut at: Option<OwnedFd> = None;
    for name in piece.split(|byte| *byte == b'/') {
        if matches!(name, b"" | b"." | b"..") {
            return Err(Errno::XDEV);
        }
        at = Some(openat(at.as_ref().map_or(dir, AsFd::as_fd), name, DIRECTORY, Mode::empty())?);
    }
    at.ok_or(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_are_cut_between_names() {
        let name = [b'x'; 255];
        let long = vec![name.as_slice(); 40].join(&b'/');
        let cut = pieces(&long);
        assert!(cut.len() == 3 && cut.iter().all(|piece| piece.len() <= PIECE));
        assert_eq!(cut.join(&b'/'), long);
        assert_eq!(pieces(b"a"), [b"a"]);
    }

    #[test]
    fn nothing_outside_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("tree/a/b")).unwrap();
        std::fs::create_dir_all(dir.path().join("outside/c")).unwrap();
        std::os::unix::fs::symlink("../../outside", dir.path().join("tree/a/link")).unwrap();
        let tree = Tree::open(&dir.path().join("tree")).unwrap();
        assert!(tree.directory(b"a/b").is_ok() && tree.directory(b"").is_ok());
        for bad in ["a/link", "a/link/c", "..", "a/../../outside", "/", "a//b"] {
            let by_name = open_by_name(tree.root(), bad.as_bytes());
            assert!(by_name.is_err(), "{bad}");
            assert!(bad == "a//b" || tree.directory(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
