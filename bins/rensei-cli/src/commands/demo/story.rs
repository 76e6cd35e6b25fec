//! The session of a demo, followed as it happens.

use super::repository::Repository;
use super::stage::{PROJECT, Stage};
use super::timeline::Timeline;
use crate::args::demo::DemoArgs;
use crate::commands::session::lines;
use crate::commands::session::sheet::{agent_end, diff_line};
use crate::error::{CommandError, CommandResult};
use crate::output::time::{between, span};
use rensei_platform_client::{ClientError, OperatorClient};
use rensei_proto::operator::{CreateSession, RecordedActivity, Session};
use rensei_proto::{ResolvedProfile, SessionStatus};
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::time::Duration;

/// How long one request is held.
const WAIT: Duration = Duration::from_secs(20);
/// How long a host may take to claim the session.
const CLAIM_LIMIT: Duration = Duration::from_secs(20);

/// Steps that a worker reports as actions: the action, our event, and what its text begins with.
const STEPS: [(&str, &str, &str); 3] =
    [("workarea", "workarea", "workarea "), ("commit", "committed", "committed "), ("push", "pushed", "pushed ")];

/// The agent unless one is given. It does what agents do: reads the task, changes the checkout, says what it did.
const DEFAULT_AGENT: &str = r##"task=$(cat)
echo "task: $task"
{ echo "# Note"; echo; echo "$task"; echo; echo "Done by a demo session on $(git rev-parse --abbrev-ref HEAD)."; } >> rensei-demo.md
echo "wrote rensei-demo.md, $(wc -l < rensei-demo.md | tr -d ' ') lines"
"##;

/// Queues the session.
pub(super) async fn dispatch(
    args: &DemoArgs,
    repository: &Repository,
    stage: &Stage,
    timeline: &mut Timeline,
) -> CommandResult<Session> {
    let command = args.command.as_deref().unwrap_or(DEFAULT_AGENT);
    let config = Map::from_iter([("command".to_owned(), Value::from(command))]);
    let request = CreateSession {
        project: Some(PROJECT.to_owned()),
        repository: Some(repository.url().to_owned()),
        r#ref: repository.r#ref().map(str::to_owned),
        title: Some("Demo session".to_owned()),
        prompt: Some(args.prompt.clone()),
        resolved_profile: Some(ResolvedProfile {
            provider: "shell".to_owned(),
            provider_config: config,
            ..ResolvedProfile::default()
        }),
        ..CreateSession::default()
    };
    let session = stage.client.create_session(&request).await.map_err(failed)?;
    timeline.event("dispatched", format!("session {}", session.session_id))?;
    Ok(session)
}

/// Tells what happens to the session until it has ended and everything was heard.
pub(super) async fn follow(
    client: &OperatorClient,
    mut session: Session,
    timeline: &mut Timeline,
) -> CommandResult<Session> {
    let id = session.session_id.clone();
    let mut told = Told::default();
    let mut cursor = 0;
    let mut changed = Box::pin(client.wait_session(&id, session.updated_at, WAIT));
    let mut heard = Box::pin(client.activities(&id, cursor, Some(WAIT)));
    let claim_limit = tokio::time::sleep(CLAIM_LIMIT);
    tokio::pin!(claim_limit);
    loop {
        tokio::select! {
            // The two requests are kept across turns and made anew only when they were answered.
            answer = &mut changed, if !session.status.is_terminal() => {
                session = answer.map_err(failed)?;
                told.progress(&session, timeline)?;
                changed = Box::pin(client.wait_session(&id, session.updated_at, WAIT));
            }
            page = &mut heard => {
                let page = page.map_err(failed)?;
                page.activities.iter().try_for_each(|activity| told.activity(activity, timeline))?;
                if page.activities.is_empty() && page.session_status.is_terminal() {
                    let ended = client.session(&id).await.map_err(failed)?;
                    told.progress(&ended, timeline)?;
                    told.end(&ended, timeline)?;
                    return Ok(ended);
                }
                cursor = page.cursor;
                heard = Box::pin(client.activities(&id, cursor, Some(WAIT)));
            }
            () = &mut claim_limit, if session.status == SessionStatus::Pending => return Err(nobody_came(&session)),
        }
    }
}

fn failed(error: ClientError) -> CommandError {
    let hint = error.hint();
    CommandError::failure(error).maybe_hint(hint)
}

fn nobody_came(session: &Session) -> CommandError {
    let why = session.pending_reason.clone().unwrap_or_else(|| "no reason is known".to_owned());
    CommandError::context(format!("no host took the session within {} s", CLAIM_LIMIT.as_secs()), why)
}

/// What was told already.
#[derive(Debug, Default)]
struct Told(HashSet<&'static str>);

impl Told {
    /// Tells `event`, unless it was told.
    fn once(&mut self, timeline: &mut Timeline, event: &'static str, detail: &str) -> CommandResult {
        if self.0.insert(event) { timeline.event(event, detail) } else { Ok(()) }
    }

    /// Tells what the control plane knows.
    fn progress(&mut self, session: &Session, timeline: &mut Timeline) -> CommandResult {
        if let Some(claimed) = session.claimed_at {
            let host = session.hostname.as_deref().or(session.worker_id.as_deref()).unwrap_or("a host");
            let waited = span(between(session.created_at, claimed));
            self.once(timeline, "claimed", &format!("by {host}, after {waited} in the queue"))?;
        }
        if session.started_at.is_some() {
            self.once(timeline, "started", "a worker in a process group of its own")?;
        }
        Ok(())
    }

    /// Tells what the worker did itself, or what its agent said.
    fn activity(&mut self, activity: &RecordedActivity, timeline: &mut Timeline) -> CommandResult {
        let tool = activity.activity.tool_name.as_deref().unwrap_or_default();
        match STEPS.iter().find(|(name, ..)| *name == tool) {
            Some((_, event, prefix)) => {
                let content = activity.activity.content.as_str();
                self.once(timeline, event, content.strip_prefix(prefix).unwrap_or(content))
            }
            None => lines(activity).try_for_each(|line| timeline.said(&line)),
        }
    }

    /// Tells what was left behind, where no activity did, and how it ended.
    fn end(&mut self, session: &Session, timeline: &mut Timeline) -> CommandResult {
        let result = session.result.clone().unwrap_or_default();
        if let (Some(commit), Some(diff)) =
            (&result.commit_sha, result.diff.as_ref().filter(|diff| diff.files_changed > 0))
        {
            self.once(timeline, "committed", &format!("{commit}: {}", diff_line(diff)))?;
        }
        if let Some(branch) = result.branch.as_deref().filter(|_| result.pushed) {
            self.once(timeline, "pushed", branch)?;
        }
        let event = match session.status {
            SessionStatus::Completed => "completed",
            SessionStatus::Stopped => "stopped",
            _ => "failed",
        };
        let took = span(session.ended_at.map(|end| between(session.created_at, end)).unwrap_or_default());
        let agent = agent_end(&result).map(|end| format!("agent ended with {end}, ")).unwrap_or_default();
        self.once(timeline, event, &format!("{agent}{took} after it was dispatched"))
    }
}
