//! What became of a session.

use crate::drive::Observed;
use crate::interrupt::Interrupt;
use crate::report::Extra;
use crate::runtime::Failure;
use crate::text;
use rensei_proto::SessionStatus;
use rensei_proto::control::Workarea;
use rensei_proto::outcome::{DiffStat, SessionResult, StopNotice};

/// State of the repository at the session's end.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TreeState {
    /// Commit at the tip.
    pub(crate) commit: Option<String>,
    /// What changed since the base.
    pub(crate) diff: Option<DiffStat>,
    /// Branch that reached the remote.
    pub(crate) pushed: Option<String>,
    /// Why that is another branch than was asked for.
    pub(crate) note: Option<String>,
}

/// What became of a session, before it is an outcome.
#[derive(Debug, Clone)]
pub(crate) struct Conclusion {
    /// `completed`, `failed` or `stopped`.
    pub(crate) status: SessionStatus,
    /// Why it did not complete.
    pub(crate) failure: Option<Failure>,
    /// Whether the session is somebody else's now, so that there is nothing to report.
    pub(crate) lost: bool,
    /// Traces of its work.
    pub(crate) result: SessionResult,
    /// Where it ran.
    pub(crate) worktree_path: Option<String>,
    /// Why its work is not where it was meant to be.
    pub(crate) note: Option<String>,
    /// What else is reported.
    pub(crate) extra: Extra,
}

impl Conclusion {
    fn new(status: SessionStatus, failure: Option<Failure>) -> Self {
        Self {
            status,
            failure,
            lost: false,
            result: SessionResult::default(),
            worktree_path: None,
            note: None,
            extra: Extra::default(),
        }
    }

    /// It did what it was meant to do.
    pub(crate) fn completed() -> Self {
        Self::new(SessionStatus::Completed, None)
    }

    /// It did not.
    pub(crate) fn failed(failure: Failure) -> Self {
        Self::new(SessionStatus::Failed, Some(failure))
    }

    /// Somebody else ended it.
    pub(crate) fn interrupted(interrupt: Interrupt) -> Self {
        let stopped = |message| Self::new(SessionStatus::Stopped, Some(Failure { mode: "stopped", message }));
        match interrupt {
            Interrupt::Shutdown { notice: None } => stopped("stopped by the host".to_owned()),
            Interrupt::Shutdown { notice: Some(notice) } => Self::noticed(notice),
            Interrupt::Stop { reason } => stopped(match reason.as_deref().map(str::trim) {
                None | Some("") => "stopped by an operator".to_owned(),
                Some(why) => format!("stopped by an operator: {why}"),
            }),
            Interrupt::LostOwnership { reason } => {
                let message = format!("the session belongs to another worker now: {reason}");
                Self { lost: true, ..Self::failed(Failure { mode: "lost-ownership", message }) }
            }
        }
    }

    /// The daemon ended it and said why.
    fn noticed(notice: StopNotice) -> Self {
        let mode = match notice.failure_mode.as_str() {
            "timeout" => "timeout",
            "lost-ownership" => "lost-ownership",
            _ => "stopped",
        };
        let status = if mode == "stopped" { SessionStatus::Stopped } else { SessionStatus::Failed };
        let lost = mode == "lost-ownership";
        Self { lost, ..Self::new(status, Some(Failure { mode, message: notice.reason })) }
    }

    /// Adds where it ran.
    pub(crate) fn in_workarea(mut self, workarea: &Workarea) -> Self {
        self.worktree_path = Some(workarea.path.clone());
        self.result.base_sha = Some(workarea.commit.clone());
        self
    }

    /// Adds what was seen of the agent.
    pub(crate) fn after(mut self, observed: Observed) -> Self {
        self.result.exit_code = observed.end.process.and_then(rensei_process::End::code);
        self.result.signal = observed.end.process.and_then(rensei_process::End::signal);
        self.result.output_tail = observed.tail;
        self.extra = Extra { provider_session_id: observed.provider_session_id, usage: observed.end.usage };
        self
    }

    /// Adds what was published.
    pub(crate) fn with(mut self, state: TreeState) -> Self {
        self.result.commit_sha = state.commit;
        self.result.diff = state.diff;
        self.result.pushed = state.pushed.is_some();
        self.result.branch = state.pushed;
        self.note = state.note;
        self
    }

    /// One line for people; never empty.
    pub(crate) fn summary(&self) -> String {
        let work = text::with_hint(describe(&self.result), self.note.clone());
        match (&self.failure, self.status) {
            (Some(failure), SessionStatus::Stopped) => format!("Session {}", failure.message),
            (Some(failure), _) if self.result.pushed => format!("Session failed: {}; {work}", failure.message),
            (Some(failure), _) => format!("Session failed: {}", failure.message),
            (None, _) => format!("Session completed: {work}"),
        }
    }
}

/// What was changed and where it went.
fn describe(result: &SessionResult) -> String {
    let files = result.diff.as_ref().map_or(0, |diff| diff.files_changed);
    let changed = match files {
        0 => "no changes".to_owned(),
        1 => "1 file changed".to_owned(),
        n => format!("{n} files changed"),
    };
    match &result.branch {
        Some(branch) => format!("{changed}, pushed {branch}"),
        None => changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        let pushed = TreeState {
            commit: Some("c".into()),
            diff: Some(DiffStat { files_changed: 1, ..DiffStat::default() }),
            pushed: Some("agent/s1".into()),
            note: None,
        };
        let failure = || Failure { mode: "provider-error", message: "agent exited with exit code 3".into() };
        for (conclusion, summary) in [
            (Conclusion::completed(), "Session completed: no changes"),
            (Conclusion::completed().with(pushed.clone()), "Session completed: 1 file changed, pushed agent/s1"),
            (Conclusion::failed(failure()), "Session failed: agent exited with exit code 3"),
            (
                Conclusion::failed(failure()).with(pushed),
                "Session failed: agent exited with exit code 3; 1 file changed, pushed agent/s1",
            ),
            (Conclusion::interrupted(Interrupt::Shutdown { notice: None }), "Session stopped by the host"),
            (
                Conclusion::interrupted(Interrupt::Stop { reason: Some("wrong branch".into()) }),
                "Session stopped by an operator: wrong branch",
            ),
        ] {
            assert_eq!(conclusion.summary(), summary);
        }
    }
}
