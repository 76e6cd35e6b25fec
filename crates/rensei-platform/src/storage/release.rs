//! What becomes of a session that loses its claim: one pure decision for every way in which that happens.

use super::model::{MAX_LEASE_LOSSES, MAX_UNACCEPTED};
use rensei_proto::SessionStatus;

/// How a claim ended other than by a report of its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its deadline passed: the lease, or the acceptance of a claimed session.
    Overdue,
    /// The owner refused it.
    Refused {
        /// In its own words.
        reason: String,
    },
    /// The owner started anew and does not know of it.
    HostRestarted,
    /// The owner's registration was removed.
    WorkerRemoved,
    /// The answer to the claim never reached the worker.
    Undelivered,
}

impl Cause {
    /// Typed word that operators see.
    pub(crate) const fn word(&self, accepted: bool) -> &'static str {
        match self {
            Self::Overdue if accepted => "requeued_lease_expired",
            Self::Overdue => "requeued_not_accepted",
            Self::Refused { .. } => "requeued_refused",
            Self::HostRestarted => "requeued_host_restarted",
            Self::WorkerRemoved => "requeued_worker_removed",
            Self::Undelivered => "requeued_undelivered",
        }
    }
}

/// What the decision depends on.
#[derive(Debug, Clone)]
pub(crate) struct HeldRow {
    pub(crate) status: SessionStatus,
    pub(crate) stop_requested: bool,
    pub(crate) lease_losses: i64,
    pub(crate) unaccepted: i64,
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    /// `pending`, `failed` or `stopped`.
    pub(crate) status: SessionStatus,
    pub(crate) lease_losses: i64,
    pub(crate) unaccepted: i64,
    /// Error of a failed one.
    pub(crate) error: Option<String>,
}

/// Decides over a session that `cause` took from its owner.
pub(crate) fn release(row: &HeldRow, cause: &Cause) -> Release {
    let accepted = row.status != SessionStatus::Claimed;
    let counts = !matches!(cause, Cause::Undelivered);
    let lease_losses = row.lease_losses + i64::from(counts && accepted);
    let unaccepted = row.unaccepted + i64::from(counts && !accepted);
    let decided = |status, error| Release { status, lease_losses, unaccepted, error };
    if row.stop_requested {
        return decided(SessionStatus::Stopped, None);
    }
    if lease_losses >= MAX_LEASE_LOSSES {
        let error = format!("lease_expired: the session was lost {lease_losses} times while it ran");
        return decided(SessionStatus::Failed, Some(error));
    }
    if unaccepted >= MAX_UNACCEPTED {
        let last = match cause {
            Cause::Refused { reason } if !reason.is_empty() => format!("; last refusal: {reason}"),
            _ => String::new(),
        };
        let error = format!("not_accepted: {unaccepted} claims ended without a worker starting the session{last}");
        return decided(SessionStatus::Failed, Some(error));
    }
    decided(SessionStatus::Pending, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: SessionStatus, lease_losses: i64, unaccepted: i64) -> HeldRow {
        HeldRow { status, stop_requested: false, lease_losses, unaccepted }
    }

    #[test]
    fn retries_are_bounded_and_a_stop_wins() {
        use SessionStatus::{Claimed, Failed, Finalizing, Pending, Running, Stopped};
        let refused = Cause::Refused { reason: "not allowed".into() };
        for (held, cause, expected) in [
            (row(Running, 0, 0), &Cause::Overdue, Pending),
            (row(Finalizing, 1, 4), &Cause::Overdue, Pending),
            (row(Running, 2, 0), &Cause::Overdue, Failed),
            (row(Running, 2, 0), &Cause::HostRestarted, Failed),
            (row(Claimed, 2, 3), &Cause::Overdue, Pending),
            (row(Claimed, 0, 4), &Cause::Overdue, Failed),
            (row(Claimed, 0, 4), &refused, Failed),
            (row(Claimed, 0, 4), &Cause::WorkerRemoved, Failed),
            (row(Claimed, 0, 4), &Cause::Undelivered, Pending),
        ] {
            assert_eq!(release(&held, cause).status, expected, "{held:?} {cause:?}");
        }
        let stopping = HeldRow { stop_requested: true, ..row(Running, 2, 0) };
        assert_eq!(release(&stopping, &Cause::Overdue).status, Stopped);
        let failed = release(&row(Claimed, 0, 4), &refused);
        let error = failed.error.unwrap();
        assert!(error.starts_with("not_accepted:") && error.ends_with("last refusal: not allowed"), "{error}");
    }
}
