//! What an agent leaves lying around and nobody wants in a commit.

const DIRECTORIES: [&str; 12] = [
    ".cache",
    ".gocache",
    ".golangci-lint-cache",
    ".next",
    ".nuxt",
    ".turbo",
    ".venv",
    "__pycache__",
    "dist",
    "go-build",
    "gocache",
    "node_modules",
];
const EXTENSIONS: [&[u8]; 3] = [b".pyc", b".tmp", b".log"];

/// Whether an untracked file stays out of commits although no `.gitignore` says so: dependencies, build output and
/// caches. `path` is relative to the root of the checkout; a directory ends with `/`.
pub(crate) fn is_excluded(path: &[u8]) -> bool {
    let parts: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    let Some((name, directories)) = parts.split_last() else { return false };
    let listed = |part: &[u8]| DIRECTORIES.iter().any(|directory| directory.as_bytes() == part);
    // A repository inside the checkout: git would record it as a submodule that nobody can fetch.
    let is_nested_repository = name.is_empty();
    directories.iter().any(|part| listed(part))
        || directories.first().is_some_and(|first| matches!(*first, b".agent" | b".rensei"))
        || directories.windows(2).any(|pair| pair[0] == b"target" && matches!(pair[1], b"debug" | b"release"))
        || EXTENSIONS.iter().any(|extension| name.ends_with(extension) && !name.starts_with(b"."))
        || name.starts_with(b"__debug_bin")
        || is_nested_repository
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_output_and_caches() {
        for excluded in [
            "node_modules/a.js",
            "web/node_modules/x/y",
            "dist/a",
            "a/.next/b",
            ".agent/state",
            ".rensei/kit",
            "a.log",
            "x/y.pyc",
            "b.tmp",
            "__debug_bin123",
            "cmd/__debug_bin",
            "target/debug/x",
            "sub/target/release/deps/y",
            "nested/",
        ] {
            assert!(is_excluded(excluded.as_bytes()), "{excluded}");
        }
        for kept in [
            "src/main.rs",
            "distance/a",
            "dist",
            "node_modules",
            "sub/.agent/x",
            ".agent",
            ".log",
            "x/.tmp",
            "changelog",
            "a.log.txt",
            "target/other/x",
            "debug/target",
            "mydist/x",
            ".github/workflows/x.yml",
        ] {
            assert!(!is_excluded(kept.as_bytes()), "{kept}");
        }
    }
}
