//! How many sessions were accepted and refused since start.

use crate::accept::AcceptError;
use std::sync::{Mutex, PoisonError};

/// Counted since start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admissions {
    /// Sessions whose worker was started.
    pub accepted: u64,
    /// Refused ones by [`AcceptError::reason`]; every reason is there.
    pub refused: Vec<(&'static str, u64)>,
}

/// Counts.
#[derive(Debug)]
pub(crate) struct Counted(Mutex<Admissions>);

impl Counted {
    pub(crate) fn new() -> Self {
        let refused = AcceptError::REASONS.iter().map(|reason| (*reason, 0)).collect();
        Self(Mutex::new(Admissions { accepted: 0, refused }))
    }

    pub(crate) fn note<T>(&self, outcome: &Result<T, AcceptError>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = match outcome {
            Ok(_accepted) => Some(&mut counts.accepted),
            Err(error) => counts.refused.iter_mut().find(|(reason, _)| *reason == error.reason()).map(|(_, n)| n),
        };
        if let Some(count) = count {
            *count += 1;
        }
    }

    pub(crate) fn get(&self) -> Admissions {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_counted() {
        let io = || std::io::Error::other("x");
        let errors = [
            AcceptError::InvalidEnv { name: String::new() },
            AcceptError::NotRunning { state: "paused" },
            AcceptError::Duplicate { id: String::new() },
            AcceptError::Full { active: 1, max: 1 },
            AcceptError::NotAllowed { repository: String::new() },
            AcceptError::Prepare(io()),
            AcceptError::Hook("no".into()),
            AcceptError::HookTimedOut { limit: std::time::Duration::ZERO },
            AcceptError::Spawn(io()),
            AcceptError::Leaving { file: String::new() },
        ];
        let counted = Counted::new();
        counted.note(&Ok(()));
        for error in errors {
            counted.note(&Err::<(), _>(error));
        }
        let counts = counted.get();
        assert_eq!(counts.accepted, 1);
        assert!(counts.refused.iter().all(|(_, count)| *count == 1), "{counts:?}");
    }
}
