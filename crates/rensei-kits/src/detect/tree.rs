//! One walk over a working tree, shared by all kits.

use super::DetectError;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// How deep below the tree a kit may have its root.
const ROOT_DEPTH: usize = 3;
/// Entries that are looked at; a tree with more of them is not looked at in full.
const MAX_ENTRIES: usize = 200_000;
/// Directories that belong to tools, to other people's code or to tests: nothing in them says what the project is.
const SKIPPED: [&str; 17] = [
    "node_modules",
    "vendor",
    "third_party",
    "bower_components",
    "target",
    "dist",
    "build",
    "out",
    "venv",
    "__pycache__",
    "testdata",
    "fixtures",
    "examples",
    "test",
    "tests",
    "Pods",
    "bazel-out",
];

/// A directory in which at least one kit may have its root.
#[derive(Debug)]
pub(super) struct Dir {
    /// Relative path; empty: the tree itself.
    pub(super) path: String,
    /// Names of its entries.
    pub(super) names: HashSet<String>,
    /// Numbers of the kits that may have their root here, ascending.
    pub(super) kits: Vec<usize>,
}

/// What was seen.
#[derive(Debug)]
pub(super) struct Walked {
    /// The tree.
    pub(super) tree: PathBuf,
    /// Candidates, parents before children. The first one is the tree itself.
    pub(super) dirs: Vec<Dir>,
    /// Relative paths of all files, when wanted.
    pub(super) files: Vec<String>,
    /// Whether there was more.
    pub(super) truncated: bool,
}

/// Walks breadth first, without following links. `all_files`: also below the depth of roots, and remembers every file.
pub(super) fn walk(
    tree: &Path,
    all_files: bool,
    candidates: impl Fn(&HashSet<String>) -> Vec<usize>,
) -> Result<Walked, DetectError> {
    let mut walked = Walked { tree: tree.to_owned(), dirs: Vec::new(), files: Vec::new(), truncated: false };
    let mut level = vec![String::new()];
    let (mut depth, mut seen) = (0, 0);
    while !level.is_empty() && (all_files || depth <= ROOT_DEPTH) {
        let mut next = Vec::new();
        for path in level {
            let listing = match list(&tree.join(&path)) {
                Ok(listing) => listing,
                Err(source) if path.is_empty() => {
                    return Err(DetectError::Unreadable { path: tree.to_owned(), source });
                }
                Err(_) => continue,
            };
            seen += listing.names.len();
            if seen > MAX_ENTRIES {
                walked.truncated = true;
                return Ok(walked);
            }
            let child = |name: &String| if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            next.extend(listing.dirs.iter().map(child));
            if all_files {
                walked.files.extend(listing.files().map(child));
            }
            let kits = if depth <= ROOT_DEPTH { candidates(&listing.names) } else { Vec::new() };
            if !kits.is_empty() || path.is_empty() {
                walked.dirs.push(Dir { path, names: listing.names, kits });
            }
        }
        level = next;
        depth += 1;
    }
    Ok(walked)
}

struct Listing {
    names: HashSet<String>,
    /// Directories to look into, sorted.
    dirs: Vec<String>,
    other_dirs: HashSet<String>,
}

impl Listing {
    fn files(&self) -> impl Iterator<Item = &String> {
        self.names.iter().filter(|name| !self.other_dirs.contains(*name) && self.dirs.binary_search(name).is_err())
    }
}

/// Names that are not UTF-8 cannot be meant by any manifest.
fn list(path: &Path) -> std::io::Result<Listing> {
    let mut listing = Listing { names: HashSet::new(), dirs: Vec::new(), other_dirs: HashSet::new() };
    for entry in std::fs::read_dir(path)? {
        let Ok(entry) = entry else { continue };
        let Ok(name) = entry.file_name().into_string() else { continue };
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if name.starts_with('.') || SKIPPED.contains(&name.as_str()) {
                listing.other_dirs.insert(name.clone());
            } else {
                listing.dirs.push(name.clone());
            }
        }
        listing.names.insert(name);
    }
    listing.dirs.sort_unstable();
    Ok(listing)
}
