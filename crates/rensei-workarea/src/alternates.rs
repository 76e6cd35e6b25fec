//! Objects that one repository has from another.

use std::io;
use std::path::Path;

/// Lets `to` use the objects of `from`; both are the directories with `objects` in them.
pub(crate) fn lend(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to.join("objects/info"))?;
    std::fs::write(to.join("objects/info/alternates"), format!("{}\n", from.join("objects").display()))
}

/// Lets `to` know where the history of `from` is cut off, if it is.
pub(crate) fn cut_off_alike(from: &Path, to: &Path) -> io::Result<()> {
    copy_if_any(&from.join("shallow"), &to.join("shallow"))
}

/// Copies a file. That there is none is no error.
pub(crate) fn copy_if_any(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::copy(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
