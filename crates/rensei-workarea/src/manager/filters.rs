//! Whether files look different in a checkout than in the repository.

use crate::git::GitEnvironment;
use git2::{Repository, Tree, TreeWalkMode, TreeWalkResult};

/// Larger attribute files are not searched but obeyed.
const MAX_SEARCHED: usize = 1 << 20;

/// Whether writing the files of `tree` may need line-ending or keyword conversion.
///
/// libgit2 looks for attributes anew for every file, which triples the time of a checkout; that pays only where an
/// attribute or a setting asks for something. On systems with LF line endings just `crlf` in its forms and `ident` do.
pub(crate) fn are_needed(repository: &Repository, tree: &Tree<'_>, git: &GitEnvironment) -> Result<bool, git2::Error> {
    let config = repository.config()?;
    let asks =
        |name: &str, harmless: &[&str]| config.get_string(name).is_ok_and(|value| !harmless.contains(&value.as_str()));
    let configured = asks("core.autocrlf", &["false", "input"])
        || asks("core.eol", &["lf", "native"])
        || asks("core.attributesfile", &[]);
    if configured || git.attribute_files().iter().any(|path| path.exists()) {
        return Ok(true);
    }
    let mut found = false;
    tree.walk(TreeWalkMode::PreOrder, |_, entry| {
        if entry.name_bytes().eq_ignore_ascii_case(b".gitattributes") && asks_for_conversion(repository, entry.id()) {
            found = true;
            return TreeWalkResult::Abort;
        }
        TreeWalkResult::Ok
    })
    // Stopping early is reported as an error.
    .or_else(|error| if found { Ok(()) } else { Err(error) })?;
    Ok(found)
}

fn asks_for_conversion(repository: &Repository, blob: git2::Oid) -> bool {
    // What cannot be read is left to the checkout to complain about.
    let Ok(blob) = repository.find_blob(blob) else { return true };
    let content = blob.content();
    let has = |word: &[u8]| content.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word));
    content.len() > MAX_SEARCHED || has(b"crlf") || has(b"ident")
}
