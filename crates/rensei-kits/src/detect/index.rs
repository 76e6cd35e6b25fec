//! Finds the kits that a directory listing may be about, without asking every kit about every directory.

use crate::kit::Kit;
use crate::names::is_glob;
use globset::{Glob, GlobSet, GlobSetBuilder};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Names and globs of which a kit's root has at least one, for all kits. A glob whose first part has wildcards and that
/// reaches deeper is not among them: it is about the tree as a whole.
pub(super) struct Index {
    names: HashMap<String, Vec<usize>>,
    globs: GlobSet,
    /// Which kit each glob is of.
    glob_kits: Vec<usize>,
    needs_files: bool,
}

impl Index {
    pub(super) fn of(kits: &[&Arc<Kit>]) -> Self {
        let mut index =
            Self { names: HashMap::new(), globs: GlobSet::empty(), glob_kits: Vec::new(), needs_files: false };
        let mut globs = GlobSetBuilder::new();
        for (number, kit) in kits.iter().enumerate() {
            let detect = &kit.manifest.detect;
            let patterns = detect.files.iter().chain(&detect.files_all).chain(&detect.not_files);
            index.needs_files |= patterns.clone().any(|pattern| is_deep_glob(pattern));
            for pattern in anchors(kit) {
                let first = pattern.split('/').next().unwrap_or_default();
                if !is_glob(first) {
                    index.names.entry(first.to_owned()).or_default().push(number);
                } else if let (false, Ok(glob)) = (pattern.contains('/'), Glob::new(first)) {
                    globs.add(glob);
                    index.glob_kits.push(number);
                }
            }
        }
        index.globs = globs.build().unwrap_or_else(|_| GlobSet::empty());
        index
    }

    /// Whether some pattern can only be answered with the paths of all files.
    pub(super) const fn needs_files(&self) -> bool {
        self.needs_files
    }

    /// Kits that may have their root in a directory with these entries.
    pub(super) fn candidates(&self, names: &HashSet<String>) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        for name in names {
            found.extend(self.names.get(name).into_iter().flatten());
            if !self.globs.is_empty() {
                found.extend(self.globs.matches(name).into_iter().map(|glob| self.glob_kits[glob]));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Patterns of which one must match wherever the kit applies.
fn anchors(kit: &Kit) -> Vec<&str> {
    let detect = &kit.manifest.detect;
    if let Some(all) = detect.files_all.first() {
        return vec![all];
    }
    if let ([], Some(content)) = (detect.files.as_slice(), detect.content_matches.first()) {
        return vec![&content.file];
    }
    detect.files.iter().map(String::as_str).collect()
}

/// A pattern with wildcards that reaches below one directory.
pub(super) fn is_deep_glob(pattern: &str) -> bool {
    is_glob(pattern) && pattern.contains('/')
}
