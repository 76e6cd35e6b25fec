//! Which kits apply to a working tree, where in it, and why.
//!
//! A kit applies to a directory, its *root*: the repository itself, or a directory of a monorepo up to three levels down.
//! Where a kit has found its root, it looks no deeper. Detection reads names, and of few files the content; it runs
//! nothing. What a kit wants to find out by a command is the second step, [`probe`](Detection::probe).

mod content;
mod index;
mod probe;
mod relations;
mod rules;
mod tree;

pub use probe::{Probing, Verdict};
pub use relations::Conflict;

pub(crate) use content::json_path;

use crate::kit::Kit;
use crate::target::Target;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A kit that applies.
#[derive(Debug, Clone)]
pub struct Match {
    /// The kit.
    pub kit: Arc<Kit>,
    /// The directory that it applies to, relative to the tree; empty: the tree itself.
    pub root: String,
    /// How sure that is, in percent.
    pub confidence: u8,
    /// What was found.
    pub reasons: Vec<String>,
}

/// A kit that does not apply.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// The kit.
    pub kit: Arc<Kit>,
    /// Why not.
    pub reason: String,
}

/// What was found in a tree.
#[derive(Debug, Clone)]
pub struct Detection {
    /// The tree.
    pub tree: PathBuf,
    /// Kits that apply: foundations, frameworks, others; within these by priority, then by id, then by root.
    pub matches: Vec<Match>,
    /// Kits that do not, by id.
    pub rejected: Vec<Rejection>,
    /// Whether the tree is so large that not all of it was looked at.
    pub truncated: bool,
}

/// Why a tree could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// It cannot be read.
    #[error("failed to read directory {}", path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Kits that apply do not go together.
    #[error("{}", conflicts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Conflicts {
        /// All of them.
        conflicts: Vec<Conflict>,
    },
}

impl DetectError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable { .. } => None,
            Self::Conflicts { conflicts } => {
                let kit = conflicts.first()?.kits().last()?.clone();
                Some(format!("disable one of them: rensei kit disable {kit}"))
            }
        }
    }
}

impl Detection {
    /// Looks at a tree. Blocks. The order of `kits` does not matter.
    ///
    /// # Errors
    /// [`DetectError::Unreadable`] when `tree` is no directory that can be read. What cannot be read below it is skipped.
    pub fn of(tree: &Path, kits: &[Arc<Kit>], target: Target) -> Result<Self, DetectError> {
        let (fitting, rejected): (Vec<_>, Vec<_>) =
            kits.iter().map(|kit| (kit, target.refusal(&kit.manifest))).partition(|(_, refusal)| refusal.is_none());
        let fitting: Vec<&Arc<Kit>> = fitting.into_iter().map(|(kit, _)| kit).collect();
        let mut rejected: Vec<Rejection> = rejected
            .into_iter()
            .filter_map(|(kit, reason)| Some(Rejection { kit: Arc::clone(kit), reason: reason? }))
            .collect();
        let index = index::Index::of(&fitting);
        let walked = tree::walk(tree, index.needs_files(), |dir| index.candidates(dir))?;
        let mut matches = Vec::new();
        for (number, kit) in fitting.into_iter().enumerate() {
            let found = rules::matches(kit, number, &walked);
            if found.is_empty() {
                rejected.push(Rejection { kit: Arc::clone(kit), reason: rules::why_not(kit, &walked) });
            }
            matches.extend(found);
        }
        let mut detection = Self { tree: tree.to_owned(), matches, rejected, truncated: walked.truncated };
        detection.settle();
        Ok(detection)
    }

    /// Drops what lacks what it depends on and brings the rest into order.
    fn settle(&mut self) {
        relations::drop_dependents(&mut self.matches, &mut self.rejected);
        let rules =
            |found: &Match| (found.kit.manifest.composition.group(), -i128::from(found.kit.manifest.kit.priority));
        self.matches.sort_by(|a, b| (rules(a), a.kit.id(), &a.root).cmp(&(rules(b), b.kit.id(), &b.root)));
        self.rejected.sort_by(|a, b| a.kit.id().cmp(b.kit.id()));
    }

    /// The matches, when they go together.
    ///
    /// # Errors
    /// [`DetectError::Conflicts`]: several foundations for one directory, or kits that rule each other out.
    pub fn checked(self) -> Result<Self, DetectError> {
        let conflicts = relations::conflicts(&self.matches);
        if conflicts.is_empty() { Ok(self) } else { Err(DetectError::Conflicts { conflicts }) }
    }
}

/// A root for people.
#[must_use]
pub fn shown_root(root: &str) -> &str {
    if root.is_empty() { "." } else { root }
}

#[cfg(test)]
mod tests;
