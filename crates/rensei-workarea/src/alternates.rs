//! Objects that one repository has from another.

use crate::tree::{Tree, open_file};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Most that is read of the list of lenders; an agent may have written it.
const MAX_LIST: u64 = 64 << 10;

/// Lets `to` use the objects of `from`; both are the directories with `objects` in them.
pub(crate) fn lend(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to.join("objects/info"))?;
    std::fs::write(to.join("objects/info/alternates"), format!("{}\n", from.join("objects").display()))
}

/// Repositories whose objects the one in `tree`, which was an agent's, uses.
///
/// # Errors
/// When that cannot be found out. That there is no repository, or something else in its place, is not an error.
pub(crate) fn lenders(tree: &Path) -> Result<Vec<PathBuf>, Errno> {
    let opened = Tree::open(tree).and_then(|tree| tree.directory(b".git/objects/info"));
    let mut list = match opened.and_then(|info| open_file(info.as_fd(), c"alternates")) {
        Ok(file) => File::from(file).take(MAX_LIST),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    if !list.get_ref().metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Ok(Vec::new());
    }
    list.read_to_end(&mut text).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let lines = text.split(|byte| *byte == b'\n').map(|line| Path::new(OsStr::from_bytes(line)));
    Ok(lines.filter_map(Path::parent).map(Path::to_owned).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_lenders_is_believed_only_if_it_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, mirror) = (dir.path().join("tree"), dir.path().join("repos/r 1"));
        let list = tree.join(".git/objects/info/alternates");
        assert_eq!(lenders(&tree), Ok(Vec::new()), "nothing");
        lend(&mirror, &tree.join(".git")).unwrap();
        assert_eq!(lenders(&tree).unwrap()[0], mirror);
        std::fs::rename(&list, dir.path().join("list")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("list"), &list).unwrap();
        assert_eq!(lenders(&tree), Ok(Vec::new()), "a link");
        std::fs::remove_file(&list).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&list).status().unwrap().success());
        assert_eq!(lenders(&tree), Ok(Vec::new()), "a pipe");
        std::fs::rename(tree.join(".git"), dir.path().join("git")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("git"), tree.join(".git")).unwrap();
        assert_eq!(lenders(&tree), Ok(Vec::new()), "a link on the way");
    }
}
