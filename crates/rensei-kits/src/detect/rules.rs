//! The declarative rules of one kit, asked of one directory.

use super::index::is_deep_glob;
use super::tree::{Dir, Walked};
use super::{Match, content};
use crate::kit::Kit;
use crate::names::is_glob;
use globset::GlobBuilder;
use std::sync::Arc;

/// A file of that name.
const BY_FILE: u8 = 60;
/// All files that it asks for.
const BY_ALL: u8 = 75;
/// What the files say.
const BY_CONTENT: u8 = 90;

/// The outermost directories that the kit applies to.
pub(super) fn matches(kit: &Arc<Kit>, number: usize, walked: &Walked) -> Vec<Match> {
    let mut found: Vec<Match> = Vec::new();
    for (place, dir) in walked.dirs.iter().enumerate() {
        let candidate = dir.kits.binary_search(&number).is_ok() || (place == 0 && reaches_deep(kit));
        if !candidate || found.iter().any(|outer| contains(&outer.root, &dir.path)) {
            continue;
        }
        if let Ok((confidence, reasons)) = ask(kit, dir, walked) {
            found.push(Match { kit: Arc::clone(kit), root: dir.path.clone(), confidence, reasons });
        }
    }
    found
}

/// Why the kit does not apply to the tree itself, which is what people look at first.
pub(super) fn why_not(kit: &Kit, walked: &Walked) -> String {
    let asked = walked.dirs.first().map(|dir| ask(kit, dir, walked));
    asked.and_then(Result::err).unwrap_or_else(|| "the tree is empty".to_owned())
}

/// Whether `inner` is `outer` or below it.
pub(super) fn contains(outer: &str, inner: &str) -> bool {
    outer.is_empty() || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn reaches_deep(kit: &Kit) -> bool {
    let detect = &kit.manifest.detect;
    detect.files.iter().chain(&detect.files_all).any(|pattern| is_deep_glob(pattern))
}

/// How sure and why, or why not.
fn ask(kit: &Kit, dir: &Dir, walked: &Walked) -> Result<(u8, Vec<String>), String> {
    let detect = &kit.manifest.detect;
    if detect.files.is_empty() && detect.files_all.is_empty() && detect.content_matches.is_empty() {
        return Err("it names no files to look for".to_owned());
    }
    if let Some(found) = detect.not_files.iter().find_map(|pattern| find(pattern, dir, walked)) {
        return Err(format!("there is {found}, which rules it out"));
    }
    let (mut confidence, mut reasons) = (0, Vec::new());
    for pattern in &detect.files_all {
        reasons.push(find(pattern, dir, walked).ok_or_else(|| format!("there is no {pattern}"))?);
        confidence = BY_ALL;
    }
    if !detect.files.is_empty() {
        let found = detect.files.iter().find_map(|pattern| find(pattern, dir, walked));
        reasons.push(found.ok_or_else(|| format!("there is none of {}", detect.files.join(", ")))?);
        confidence = confidence.max(BY_FILE);
    }
    for wanted in &detect.content_matches {
        reasons.push(content::find(wanted, &walked.tree.join(&dir.path))?);
        confidence = BY_CONTENT;
    }
    reasons.dedup();
    Ok((confidence, reasons))
}

/// What matches the pattern in the directory; of several the first by name.
fn find(pattern: &str, dir: &Dir, walked: &Walked) -> Option<String> {
    if !is_glob(pattern) {
        let there = match pattern.contains('/') {
            false => dir.names.contains(pattern),
            true => walked.tree.join(&dir.path).join(pattern).symlink_metadata().is_ok(),
        };
        return there.then(|| pattern.to_owned());
    }
    let glob = GlobBuilder::new(pattern).literal_separator(true).build().ok()?.compile_matcher();
    if !pattern.contains('/') {
        return dir.names.iter().filter(|name| glob.is_match(name)).min().cloned();
    }
    let below = walked.files.iter().filter_map(|file| match dir.path.as_str() {
        "" => Some(file.as_str()),
        path => file.strip_prefix(path)?.strip_prefix('/'),
    });
    below.filter(|file| glob.is_match(file)).min().map(ToOwned::to_owned)
}
