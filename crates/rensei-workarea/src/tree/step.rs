//! Where a directory is in a tree.

use std::ffi::CStr;
use std::sync::Arc;

/// A directory by its name and the one above it: a whole path for each would take a multiple of what the tree has in names.
#[derive(Default)]
pub(super) struct Step {
    above: Option<Arc<Self>>,
    name: Vec<u8>,
    depth: usize,
}

impl Step {
    pub(super) fn below(above: &Arc<Self>, name: &CStr) -> Arc<Self> {
        Arc::new(Self { above: Some(Arc::clone(above)), name: name.to_bytes().to_vec(), depth: above.depth + 1 })
    }

    /// Directories around it.
    pub(super) const fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn path(&self) -> Vec<u8> {
        let steps = std::iter::successors(Some(self), |step| step.above.as_deref());
        let mut names: Vec<&[u8]> = steps.filter(|step| step.depth > 0).map(|step| step.name.as_slice()).collect();
        names.reverse();
        names.join(&b'/')
    }
}
