//! What is in a commit.

use crate::WorkareaError;
use git2::{ObjectType, Oid, Repository, Tree};
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// Most files of a commit.
const MAX_FILES: usize = 4_000_000;
/// Longest path of a file, and most that git itself can check out.
const MAX_PATH: usize = 4000;
/// Most directories around a file.
const MAX_DEPTH: usize = 512;
/// Larger files are not searched for attributes but taken to have them.
const MAX_SEARCHED: usize = 1 << 20;

/// Files that say which dependencies and which toolchain a project has.
const LOCKFILES: [&str; 27] = [
    ".go-version",
    ".java-version",
    ".node-version",
    ".nvmrc",
    ".python-version",
    ".ruby-version",
    ".tool-versions",
    "Cargo.lock",
    "Gemfile.lock",
    "Package.resolved",
    "Pipfile.lock",
    "bun.lock",
    "bun.lockb",
    "composer.lock",
    "deno.lock",
    "flake.lock",
    "go.sum",
    "gradle.lockfile",
    "mix.lock",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "pnpm-lock.yaml",
    "poetry.lock",
    "rust-toolchain",
    "rust-toolchain.toml",
    "uv.lock",
    "yarn.lock",
];

/// Mode of a submodule's entry.
pub(crate) const GITLINK: u32 = 0o160_000;
/// Mode of a symbolic link's entry.
pub(crate) const SYMLINK: u32 = 0o120_000;
/// Mode of an executable file's entry.
pub(crate) const EXECUTABLE: u32 = 0o100_755;
const FILE: u32 = 0o100_644;

/// One file, link or submodule of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Below the root, `/` between the names, any bytes.
    pub(crate) path: Vec<u8>,
    /// As git has it: a file, executable or not, a link, a submodule.
    pub(crate) mode: u32,
    /// The content.
    pub(crate) id: Oid,
}

/// All files of a commit, in the order of an index.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    pub(crate) items: Vec<Item>,
    /// Every directory that they are in.
    pub(crate) directories: HashSet<Vec<u8>>,
    /// Whether an attribute file asks for a conversion of line endings or keywords.
    pub(crate) converts: bool,
    /// Whether an attribute file says that files are in LFS.
    pub(crate) lfs: bool,
}

impl Listing {
    /// Paths of the submodules.
    pub(crate) fn submodules(&self) -> impl Iterator<Item = String> {
        let links = self.items.iter().filter(|item| item.mode == GITLINK);
        links.map(|item| String::from_utf8_lossy(&item.path).into_owned())
    }

    /// SHA-256 over names, modes and contents: what a clean tree is.
    pub(crate) fn checksum(&self) -> String {
        checksum(self.items.iter())
    }

    /// The same over the files that say which dependencies there are.
    pub(crate) fn lockfiles(&self) -> String {
        let is_lockfile = |item: &&Item| {
            let name = item.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            LOCKFILES.iter().any(|lockfile| lockfile.as_bytes() == name)
        };
        checksum(self.items.iter().filter(is_lockfile))
    }
}

