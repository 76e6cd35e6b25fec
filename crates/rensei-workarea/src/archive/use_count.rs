//! What is in use right now, by name.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Count of a name that is held alone.
const ALONE: usize = usize::MAX;

/// How many hold a name.
#[derive(Debug, Default)]
pub(super) struct UseCount {
    counts: Mutex<HashMap<String, usize>>,
}

/// A name is held until this is dropped.
#[derive(Debug)]
pub(crate) struct InUse<'a> {
    counts: &'a UseCount,
    name: String,
}

impl UseCount {
    /// Holds a name together with others; none while somebody holds it alone.
    pub(super) fn hold(&self, name: &str) -> Option<InUse<'_>> {
        let mut counts = self.counts();
        let count = counts.entry(name.to_owned()).or_default();
        if *count == ALONE {
            return None;
        }
        *count += 1;
        Some(InUse { counts: self, name: name.to_owned() })
    }

    /// Holds a name that nobody else holds.
    pub(super) fn hold_alone(&self, name: &str) -> Option<InUse<'_>> {
        let mut counts = self.counts();
        if counts.contains_key(name) {
            return None;
        }
        counts.insert(name.to_owned(), ALONE);
        Some(InUse { counts: self, name: name.to_owned() })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        let mut counts = self.counts.counts();
        match counts.get_mut(&self.name) {
            Some(count) if *count != ALONE && *count > 1 => *count -= 1,
            Some(_) | None => {
                counts.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_share_and_a_remover_is_alone() {
        let used = UseCount::default();
        let (first, second) = (used.hold("a"), used.hold("a"));
        assert!(first.is_some() && second.is_some() && used.hold_alone("a").is_none());
        drop(first);
        assert!(used.hold_alone("a").is_none());
        drop(second);
        let alone = used.hold_alone("a");
        assert!(alone.is_some() && used.hold("a").is_none() && used.hold_alone("a").is_none());
        assert!(used.hold("b").is_some());
        drop(alone);
        assert!(used.hold("a").is_some());
    }
}
