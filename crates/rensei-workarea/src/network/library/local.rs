//! Pushing to a repository on this machine.
//!
//! libgit2's own transport for it knows bare repositories only, and looks at none of the rules that git keeps there.

use crate::git::GitEnvironment;
use crate::local::open_bare;
use crate::network::{Push, Verdict};
use git2::{Error, ErrorCode, Oid, Repository, RepositoryOpenFlags};
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Hooks that have a say in a push, or want to hear of it.
const HOOKS: [&str; 6] =
    ["pre-receive", "update", "proc-receive", "post-receive", "post-update", "reference-transaction"];

/// Puts the commit on its branch, as git would: neither over what others pushed nor under somebody's checkout.
pub(super) fn push(target: &Path, push: &Push, git: &GitEnvironment) -> Result<Verdict, Error> {
    let source = open_bare(&push.git_dir, git)?;
    let target = Repository::open_ext(target, RepositoryOpenFlags::NO_SEARCH, std::iter::empty::<&OsStr>())?;
    let name = format!("refs/heads/{}", push.branch);
    if let Some(why) = refusal(&target, &name, push)? {
        return Ok(Verdict::Refused(why));
    }
    let current = match target.refname_to_id(&name) {
        Ok(id) => Some(id),
        Err(error) if error.code() == ErrorCode::NotFound => None,
        Err(error) => return Err(error),
    };
    if !may_replace(&source, current, push)? {
        return Ok(Verdict::Diverged);
    }
    if current != Some(push.commit) {
        copy_objects(&source, &target, push.commit)?;
    }
    let before = current.unwrap_or(Oid::ZERO_SHA1);
    match target.reference_matching(&name, push.commit, current.is_some(), before, "push") {
        Ok(_) => Ok(Verdict::Taken),
        Err(error) if error.code() == ErrorCode::Modified => Ok(Verdict::Diverged),
        // Such as branches below it.
        Err(error) if error.class() == git2::ErrorClass::Reference => Ok(Verdict::Refused(error.message().to_owned())),
        Err(error) => Err(error),
    }
}

/// Why the repository does not want the push at all.
fn refusal(target: &Repository, name: &str, push: &Push) -> Result<Option<String>, Error> {
    if let Some(hook) = hook(target)? {
        return Ok(Some(format!("its hook `{hook}` cannot be run without the git executable")));
    }
    if push.replacing.is_some() && target.config()?.get_bool("receive.denyNonFastForwards").unwrap_or(false) {
        return Ok(Some("it takes nothing but fast-forwards".to_owned()));
    }
    if let Some(other) = in_the_way(target, name) {
        return Ok(Some(format!("its branch `{other}` is in the way")));
    }
    Ok(is_checked_out(target, name)?.then(|| "the branch is checked out there".to_owned()))
}

/// A branch that would have to be a directory.
fn in_the_way<'a>(target: &Repository, name: &'a str) -> Option<&'a str> {
    let slashes = name.match_indices('/').skip(2).map(|(at, _)| &name[..at]);
    let mut taken = slashes.filter(|parent| target.find_reference(parent).is_ok());
    taken.find_map(|parent| parent.strip_prefix("refs/heads/"))
}

fn hook(target: &Repository) -> Result<Option<&'static str>, Error> {
    let dir = match target.config()?.get_path("core.hooksPath") {
        Ok(path) if path.is_absolute() => path,
        Ok(path) => target.workdir().unwrap_or_else(|| target.path()).join(path),
        Err(_) => target.commondir().join("hooks"),
    };
    let runs = |path: PathBuf| path.metadata().is_ok_and(|found| found.permissions().mode() & 0o111 != 0);
    Ok(HOOKS.into_iter().find(|name| runs(dir.join(name))))
}

fn is_checked_out(target: &Repository, name: &str) -> Result<bool, Error> {
    let head_is = |repository: &Repository| {
        let head = repository.find_reference("HEAD").ok();
        head.is_some_and(|head| head.symbolic_target().ok().flatten() == Some(name))
    };
    if !target.is_bare() && head_is(target) {
        return Ok(true);
    }
    for worktree in &target.worktrees()? {
        let Ok(Some(worktree)) = worktree else { continue };
        let opened = target.find_worktree(worktree).and_then(|worktree| Repository::open_from_worktree(&worktree));
        if opened.is_ok_and(|opened| head_is(&opened)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn may_replace(source: &Repository, current: Option<Oid>, push: &Push) -> Result<bool, Error> {
    match (current, push.replacing) {
        (None, None) => Ok(true),
        (current, Some(replacing)) => Ok(current == Some(replacing)),
        (Some(current), None) if current == push.commit => Ok(true),
        (Some(current), None) if source.odb()?.exists(current) => source.graph_descendant_of(push.commit, current),
        (Some(_), None) => Ok(false),
    }
}

/// Gives the target what it lacks of the commit's history.
fn copy_objects(source: &Repository, target: &Repository, commit: Oid) -> Result<(), Error> {
    let mut walk = source.revwalk()?;
    walk.push(commit)?;
    let odb = source.odb()?;
    for reference in target.references()? {
        let Some(id) = reference.ok().and_then(|reference| reference.peel_to_commit().ok()).map(|commit| commit.id())
        else {
            continue;
        };
        if odb.exists(id) {
            walk.hide(id)?;
        }
    }
    let mut builder = source.packbuilder()?;
    builder.insert_walk(&mut walk)?;
    if builder.object_count() == 0 {
        return Ok(());
    }
    let target = target.odb()?;
    let mut writer = target.packwriter()?;
    let mut failed = None;
    builder.foreach(|chunk| {
        failed = writer.write_all(chunk).err();
        failed.is_none()
    })?;
    if let Some(error) = failed {
        return Err(Error::from_str(&error.to_string()));
    }
    writer.commit().map(drop)
}
