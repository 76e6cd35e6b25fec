//! What a pooled checkout carries from one session to the next beside the files of the commit.

/// Names of files and directories that stay although no commit has them, and of what goes in spite of that.
///
/// A name is one or several components, such as `node_modules` or `node_modules/.cache`, and counts wherever it occurs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Keep {
    kept: Vec<Vec<u8>>,
    cleaned: Vec<Vec<u8>>,
}

impl Keep {
    pub(crate) fn new(kept: &[String], cleaned: &[String]) -> Self {
        let bytes = |names: &[String]| names.iter().map(|name| name.trim_matches('/').as_bytes().to_vec()).collect();
        Self { kept: bytes(kept), cleaned: bytes(cleaned) }
    }

    /// Whether this path begins something that stays.
    pub(crate) fn keeps(&self, path: &[u8]) -> bool {
        ends_with(&self.kept, path) && !self.cleans(path)
    }

    /// Whether this path goes although something above it stays.
    pub(crate) fn cleans(&self, path: &[u8]) -> bool {
        ends_with(&self.cleaned, path)
    }
}

fn ends_with(names: &[Vec<u8>], path: &[u8]) -> bool {
    names.iter().any(|name| {
        !name.is_empty()
            && path.strip_suffix(name.as_slice()).is_some_and(|before| before.is_empty() || before.ends_with(b"/"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_wherever_they_occur() {
        let keep = Keep::new(&["node_modules".into(), "/target/".into()], &["node_modules/.cache".into(), "".into()]);
        for kept in ["node_modules", "web/node_modules", "a/b/target"] {
            assert!(keep.keeps(kept.as_bytes()), "{kept}");
        }
        for other in ["xnode_modules", "node_modules/x", "", "Target", "target2"] {
            assert!(!keep.keeps(other.as_bytes()), "{other}");
        }
        assert!(keep.cleans(b"a/node_modules/.cache") && !keep.cleans(b".cache") && !keep.cleans(b"node_modules"));
        assert!(!Keep::default().keeps(b"x") && !Keep::default().cleans(b"x"));
    }
}
