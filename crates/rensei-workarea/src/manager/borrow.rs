//! Where a checkout has its objects from.

use super::request::CloneStrategy;
use crate::WorkareaError;
use crate::alternates::{copy_if_any, cut_off_alike, lend};
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
            lend(mirror, git_dir).map_err(failed)?;
            let cut = base.map(|base| format!("{base}\n")).unwrap_or_default();
            if cut.is_empty() { Ok(()) } else { std::fs::write(git_dir.join("shallow"), cut).map_err(failed) }
        }
        CloneStrategy::ReferenceClone => {
            lend(mirror, git_dir).and_then(|()| cut_off_alike(mirror, git_dir)).map_err(failed)
        }
        CloneStrategy::Full => {
            // First, as a fetch may go on meanwhile: it brings objects before references to them.
            let refs = packed_refs(mirror)?;
            copy_objects(&mirror.join("objects"), &git_dir.join("objects"))
                .and_then(|()| cut_off_alike(mirror, git_dir))
                .and_then(|()| std::fs::write(git_dir.join("packed-refs"), refs))
                .map_err(failed)
        }
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

/// All branches of the remote, and its tags, as a file of a checkout.
fn packed_refs(mirror: &Path) -> Result<String, WorkareaError> {
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
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use git2::Signature;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Brings news for as long as it is wanted.
    fn fetch(mirror: &Repository, wanted: &AtomicBool) {
        let who = Signature::now("t", "t@example.invalid").unwrap();
        let mut parent: Option<Oid> = None;
        for number in 0_u64.. {
            let mut tree = mirror.treebuilder(None).unwrap();
            tree.insert("file", mirror.blob(&number.to_le_bytes()).unwrap(), 0o100_644).unwrap();
            let tree = mirror.find_tree(tree.write().unwrap()).unwrap();
            let parents = parent.map(|id| mirror.find_commit(id).unwrap());
            let parents: Vec<_> = parents.iter().collect();
            parent = Some(mirror.commit(None, &who, &who, "news", &tree, &parents).unwrap());
            mirror.reference("refs/heads/main", parent.unwrap(), true, "").unwrap();
            if number > 100 && !wanted.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    #[test]
    fn a_copy_made_during_a_fetch_has_what_its_branches_lead_to() {
        let dir = tempfile::tempdir().unwrap();
        let mirror = Repository::init_bare(dir.path().join("mirror")).unwrap();
        fetch(&mirror, &AtomicBool::new(false));
        let wanted = AtomicBool::new(true);
        std::thread::scope(|scope| {
            let (path, wanted) = (dir.path(), &wanted);
            scope.spawn(move || fetch(&Repository::open_bare(path.join("mirror")).unwrap(), wanted));
            for round in 0..4 {
                let copy = Repository::init(path.join(round.to_string())).unwrap();
                borrow(copy.path(), &path.join("mirror"), CloneStrategy::Full, None).unwrap();
                let main = copy.find_reference("refs/remotes/origin/main").unwrap();
                let complete = main.peel_to_tree().and_then(|tree| copy.find_blob(tree.get(0).unwrap().id()).map(drop));
                assert_eq!(complete, Ok(()), "round {round}");
            }
            wanted.store(false, Ordering::Relaxed);
        });
    }
}
