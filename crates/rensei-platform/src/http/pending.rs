//! Why a session is still waiting.

use crate::storage::{SessionRow, Worker};
use rensei_proto::SessionStatus;

/// The reason why nobody has taken a pending session: what stands in the way, from the outside in. With nothing in the
/// way, why it came back to the queue, or that it waits for the next poll. For others, why they were queued again.
pub(super) fn reason(row: &SessionRow, workers: &[Worker]) -> Option<String> {
    if row.session.status != SessionStatus::Pending {
        return row.requeue_reason.clone();
    }
    let mut candidates: Vec<_> = workers.iter().filter(|worker| worker.online).collect();
    let mut narrow = |fits: &dyn Fn(&Worker) -> bool| {
        candidates.retain(|worker| fits(worker));
        candidates.is_empty()
    };
    let in_the_way = if narrow(&|_| true) {
        "no_worker"
    } else if narrow(&|worker| worker.project.as_ref().is_none_or(|project| *project == row.project_id)) {
        "project_mismatch"
    } else if narrow(&|worker| worker.runner == row.runner) {
        "runner_mismatch"
    } else if narrow(&|worker| !worker.draining) {
        "all_draining"
    } else if narrow(&|worker| worker.free() > 0) {
        "all_full"
    } else {
        row.requeue_reason.as_deref().unwrap_or("awaiting_poll")
    };
    Some(in_the_way.to_owned())
}
