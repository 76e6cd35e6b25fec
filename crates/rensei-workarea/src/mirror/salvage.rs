//! What a new mirror takes over from the damaged one that it replaces.
//!
//! Checkouts that borrow from a mirror go on with the new one. What they have may be nowhere else: a remote forgets
//! history that was rewritten.

use git2::{Error, Odb, OdbLookupFlags, Oid, Reference, Repository};
use std::path::{Path, PathBuf};

/// Most pinned references that are fetched again.
const MAX_PINS: usize = 200;
/// Permissions of objects.
pub(super) const READ_ONLY: u32 = 0o444;

/// Copies what `target` lacks, and what is whole, from a directory of objects to `target`; how many objects.
pub(super) fn salvage(objects: &Path, target: &Path) -> Result<usize, Error> {
    let Some(path) = objects.to_str().filter(|_| objects.is_dir()) else { return Ok(0) };
    let old = Odb::new()?;
    old.add_disk_alternate(path)?;
    let missing = missing(&old, objects, &Repository::open_bare(target)?.odb()?);
    // Reading one compares it with its id.
    let whole: Vec<Oid> = missing.iter().copied().filter(|id| old.read(*id).is_ok()).collect();
    if missing.is_empty() {
        return Ok(0);
    }
    tracing::warn!(
        kept = whole.len(),
        lost = missing.len() - whole.len(),
        "a damaged mirror had objects that the remote does not have"
    );
    let both = Repository::open_bare(target)?;
    both.odb()?.add_disk_alternate(path)?;
    let mut pack = both.packbuilder()?;
    for id in &whole {
        pack.insert_object(*id, None)?;
    }
    if !whole.is_empty() {
        pack.write(&target.join("objects/pack"), READ_ONLY)?;
    }
    Ok(whole.len())
}

/// What is there by its name and not in `new`.
fn missing(old: &Odb<'_>, objects: &Path, new: &Odb<'_>) -> Vec<Oid> {
    let mut missing = Vec::new();
    let mut look_at = |id: &Oid| {
        if !new.exists_ext(*id, OdbLookupFlags::NO_REFRESH) {
            missing.push(*id);
        }
        true
    };
    // A damaged pack ends it; what is in no pack can still be found.
    if let Err(error) = old.foreach(&mut look_at) {
        tracing::warn!(objects = %objects.display(), %error, "not everything in a damaged mirror can be listed");
    }
    loose(objects).iter().for_each(|id| {
        look_at(id);
    });
    missing.sort_unstable();
    missing.dedup();
    missing
}

/// Objects in files of their own.
pub(super) fn loose(objects: &Path) -> Vec<Oid> {
    let mut found = Vec::new();
    for directory in entries(objects) {
        let Some(start) = name(&directory).filter(|name| name.len() == 2) else { continue };
        let files = entries(&directory);
        found.extend(files.iter().filter_map(|file| Oid::from_str(&format!("{start}{}", name(file)?)).ok()));
    }
    found
}

/// File of such an object.
pub(super) fn loose_path(objects: &Path, id: Oid) -> PathBuf {
    let text = id.to_string();
    objects.join(&text[..2]).join(&text[2..])
}

/// What the mirror in `dir` keeps although no branch or tag leads to it. Reads names only, as the rest may be damaged.
pub(super) fn pins(dir: &Path) -> Vec<String> {
    let root = dir.join("refs/rensei");
    let (mut pending, mut found) = (vec![root.clone()], Vec::new());
    while let Some(directory) = pending.pop() {
        for entry in entries(&directory) {
            if entry.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                pending.push(entry);
            } else if let Some(source) = entry.strip_prefix(&root).ok().and_then(Path::to_str)
                && Reference::is_valid_name(&super::resolve::pin(source))
            {
                found.push(source.to_owned());
            }
        }
    }
    found.sort();
    found.truncate(MAX_PINS);
    found
}

pub(super) fn entries(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}
