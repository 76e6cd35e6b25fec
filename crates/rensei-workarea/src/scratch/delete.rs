//! Deleting trees of any depth, whatever is done to them meanwhile.
//!
//! Everything is opened and removed relative to a directory that is open, and never through a link. Only so many levels
//! are open at the same time: what is deeper is moved up to the top of the tree, and its turn comes there.

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fchmod, fstat, openat, renameat, unlinkat};
use rustix::io::{Errno, Result};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Levels that are open at the same time.
const LEVELS: usize = 48;
/// Tries for what is not empty although all that was in it is gone: somebody still writes.
const TRIES: usize = 3;
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// Deletes the directory at `path`, also one with directories that were made read-only (package caches do that).
pub(super) fn delete(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = CString::new(path.file_name().ok_or(Errno::INVAL)?.as_bytes()).map_err(|_nul| Errno::INVAL)?;
    let parent = rustix::fs::open(parent, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty())?;
    let mut tries = 0;
    loop {
        let top = open(parent.as_fd(), &name)?;
        let mut deleter = Deleter { top: top.as_fd(), lifted: 0 };
        deleter.empty(openat(&top, c".", DIRECTORY, Mode::empty())?, 0)?;
        match unlinkat(&parent, &name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) if deleter.lifted > 0 => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) if tries < TRIES => tries += 1,
            done => return done,
        }
    }
}

struct Deleter<'a> {
    top: BorrowedFd<'a>,
    /// Directories that were moved to the top in this pass.
    lifted: u64,
}

impl Deleter<'_> {
    /// Removes what is in a directory but for what somebody writes meanwhile.
    fn empty(&mut self, directory: OwnedFd, level: usize) -> Result<()> {
        let mut directory = Dir::new(directory)?;
        while let Some(entry) = directory.read() {
            let entry = entry?;
            let name = entry.file_name();
            match entry.file_type() {
                _ if matches!(name.to_bytes(), b"." | b"..") => {}
                FileType::Directory | FileType::Unknown => self.directory(directory.fd()?, name, level)?,
                _ => unlink(directory.fd()?, name)?,
            }
        }
        Ok(())
    }

    fn directory(&mut self, above: BorrowedFd<'_>, name: &CStr, level: usize) -> Result<()> {
        let opened = match open(above, name) {
            Ok(opened) => opened,
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTDIR | Errno::LOOP) => return unlink(above, name),
            Err(Errno::MFILE | Errno::NFILE) if level > 0 => return self.lift(above, name),
            Err(error) => return Err(error),
        };
        if level >= LEVELS {
            return self.lift(above, name);
        }
        self.empty(opened, level + 1)?;
        match unlinkat(above, name, AtFlags::REMOVEDIR) {
            // Not any more, or not yet; the next pass shows it.
            Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(()),
            done => done,
        }
    }

    /// Moves a directory to the top, under a name that is free there.
    fn lift(&mut self, above: BorrowedFd<'_>, name: &CStr) -> Result<()> {
        loop {
            let free = format!(".lifted-{}", self.lifted);
            self.lifted += 1;
            match renameat(above, name, self.top, free.as_str()) {
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                Err(Errno::NOENT) => return Ok(()),
                done => return done,
            }
        }
    }
}

fn unlink(above: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    match unlinkat(above, name, AtFlags::empty()) {
        // Gone, or a directory by now; the next pass shows it.
        Err(Errno::NOENT | Errno::ISDIR) => Ok(()),
        done => done,
    }
}

/// Opens a directory so that what is in it can be listed and removed.
fn open(above: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let opened = match openat(above, name, DIRECTORY, Mode::empty()) {
        Err(Errno::ACCESS) => {
            unlock(above, name)?;
            openat(above, name, DIRECTORY, Mode::empty())?
        }
        opened => opened?,
    };
    if !Mode::from_raw_mode(fstat(&opened)?.st_mode).contains(Mode::RWXU) {
        // Errors show up when something in it is removed.
        let _ = fchmod(&opened, Mode::RWXU);
    }
    Ok(opened)
}

/// Gives its owner access to a directory, which is pinned first: a link that takes its place is not followed.
#[cfg(target_os = "linux")]
fn unlock(above: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    use std::os::fd::AsRawFd;
    let pinned = openat(above, name, DIRECTORY.union(OFlags::PATH), Mode::empty())?;
    rustix::fs::chmod(format!("/proc/self/fd/{}", pinned.as_raw_fd()), Mode::RWXU)
}

#[cfg(not(target_os = "linux"))]
fn unlock(above: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    rustix::fs::chmodat(above, name, Mode::RWXU, AtFlags::SYMLINK_NOFOLLOW)
}
