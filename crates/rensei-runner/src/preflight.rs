//! Everything that can go wrong before there is a session to fail.

use crate::daemon::Daemon;
use crate::interrupt::{Interrupt, Interrupts};
use crate::link::Link;
use crate::options::{Finished, RunOptions, variable};
use crate::outcome_file::OutcomeFile;
use crate::task::Task;
use crate::text;
use rensei_control_api::ControlError;
use rensei_platform_client::ClientError;
use rensei_proto::control::{KitSettings, Workarea};
use rensei_proto::outcome::{Outcome, SessionResult};
use rensei_proto::{InvalidSessionId, Secret, SessionDetail, SessionId, SessionStatus, error_chain};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::time::Instant;

/// A session that can begin.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What to do.
    pub(crate) detail: SessionDetail,
    /// Line to the control plane; none for a local session.
    pub(crate) link: Option<Arc<Link>>,
    /// Being made since the session id was known.
    pub(crate) workarea: Task<Result<Workarea, ControlError>>,
    /// Being asked for since then too.
    pub(crate) kits: Task<Option<KitSettings>>,
    /// Directory of the session.
    pub(crate) dir: Option<PathBuf>,
    /// Where the outcome goes.
    pub(crate) file: OutcomeFile,
    /// Environment of the worker.
    pub(crate) env: BTreeMap<String, String>,
    /// Copy of the agent's output.
    pub(crate) raw_output: Option<std::fs::File>,
    /// Start of the run.
    pub(crate) start: Start,
}

/// When the run began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// For limits.
    pub(crate) monotonic: Instant,
    /// For people, Unix milliseconds.
    pub(crate) wall: i64,
}

impl Start {
    pub(crate) fn now() -> Self {
        Self { monotonic: Instant::now(), wall: jiff::Timestamp::now().as_millisecond() }
    }
}

/// Why the session did not begin.
#[derive(Debug, thiserror::Error)]
enum PreflightError {
    #[error("no session id: pass --session-id or set RENSEI_SESSION_ID")]
    NoSession,
    #[error(transparent)]
    BadSession(#[from] InvalidSessionId),
    #[error("daemon URL {url:?} cannot be used")]
    BadDaemonUrl {
        url: String,
        #[source]
        source: ControlError,
    },
    #[error("failed to get session {id} from the daemon")]
    Detail {
        id: SessionId,
        #[source]
        source: ControlError,
    },
    #[error("daemon answered with session {got} instead of {wanted}")]
    OtherSession { wanted: SessionId, got: SessionId },
    #[error("control plane cannot be used")]
    BadPlatformUrl(#[source] ClientError),
    #[error("stopped before the session began")]
    Interrupted,
}

impl PreflightError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::BadDaemonUrl { source, .. } | Self::Detail { source, .. } => source.hint(),
            Self::BadPlatformUrl(source) => source.hint(),
            Self::NoSession | Self::BadSession(_) | Self::OtherSession { .. } | Self::Interrupted => None,
        }
    }

    const fn status(&self) -> SessionStatus {
        if matches!(self, Self::Interrupted) { SessionStatus::Stopped } else { SessionStatus::Failed }
    }
}

/// Checks the options, gets the detail, and has the workarea made meanwhile.
pub(crate) async fn prepare(options: RunOptions, interrupts: &Interrupts) -> Result<Prepared, Finished> {
    let start = Start::now();
    let id = session_id(&options.session_id).map_err(|error| finished(&error, None))?;
    let dir = session_dir(&options);
    let file = OutcomeFile::in_dir(dir.clone());
    let fetched = fetch(&id, &options, interrupts).await;
    let Fetched { detail, link, workarea, kits } = fetched.map_err(|error| {
        let outcome = outcome(&id, &error, start);
        file.write(&outcome);
        finished(&error, Some(outcome))
    })?;
    Ok(Prepared { detail, link, workarea, kits, dir, file, env: options.env, raw_output: options.raw_output, start })
}

/// Where the worker and its daemon leave files for each other.
pub(crate) fn session_dir(options: &RunOptions) -> Option<PathBuf> {
    options.session_dir.clone().or_else(|| variable(&options.env, "SESSION_DIR").map(PathBuf::from))
}

fn session_id(text: &str) -> Result<SessionId, PreflightError> {
    if text.is_empty() { Err(PreflightError::NoSession) } else { Ok(SessionId::parse(text)?) }
}

struct Fetched {
    detail: SessionDetail,
    link: Option<Arc<Link>>,
    workarea: Task<Result<Workarea, ControlError>>,
    kits: Task<Option<KitSettings>>,
}

async fn fetch(id: &SessionId, options: &RunOptions, interrupts: &Interrupts) -> Result<Fetched, PreflightError> {
    let url = options.daemon_url.clone();
    let token = variable(&options.env, "SESSION_TOKEN").map(Secret::from);
    let daemon = Daemon::at(&options.daemon_url, token.as_ref());
    let daemon = daemon.map_err(|source| PreflightError::BadDaemonUrl { url, source })?;
    let workarea = Task::spawn({
        let (daemon, id) = (daemon.clone(), id.clone());
        async move { daemon.workarea(&id).await }
    });
    let kits = Task::spawn({
        let daemon = daemon.clone();
        async move { daemon.kits().await }
    });
    let answer = interrupts.guard(daemon.detail(id)).await.map_err(|_: Interrupt| PreflightError::Interrupted)?;
    let detail = answer.map_err(|source| PreflightError::Detail { id: id.clone(), source })?;
    if detail.session_id != *id {
        return Err(PreflightError::OtherSession { wanted: id.clone(), got: detail.session_id });
    }
    let link = Link::open(&detail, &daemon).map_err(PreflightError::BadPlatformUrl)?;
    Ok(Fetched { detail, link, workarea, kits })
}

fn finished(error: &PreflightError, outcome: Option<Outcome>) -> Finished {
    let message = text::with_hint(error_chain(error), error.hint());
    let exit_code = if matches!(error, PreflightError::Interrupted) { 1 } else { 2 };
    Finished { outcome, exit_code, error: Some(format!("preflight: {message}")) }
}

/// Not reported: whether anybody has to be told is for the daemon to know.
fn outcome(id: &SessionId, error: &PreflightError, start: Start) -> Outcome {
    let message = text::with_hint(error_chain(error), error.hint());
    Outcome {
        version: 1,
        session_id: id.clone(),
        status: error.status(),
        provider_name: String::new(),
        worktree_path: None,
        failure_mode: Some("preflight".to_owned()),
        summary: Some(format!("Session did not begin: {message}")),
        error: Some(message),
        result: SessionResult::default(),
        started_at: start.wall,
        finished_at: jiff::Timestamp::now().as_millisecond(),
        reported: false,
    }
}
