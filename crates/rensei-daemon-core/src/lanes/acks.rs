//! Outcomes of mutations that the control plane has not heard of yet.

use super::heartbeat::MAX_TEXT;
use rensei_proto::platform::{HeartbeatRequest, HeartbeatResponse, MutationFailure, PendingMutation};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Mutations that are applied from one answer. Their acknowledgements must fit into one beat.
const MAX_MUTATIONS: usize = 256;

/// Each outcome rides in every beat until one that carried it was answered. It belongs to the organisation, so that a lane
/// that panics leaves it to its successor.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    applied: Vec<String>,
    failures: Vec<MutationFailure>,
}

impl Acks {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next beat carries.
    pub(super) fn outcomes(&self) -> (Vec<String>, Vec<MutationFailure>) {
        let waiting = self.waiting();
        (waiting.applied.clone(), waiting.failures.clone())
    }

    /// A beat was answered: what it carried is known, and what its answer asks for is performed.
    pub(super) async fn answered<F>(
        &self,
        request: &HeartbeatRequest,
        answer: &HeartbeatResponse,
        mut perform: impl FnMut(PendingMutation) -> F,
    ) where
        F: Future<Output = Result<(), String>>,
    {
        self.confirm(request);
        // What is left over is offered again.
        for mutation in answer.pending_mutations.iter().take(MAX_MUTATIONS) {
            if mutation.id.len() > MAX_TEXT {
                tracing::warn!("a mutation with an id of {} bytes is left out", mutation.id.len());
            } else if !self.knows(&mutation.id) {
                let outcome = perform(mutation.clone()).await;
                self.note(mutation.id.clone(), outcome);
            }
        }
    }

    /// Only what this beat carried is confirmed by its answer.
    fn confirm(&self, request: &HeartbeatRequest) {
        let mut waiting = self.waiting();
        waiting.applied.retain(|id| !request.applied_mutations.contains(id));
        waiting.failures.retain(|failure| !request.mutation_failures.contains(failure));
    }

    fn knows(&self, id: &str) -> bool {
        let waiting = self.waiting();
        waiting.applied.iter().any(|applied| applied == id) || waiting.failures.iter().any(|failure| failure.id == id)
    }

    fn note(&self, id: String, outcome: Result<(), String>) {
        let mut waiting = self.waiting();
        match outcome {
            Ok(()) => waiting.applied.push(id),
            Err(error) => waiting.failures.push(MutationFailure { id, error }),
        }
    }
}

#[cfg(test)]
mod tests;
