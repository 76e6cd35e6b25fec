//! What becomes of a session that loses its claim: one pure decision for every way in which that happens.

use super::model::{MAX_LEASE_LOSSES, MAX_UNACCEPTED, Nack};
use rensei_proto::SessionStatus;

/// How a claim ended other than by a report of its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its deadline passed: the lease, or the acceptance of a claimed session.
    Overdue,
    /// The owner refused it.
    Refused(Nack),
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
            Self::Refused(Nack { host_fault: true, .. }) => "requeued_host_fault",
            Self::Refused(_) => "requeued_refused",
            Self::HostRestarted => "requeued_host_restarted",
            Self::WorkerRemoved => "requeued_worker_removed",
            Self::Undelivered => "requeued_undelivered",
        }
    }

    /// What the owner said, for people.
    pub(crate) fn detail(&self) -> Option<&str> {
        match self {
            Self::Refused(nack) => Some(nack.reason.as_str()).filter(|reason| !reason.is_empty()),
            Self::Overdue | Self::HostRestarted | Self::WorkerRemoved | Self::Undelivered => None,
        }
    }

    /// Whether it counts against the session: the third loss, or the fifth claim that came to nothing, ends it.
    const fn counts(&self) -> bool {
        !matches!(self, Self::Undelivered | Self::Refused(Nack { host_fault: true, .. }))
    }
}

/// What the decision depends on.
#[derive(Debug, Clone)]
pub(crate) struct HeldRow {
    pub(crate) status: SessionStatus,
    /// Whether the owner has shown that it has the session.
    pub(crate) accepted: bool,
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
    // A host that lists a session and refuses it afterwards has not run it.
    let ran = row.accepted && !matches!(cause, Cause::Refused(_));
    let lease_losses = row.lease_losses + i64::from(cause.counts() && ran);
    let unaccepted = row.unaccepted + i64::from(cause.counts() && !ran);
    let decided = |status, error| Release { status, lease_losses, unaccepted, error };
    if row.stop_requested {
        return decided(SessionStatus::Stopped, None);
    }
    if lease_losses >= MAX_LEASE_LOSSES {
        let error = format!("lease_expired: the session was lost {lease_losses} times while it ran");
        return decided(SessionStatus::Failed, Some(error));
    }
    if unaccepted >= MAX_UNACCEPTED {
        let last = cause.detail().map(|reason| format!("; last refusal: {reason}")).unwrap_or_default();
        let error = format!("not_accepted: {unaccepted} claims ended without a worker starting the session{last}");
        return decided(SessionStatus::Failed, Some(error));
    }
    decided(SessionStatus::Pending, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: SessionStatus, lease_losses: i64, unaccepted: i64) -> HeldRow {
        HeldRow { status, accepted: status != SessionStatus::Claimed, stop_requested: false, lease_losses, unaccepted }
    }

    #[test]
    fn retries_are_bounded_and_a_stop_wins() {
        use SessionStatus::{Claimed, Failed, Finalizing, Pending, Running, Stopped};
        let refuse = |host_fault| Cause::Refused(Nack { reason: "not allowed".into(), host_fault });
        let (refused, full) = (refuse(false), refuse(true));
        let listed = |lease_losses| HeldRow { accepted: true, ..row(Claimed, lease_losses, 4) };
        for (held, cause, expected) in [
            (row(Running, 0, 0), &Cause::Overdue, Pending),
            (row(Finalizing, 1, 4), &Cause::Overdue, Pending),
            (row(Running, 2, 0), &Cause::Overdue, Failed),
            (row(Running, 2, 0), &Cause::HostRestarted, Failed),
            (row(Claimed, 2, 3), &Cause::Overdue, Pending),
            (row(Claimed, 0, 4), &Cause::Overdue, Failed),
            (row(Claimed, 0, 4), &refused, Failed),
            (row(Claimed, 2, 4), &full, Pending),
            (listed(0), &Cause::Overdue, Pending),
            (listed(2), &Cause::Overdue, Failed),
            (listed(2), &refused, Failed),
            (listed(2), &full, Pending),
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
