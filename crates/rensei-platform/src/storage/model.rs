//! What goes into and comes out of the storage.

use super::release::HeldRow;
use crate::runner::Runner;
use crate::tokens::{Minted, TokenKind};
use crate::wake::Place;
use rensei_proto::SessionStatus;
use rensei_proto::operator::Session;
use rensei_proto::platform::{AllowlistEntry, HeldSession, PollItem};

/// Most sessions that one poll hands out.
pub(crate) const MAX_CLAIMS: i64 = 16;
/// Lease losses after which a session has failed.
pub(crate) const MAX_LEASE_LOSSES: i64 = 3;
/// Claims without acceptance after which a session has failed.
pub(crate) const MAX_UNACCEPTED: i64 = 5;
/// Milliseconds for which a session is not offered again to the worker that refused it: at first, doubled by each further
/// refusal.
pub(crate) const REFUSAL_MS: i64 = 1_000;
/// The longest such time.
pub(crate) const MAX_REFUSAL_MS: i64 = 60_000;
/// Bytes of work that one poll hands out at most, unless a single item is larger.
pub(crate) const MAX_CLAIM_BYTES: i64 = 2 * 1024 * 1024 - 4096;
/// Bytes that an item takes in an answer beside its own: its id among the claimed ones, its attempt, commas.
pub(crate) const ITEM_OVERHEAD: i64 = 128;
/// Milliseconds for which a session is remembered after its end.
pub(crate) const RETENTION_MS: i64 = 30 * 24 * 60 * 60 * 1_000;
/// Activities kept per session; older ones go.
pub(crate) const MAX_ACTIVITIES: i64 = 10_000;
/// Most activities in one page.
pub(crate) const ACTIVITY_PAGE: i64 = 500;
/// Beats that a host may miss before it counts as offline.
pub(crate) const MISSED_BEATS: u32 = 3;

/// Periods that the queue works with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// Life of a lease without renewal, milliseconds.
    pub(crate) lease: i64,
    /// Time from claim to `running`, milliseconds.
    pub(crate) accept: i64,
    /// Silence after which a worker counts as offline, milliseconds.
    pub(crate) offline: i64,
}

/// What a credential may see: an organisation, or one project of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    /// Organisation id.
    pub(crate) org: String,
    /// Project id; `None`: all of them.
    pub(crate) project: Option<String>,
}

/// A known credential.
#[derive(Debug, Clone)]
pub(crate) struct Credential {
    pub(crate) id: String,
    pub(crate) kind: TokenKind,
    pub(crate) scope: Scope,
}

/// A tenant to set up.
#[derive(Debug, Clone)]
pub(crate) struct Bootstrap {
    pub(crate) org: String,
    pub(crate) project: String,
    /// `None` leaves that of an existing project.
    pub(crate) repository: Option<String>,
    /// With whether they belong to the project alone.
    pub(crate) tokens: Vec<(Minted, bool)>,
}

/// The tenant that was set up.
#[derive(Debug, Clone)]
pub(crate) struct Bootstrapped {
    pub(crate) org_id: String,
    pub(crate) project_id: String,
}

/// A project as the dispatch needs it.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) id: String,
    pub(crate) slug: String,
    pub(crate) repository: String,
    /// Features of its organisation, JSON.
    pub(crate) org_features: Option<String>,
}

/// A host that registers.
#[derive(Debug, Clone)]
pub(crate) struct NewWorker {
    /// Identity for a host that is not known yet.
    pub(crate) id: String,
    pub(crate) scope: Scope,
    pub(crate) registration_id: String,
    /// Empty: unknown, so every registration is a new host.
    pub(crate) machine_id: String,
    pub(crate) hostname: String,
    pub(crate) version: String,
    pub(crate) runner: Runner,
    pub(crate) capacity: i64,
    /// JSON array.
    pub(crate) provides: String,
    /// JSON array of what it may work on; `None`: not said.
    pub(crate) allowlist: Option<String>,
}

/// A registered host.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) id: String,
    pub(crate) project: Option<String>,
    pub(crate) registration_id: String,
    pub(crate) hostname: String,
    pub(crate) version: String,
    pub(crate) runner: Runner,
    pub(crate) capacity: i64,
    pub(crate) draining: bool,
    pub(crate) online: bool,
    pub(crate) registered_at: i64,
    pub(crate) last_beat_at: i64,
    /// Sessions that it runs of its own, as of its last beat.
    pub(crate) foreign: i64,
    /// Sessions that it holds, oldest first.
    pub(crate) sessions: Vec<String>,
}

impl Worker {
    /// Sessions that it could take now.
    pub(crate) fn free(&self) -> i64 {
        self.capacity - self.foreign - i64::try_from(self.sessions.len()).unwrap_or(i64::MAX)
    }
}

/// A session to queue.
#[derive(Debug, Clone)]
pub(crate) struct NewSession {
    pub(crate) scope: Scope,
    pub(crate) project: Project,
    pub(crate) runner: Runner,
    pub(crate) provider: String,
    /// As workers get it; `queuedAt` is stamped by the queue.
    pub(crate) item: PollItem,
}

/// A session as stored.
#[derive(Debug, Clone)]
pub(crate) struct SessionRow {
    pub(crate) session: Session,
    pub(crate) project_id: String,
    pub(crate) runner: Runner,
    /// Why it was queued again, if it was.
    pub(crate) requeue_reason: Option<String>,
}

