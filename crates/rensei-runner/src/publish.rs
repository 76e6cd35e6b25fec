//! Commits and pushes what an agent left.

use crate::conclusion::TreeState;
use crate::prompt;
use crate::runtime::{AgentEnd, Failure};
use crate::session::{Session, settle};
use crate::text;
use rensei_proto::control::Workarea;
use rensei_proto::outcome::DiffStat;
use rensei_proto::{Secret, SessionStatus, error_chain};
use rensei_workarea::{
    Checkout, CommitMessage, GitEnvironment, GitHints, GitToken, PushRequest, Pushed, WorkareaError,
    without_credentials,
};
use std::path::PathBuf;
use std::time::Instant;

/// What became of the agent's work.
#[derive(Debug, Default)]
pub(crate) struct Publication {
    /// State of the repository.
    pub(crate) state: TreeState,
    /// Why it is not all published.
    pub(crate) failure: Option<Failure>,
}

/// The checkout after the commit.
struct Committed {
    checkout: Checkout,
    /// Tip, when it is not where the session started.
    moved: Option<(String, DiffStat)>,
}

/// Commits what the agent left and pushes the branch if it holds anything new.
pub(crate) async fn publish(session: &Session, end: &AgentEnd, workarea: &Workarea) -> Publication {
    let started = Instant::now();
    let committed = match commit(session, end, workarea).await {
        Ok(committed) => committed,
        Err(error) => return failed("commit-failed", "the agent's work could not be committed", &error),
    };
    let Some((tip, diff)) = committed.moved else { return Publication::default() };
    let shown: String = tip.chars().take(12).collect();
    let files = diff.files_changed;
    let content = format!("committed {shown}: {files} file{} changed", if files == 1 { "" } else { "s" });
    session.activities.step("commit", &content, started.elapsed());
    // Only now, and beside the push: a session that has nothing to push ends at once.
    let finalizing = session.announce(SessionStatus::Finalizing, workarea);
    let mut publication = push(session, &committed.checkout, workarea).await;
    settle(finalizing).await;
    publication.state.commit = Some(tip);
    publication.state.diff = Some(diff);
    publication
}

async fn commit(session: &Session, end: &AgentEnd, workarea: &Workarea) -> Result<Committed, WorkareaError> {
    let message = commit_message(session, end);
    let git = GitEnvironment::new(session.env.iter().map(|(name, value)| (name.into(), value.into())).collect());
    let (path, base) = (PathBuf::from(&workarea.path), workarea.commit.clone());
    rensei_workarea::blocking(move || {
        let checkout = Checkout::open(&path, git)?;
        checkout.commit_all(&message)?;
        let tip = checkout.head()?.filter(|tip| *tip != base);
        let moved = tip.map(|tip| Ok((tip.clone(), checkout.diff_stat(&base, &tip)?))).transpose()?;
        Ok(Committed { checkout, moved })
    })
    .await
}

async fn push(session: &Session, checkout: &Checkout, workarea: &Workarea) -> Publication {
    let started = Instant::now();
    // The workarea does not say what to log in with.
    let same = without_credentials(&session.detail.repository) == workarea.repository;
    let repository = if same { &session.detail.repository } else { &workarea.repository }.clone();
    let request = PushRequest { repository, branch: workarea.branch.clone(), hints: hints(session) };
    match checkout.push(request).await {
        Ok(Pushed { branch, note, .. }) => {
            let content = text::with_hint(format!("pushed {branch}"), note.clone());
            session.activities.step("push", &content, started.elapsed());
            let state = TreeState { pushed: Some(branch), note, ..TreeState::default() };
            Publication { state, failure: None }
        }
        Err(error) => failed("push-failed", "the agent's work could not be pushed", &error),
    }
}

/// What the control plane lends for the session's repository.
fn lent(repository: &str, token: Secret) -> GitToken {
    GitToken { url: repository.to_owned(), username: String::new(), token }
}

fn hints(session: &Session) -> GitHints {
    let access = session.detail.git.clone().unwrap_or_default();
    GitHints {
        credential_helper: access.credential_helper,
        ssh_key: access.ssh_key.map(PathBuf::from),
        tokens: access.token.map(|token| lent(&session.detail.repository, token)).into_iter().collect(),
    }
}

fn failed(mode: &'static str, what: &str, error: &WorkareaError) -> Publication {
    let message = text::with_hint(format!("{what}: {}", error_chain(error)), error.hint());
    Publication { failure: Some(Failure { mode, message }), ..Publication::default() }
}

fn commit_message(session: &Session, end: &AgentEnd) -> CommitMessage {
    let mut body = format!("Session: {}\nAgent: {}", session.detail.session_id, session.detail.provider());
    if let Some(failure) = &end.failure {
        body = format!("Unfinished: {}\n\n{body}", failure.message);
    }
    CommitMessage { subject: prompt::commit_subject(&session.detail), body, ..CommitMessage::default() }
}
