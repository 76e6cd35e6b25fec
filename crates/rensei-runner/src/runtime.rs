//! Agent runtimes: how an agent is started, listened to and stopped.

mod info;
mod line;
mod shell;
mod shell_io;
mod stub;
mod tree;

pub use info::{RUNTIMES, RuntimeInfo};

use rensei_process::End;
use rensei_proto::SessionDetail;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

/// Events that may wait for the session; then the agent's output waits.
const EVENT_QUEUE: usize = 64;

/// What an agent is started with.
#[derive(Debug)]
pub(crate) struct AgentSpec {
    /// Session that it works for; also the marker in its environment.
    pub(crate) session_id: String,
    /// Working tree.
    pub(crate) workarea: PathBuf,
    /// May be empty.
    pub(crate) prompt: String,
    /// Whole environment; nothing is inherited.
    pub(crate) env: BTreeMap<String, String>,
    /// Gets a copy of every byte.
    pub(crate) raw_output: Option<std::fs::File>,
}

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What an agent does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AgentEvent {
    /// It has a conversation that could be resumed.
    Started { provider_session_id: String },
    /// Whole lines of raw output, separated by newlines.
    Output { stream: Stream, lines: Vec<u8> },
    /// It said something.
    Said(String),
    /// It uses a tool.
    ToolUse { name: String, id: String, input: Value },
    /// The tool has answered.
    ToolResult { name: String, id: String, output: String },
    /// Something went wrong; the end tells whether it mattered.
    Error(String),
    /// Nothing more comes.
    Ended(AgentEnd),
}

/// How an agent ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AgentEnd {
    /// Why it failed; `None` is success.
    pub(crate) failure: Option<Failure>,
    /// End of its process, if it has one.
    pub(crate) process: Option<End>,
    /// Its last word.
    pub(crate) message: Option<String>,
    /// What it cost.
    pub(crate) usage: Usage,
}

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Stable word for the outcome.
    pub(crate) mode: &'static str,
    /// For people.
    pub(crate) message: String,
}

/// What an agent used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// US dollars.
    pub(crate) cost_usd: f64,
    /// Tokens read.
    pub(crate) input_tokens: u64,
    /// Tokens written.
    pub(crate) output_tokens: u64,
}

/// Why no agent was started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuntimeError {
    /// No runtime of that name.
    #[error("unknown agent runtime `{name}`; available: {}", RUNTIMES.map(|runtime| runtime.name).join(", "))]
    Unknown {
        /// As asked for.
        name: String,
    },
    /// The `shell` runtime was not told what to run.
    #[error("`providerConfig.command` is missing: the shell runtime runs the command that it names")]
    NoCommand,
    /// The system refused.
    #[error("failed to start {program} in {}", workarea.display())]
    Spawn {
        /// What was to be started.
        program: &'static str,
        /// Its working directory.
        workarea: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

impl RuntimeError {
    /// Stable word for the outcome.
    pub(crate) const fn failure_mode(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "provider-resolve",
            Self::NoCommand | Self::Spawn { .. } => "spawn-failed",
        }
    }
}

/// One kind of agent, configured for one session.
pub(crate) trait AgentRuntime: Send + Sync {
    /// Starts the agent. Its events end with exactly one [`AgentEvent::Ended`].
    fn spawn(&self, spec: AgentSpec) -> Result<Agent, RuntimeError>;
}

/// The runtime that the session asks for.
pub(crate) fn resolve(
    detail: &SessionDetail,
    env: &BTreeMap<String, String>,
) -> Result<Box<dyn AgentRuntime>, RuntimeError> {
    match detail.provider() {
        shell::NAME => Ok(Box::new(shell::Shell::configured(detail)?)),
        stub::NAME => Ok(Box::new(stub::Stub::configured(detail, env))),
        other => Err(RuntimeError::Unknown { name: crate::text::one_line(other, 80) }),
    }
}

/// A started agent. Dropping it aborts it.
#[derive(Debug)]
pub(crate) struct Agent {
    events: mpsc::Receiver<AgentEvent>,
    stop: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

/// The driver's ends of what an [`Agent`] holds.
#[derive(Debug, Clone)]
struct Driver {
    events: mpsc::Sender<AgentEvent>,
    stop: Arc<Notify>,
}

impl Driver {
    /// Sends an event. A session that does not listen any more is no reason to stop.
    async fn emit(&self, event: AgentEvent) {
        let _gone = self.events.send(event).await;
    }

    /// Resolves when the agent is to stop.
    async fn stopped(&self) {
        self.stop.notified().await;
    }
}

impl Agent {
    /// Starts the task that drives an agent.
    fn drive<F: Future<Output = ()> + Send + 'static>(body: impl FnOnce(Driver) -> F) -> Self {
        let (sender, events) = mpsc::channel(EVENT_QUEUE);
        let stop = Arc::new(Notify::new());
        let task = tokio::spawn(body(Driver { events: sender, stop: Arc::clone(&stop) }));
        Self { events, stop, task }
    }

    /// The next event; `None` after the last one. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<AgentEvent> {
        self.events.recv().await
    }

    /// Asks the agent to end, and makes it end after a grace period. Its remaining events still come.
    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}