/// Which sessions to list.
#[derive(Debug, Clone)]
pub(crate) struct SessionFilter {
    /// Slug or id.
    pub(crate) project: Option<String>,
    pub(crate) status: Option<SessionStatus>,
    pub(crate) limit: i64,
}

/// Who claims.
#[derive(Debug, Clone)]
pub(crate) struct ClaimBy {
    pub(crate) scope: Scope,
    pub(crate) worker: String,
}

/// One claimed session.
#[derive(Debug, Clone)]
pub(crate) struct ClaimedWork {
    pub(crate) session_id: String,
    pub(crate) attempt: u64,
    /// JSON object of the item, attempt included.
    pub(crate) item: String,
}

/// Outcome of a claim.
#[derive(Debug, Clone)]
pub(crate) enum Claimed {
    /// There is no such registration.
    UnknownWorker,
    /// What the worker got.
    Work {
        /// Most urgent first.
        items: Vec<ClaimedWork>,
        /// Slots left; 0 when full or draining.
        free: i64,
        /// Lane of the worker.
        runner: Runner,
    },
}

/// Outcome of a claim by id.
#[derive(Debug, Clone)]
pub(crate) enum ClaimOne {
    UnknownWorker,
    UnknownSession,
    /// It is the caller's, now or already.
    Claimed(ClaimedWork),
    /// It is not; the word says why.
    Refused(&'static str),
}

/// Who reports on a session.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    pub(crate) scope: Scope,
    /// `None`: a keyholder that did not name the worker; it speaks for the owner.
    pub(crate) worker: Option<String>,
    /// Fencing number, when known.
    pub(crate) attempt: Option<u64>,
}

/// Why an operation on a session was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No such session in sight.
    NotFound,
    /// Another claim holds it, or none.
    LeaseLost,
    /// Its status does not allow it.
    Illegal {
        /// Where it stands.
        from: SessionStatus,
    },
}

/// An answer that a session's owner alone gets.
pub(crate) type Guarded<T> = Result<T, Refusal>;

/// A status report.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) status: SessionStatus,
    pub(crate) provider_session: Option<String>,
    pub(crate) worktree_path: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) total_cost_usd: Option<f64>,
    pub(crate) input_tokens: Option<i64>,
    pub(crate) output_tokens: Option<i64>,
    /// JSON of the session's result.
    pub(crate) result: Option<String>,
}

/// A refusal of a claimed session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nack {
    /// In the host's own words.
    pub(crate) reason: String,
    /// Whether the host could not take it for reasons of its own.
    pub(crate) host_fault: bool,
}

/// What became of a session that its worker gave back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requeued {
    /// Queued again.
    Yes,
    /// It has ended instead.
    Ended(SessionStatus),
}

/// A session with its holder, as the release of its claim needs it.
#[derive(Debug, Clone)]
pub(crate) struct HeldBy {
    /// Row number.
    pub(crate) seq: i64,
    pub(crate) id: String,
    pub(crate) attempt: u64,
    pub(crate) worker: String,
    pub(crate) place: Place,
    pub(crate) row: HeldRow,
}

/// Whether a session should end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StopState {
    pub(crate) stop: bool,
    pub(crate) reason: Option<String>,
}

/// What a host says with a beat.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beat {
    /// Whether it is draining; `None`: not said.
    pub(crate) draining: Option<bool>,
    /// Sessions it runs at once; 0: not said.
    pub(crate) capacity: i64,
    /// Sessions that it runs now, its own included.
    pub(crate) active: i64,
    /// Digest of its allowlist; empty: not said.
    pub(crate) allowlist_hash: String,
    pub(crate) allowlist: Option<Vec<AllowlistEntry>>,
    /// Sessions that it holds; `None`: not said.
    pub(crate) held: Option<Vec<HeldSession>>,
    /// Whether `held` is complete.
    pub(crate) resumed: bool,
}

/// What a host hears in return.
#[derive(Debug, Clone, Default)]
pub(crate) struct BeatAnswer {
    /// Pending sessions in its lane, counted up to a bound.
    pub(crate) pending: u64,
    /// Its sessions that should end.
    pub(crate) kills: Vec<Kill>,
    /// What it listed and has no claim to any more.
    pub(crate) lost: Vec<HeldSession>,
}

/// A session that should end.
#[derive(Debug, Clone)]
pub(crate) struct Kill {
    pub(crate) session_id: String,
    pub(crate) attempt: i64,
    pub(crate) reason: Option<String>,
    pub(crate) requested_at: i64,
}

/// Place in the queue: urgency first, then age. Exact in a double, for engines that sort by one.
pub(crate) fn score(priority: i64, queued_at: i64) -> i64 {
    priority.clamp(1, 9) * 10_000_000_000_000 + queued_at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgency_wins_over_age_and_age_decides_within() {
        let now = 1_800_000_000_000;
        assert!(score(1, now) < score(2, 0));
        assert!(score(3, now) < score(3, now + 1));
        assert_eq!(score(-4, now), score(1, now));
        assert_eq!(score(99, now), score(9, now));
        assert!(score(9, now) < 1 << 53);
    }
}
