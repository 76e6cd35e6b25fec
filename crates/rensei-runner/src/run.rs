//! A worker's whole life.

use crate::conclusion::Conclusion;
use crate::interrupt::{Interrupt, Interrupts};
use crate::options::{Finished, RunOptions};
use crate::preflight::{self, Start};
use crate::{notice, report, session};
use rensei_proto::outcome::Outcome;
use rensei_proto::{SessionDetail, SessionStatus};

/// Runs one session to its end: asks the daemon what to do and where, runs the agent, commits and pushes what it left,
/// and reports the result.
///
/// `shutdown` resolves when the worker is to end (SIGTERM, SIGINT): the agent is stopped, nothing is pushed, and the
/// session ends as `stopped`, or as the daemon's notice in the session's directory says. The report still goes out. Must be called within a tokio runtime.
pub async fn run(options: RunOptions, shutdown: impl Future<Output = ()>) -> Finished {
    let interrupts = Interrupts::new();
    let dir = preflight::session_dir(&options);
    let worker = work(options, interrupts.clone());
    let (mut worker, mut shutdown) = (std::pin::pin!(worker), std::pin::pin!(shutdown));
    tokio::select! {
        // Both are pinned outside; the worker goes on below where it was.
        finished = &mut worker => return finished,
        () = &mut shutdown => interrupts.raise(Interrupt::Shutdown { notice: dir.as_deref().and_then(notice::read) }),
    }
    worker.await
}

async fn work(options: RunOptions, interrupts: Interrupts) -> Finished {
    let prepared = match preflight::prepare(options, &interrupts).await {
        Ok(prepared) => prepared,
        Err(finished) => return finished,
    };
    let (detail, start) = (prepared.detail.clone(), prepared.start);
    let (file, link) = (prepared.file.clone(), prepared.link.clone());
    let (conclusion, activities) = session::run(prepared, interrupts).await;
    let mut outcome = outcome(&detail, start, &conclusion);
    outcome.reported |= link.is_none();
    // First the file: from here on a worker that dies loses nothing.
    file.write(&outcome);
    activities.close(outcome.status == SessionStatus::Stopped).await;
    if let (false, Some(link)) = (outcome.reported, link) {
        outcome.reported = report::deliver(&outcome, &conclusion.extra, &link).await;
        if outcome.reported {
            file.write(&outcome);
        }
    }
    finished(outcome)
}

fn outcome(detail: &SessionDetail, start: Start, conclusion: &Conclusion) -> Outcome {
    Outcome {
        version: 1,
        session_id: detail.session_id.clone(),
        status: conclusion.status,
        provider_name: detail.provider().to_owned(),
        worktree_path: conclusion.worktree_path.clone(),
        failure_mode: conclusion.failure.as_ref().map(|failure| failure.mode.to_owned()),
        error: conclusion.failure.as_ref().map(|failure| failure.message.clone()),
        summary: Some(conclusion.summary()),
        result: conclusion.result.clone(),
        started_at: start.wall,
        finished_at: Start::now().wall,
        reported: conclusion.lost,
    }
}

fn finished(outcome: Outcome) -> Finished {
    if outcome.status == SessionStatus::Completed {
        return Finished { outcome: Some(outcome), exit_code: 0, error: None };
    }
    let mode = outcome.failure_mode.as_deref().unwrap_or("unknown");
    let why = outcome.error.as_deref().unwrap_or("no reason given");
    let error =
        format!("session {} ended with status \"{}\" (failureMode={mode}): {why}", outcome.session_id, outcome.status);
    Finished { outcome: Some(outcome), exit_code: 1, error: Some(error) }
}
