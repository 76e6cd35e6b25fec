//! Where a checkout has its objects from.

use super::request::CloneStrategy;
use crate::WorkareaError;
use git2::{Oid, Repository, RepositoryOpenFlags};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Lets a new repository have the objects of the mirror, and know where its history is cut off.
pub(super) fn borrow(
    git_dir: &Path,
    mirror: &Path,
    strategy: CloneStrategy,
    base: Option<Oid>,
) -> Result<(), WorkareaError> {
    let failed = |error| WorkareaError::io("set up", git_dir, error);
    match strategy {
        CloneStrategy::Shallow => {
            lend(git_dir, mirror).map_err(failed)?;
            let cut = base.map(|base| format!("{base}\n")).unwrap_or_default();
            if cut.is_empty() { Ok(()) } else { std::fs::write(git_dir.join("shallow"), cut).map_err(failed) }
        }
        CloneStrategy::ReferenceClone => lend(git_dir, mirror)
            .and_then(|()| copy_if_any(&mirror.join("shallow"), &git_dir.join("shallow")))
            .map_err(failed),
        CloneStrategy::Full => {
            copy_objects(&mirror.join("objects"), &git_dir.join("objects"))
                .and_then(|()| copy_if_any(&mirror.join("shallow"), &git_dir.join("shallow")))
                .map_err(failed)?;
            copy_refs(git_dir, mirror)
        }
    }
}

fn lend(git_dir: &Path, mirror: &Path) -> io::Result<()> {
    std::fs::create_dir_all(git_dir.join("objects/info"))?;
    std::fs::write(git_dir.join("objects/info/alternates"), format!("{}\n", mirror.join("objects").display()))
}

fn copy_if_any(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::copy(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Copies rather than links: what an agent does to its files must not reach the mirror. Shares blocks where the file
/// system can.
fn copy_objects(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name());
        if kind.is_dir() {
            copy_objects(&entry.path(), &to.join(name))?;
        } else if kind.is_file() && !name.as_encoded_bytes().starts_with(b"tmp_") {
            copy_if_any(&entry.path(), &to.join(name))?;
        }
    }
    Ok(())
}

/// All branches of the remote, and its tags.
fn copy_refs(git_dir: &Path, mirror: &Path) -> Result<(), WorkareaError> {
    let failed = |error: &git2::Error| WorkareaError::local("read the mirror's branches", error);
    let flags = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::BARE | RepositoryOpenFlags::NO_DOTGIT;
    let opened = Repository::open_ext(mirror, flags, std::iter::empty::<&OsStr>());
    let repository = opened.map_err(|error| failed(&error))?;
    let mut lines = Vec::new();
    for reference in repository.references().map_err(|error| failed(&error))?.flatten() {
        let (Ok(name), Some(id)) = (reference.name(), reference.target()) else { continue };
        let renamed = name.strip_prefix("refs/heads/").map(|branch| format!("refs/remotes/origin/{branch}"));
        match renamed {
            Some(renamed) => lines.push((renamed, id)),
            None if name.starts_with("refs/tags/") => lines.push((name.to_owned(), id)),
            None => {}
        }
    }
    lines.sort();
    let mut text = String::from("# pack-refs with: sorted\n");
    for (name, id) in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{id} {name}");
    }
    let path = git_dir.join("packed-refs");
    std::fs::write(&path, text).map_err(|error| WorkareaError::io("write", &path, error))
}
