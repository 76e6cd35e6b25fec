//! Files in a directory that a child may write to.

use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a file that a child may have replaced: a symlink is refused, and a pipe must not make anyone wait for its
/// writer.
///
/// # Errors
/// When there is no regular file of that name, or the system refuses.
pub fn open_child_file(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().read(true), path)
}

/// The same for adding to a file; one that is missing is made, mode 0600.
///
/// # Errors
/// When something else has that name, or the system refuses.
pub fn append_child_file(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().append(true).create(true).mode(0o600), path)
}

fn regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let file = options.custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_nothing_waits() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link, pipe) = (dir.path().join("file"), dir.path().join("link"), dir.path().join("pipe"));
        std::fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(open_child_file(&file).is_ok());
        for refused in [&link, &pipe, &dir.path().to_owned(), &dir.path().join("missing")] {
            assert!(open_child_file(refused).is_err(), "{}", refused.display());
        }
        for refused in [&link, &pipe, &dir.path().to_owned()] {
            assert!(append_child_file(refused).is_err(), "{}", refused.display());
        }
        assert!(append_child_file(&file).is_ok() && append_child_file(&dir.path().join("new")).is_ok());
    }
}