fn checksum<'a>(items: impl Iterator<Item = &'a Item>) -> String {
    let mut hash = Sha256::new();
    for item in items {
        hash.update(item.mode.to_be_bytes());
        hash.update(item.id.as_bytes());
        hash.update(&item.path);
        hash.update([0]);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lists a tree.
///
/// # Errors
/// When it is damaged, or has names that no file may have.
pub(crate) fn list(repository: &Repository, tree: &Tree<'_>) -> Result<Listing, ListError> {
    let mut listing = Listing::default();
    visit(repository, tree, &mut Vec::new(), &mut listing)?;
    for item in &listing.items {
        if listing.directories.contains(&item.path) {
            return Err(refused(&item.path, "it is a file and a directory at once"));
        }
    }
    Ok(listing)
}

/// Why a tree cannot be listed.
#[derive(Debug)]
pub(crate) enum ListError {
    /// Git cannot read it.
    Git(git2::Error),
    /// It must not be written to a disk.
    Refused(WorkareaError),
}

impl From<git2::Error> for ListError {
    fn from(error: git2::Error) -> Self {
        Self::Git(error)
    }
}

fn refused(path: &[u8], why: &'static str) -> ListError {
    ListError::Refused(WorkareaError::invalid("path", &String::from_utf8_lossy(path), why))
}

fn visit(
    repository: &Repository,
    tree: &Tree<'_>,
    prefix: &mut Vec<u8>,
    listing: &mut Listing,
) -> Result<(), ListError> {
    for entry in tree {
        let length = prefix.len();
        prefix.extend_from_slice(entry.name_bytes());
        check(entry.name_bytes(), prefix)?;
        let mode = entry.filemode_raw().cast_unsigned();
        if entry.kind() == Some(ObjectType::Tree) {
            if !listing.directories.insert(prefix.clone()) {
                return Err(refused(prefix, "it is there twice"));
            }
            prefix.push(b'/');
            visit(repository, &repository.find_tree(entry.id())?, prefix, listing)?;
        } else {
            let item = Item { path: prefix.clone(), mode: normal(mode), id: entry.id() };
            look_for_attributes(repository, &item, listing);
            if listing.items.len() == MAX_FILES || listing.items.last().is_some_and(|last| last.path >= item.path) {
                return Err(refused(prefix, "the tree is not in order, or too large"));
            }
            listing.items.push(item);
        }
        prefix.truncate(length);
    }
    Ok(())
}

/// What git makes of the mode: old repositories have others.
const fn normal(mode: u32) -> u32 {
    match mode & 0o170_000 {
        SYMLINK => SYMLINK,
        GITLINK => GITLINK,
        _ if mode & 0o100 != 0 => EXECUTABLE,
        _ => FILE,
    }
}

/// The rules of git for names that come from others: no way out of the tree, and none into its `.git`, also under the
/// names that other file systems take for it.
fn check(name: &[u8], path: &[u8]) -> Result<(), ListError> {
    let bad = name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0);
    if bad || is_dot_git(name) {
        return Err(refused(path, "no file may have that name"));
    }
    if path.len() > MAX_PATH || path.iter().filter(|&&byte| byte == b'/').count() > MAX_DEPTH {
        return Err(refused(path, "it is too long or too deep"));
    }
    Ok(())
}

fn is_dot_git(name: &[u8]) -> bool {
    // HFS+ ignores some code points in names, all of which begin with these bytes.
    let visible: Vec<u8> = match std::str::from_utf8(name) {
        Ok(text) => text.chars().filter(|c| !is_ignored_by_hfs(*c)).collect::<String>().into_bytes(),
        Err(_) => name.to_vec(),
    };
    // NTFS ignores trailing dots and spaces, and takes `:` for the begin of a stream's name.
    let stem = visible.split(|&byte| byte == b':').next().unwrap_or_default();
    let end = stem.iter().rposition(|&byte| byte != b' ' && byte != b'.').map_or(0, |last| last + 1);
    stem[..end].eq_ignore_ascii_case(b".git") || stem[..end].eq_ignore_ascii_case(b"git~1")
}

const fn is_ignored_by_hfs(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

fn look_for_attributes(repository: &Repository, item: &Item, listing: &mut Listing) {
    let name = item.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    if !name.eq_ignore_ascii_case(b".gitattributes") {
        return;
    }
    // What cannot be read is left to the checkout to complain about.
    let Ok(blob) = repository.find_blob(item.id) else { return };
    let content = blob.content();
    let has = |word: &[u8]| content.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word));
    listing.converts |= content.len() > MAX_SEARCHED || has(b"crlf") || has(b"ident") || has(b"working-tree-encoding");
    listing.lfs |= has(b"filter=lfs");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for bad in
            ["", ".", "..", ".git", ".GIT", ".Git ", ".git.", ".git::$INDEX", "git~1", ".g\u{200c}it", "a/b", "a\0"]
        {
            assert!(check(bad.as_bytes(), bad.as_bytes()).is_err(), "{bad:?}");
        }
        for good in ["a", ".gitignore", ".github", "git", "...", "git~2", "ü", "a:b", "\u{200c}"] {
            assert!(check(good.as_bytes(), good.as_bytes()).is_ok(), "{good:?}");
        }
        assert!(check(b"\xff\xfe", b"\xff\xfe").is_ok() && check(b"x", &[b'x'; 5000]).is_err());
    }

    #[test]
    fn modes_of_old_repositories() {
        let cases =
            [(0o100_664, FILE), (0o100_600, FILE), (0o100_775, EXECUTABLE), (SYMLINK, SYMLINK), (GITLINK, GITLINK)];
        for (old, expected) in cases {
            assert_eq!(normal(old), expected);
        }
    }
}
