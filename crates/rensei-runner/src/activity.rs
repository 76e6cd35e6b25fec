//! Activities on their way to the control plane.
//!
//! | what the agent does | type |
//! |---|---|
//! | writes to stdout, says something | `thought` |
//! | writes to stderr | `progress` |
//! | uses a tool, gets its answer | `action` |
//! | reports an error | `error` |
//! | ends well with a last word | `response` |
//! | the runner makes the workarea, commits, pushes | `action`, tool names `workarea`, `commit`, `push` |
//!
//! The agent never waits for the control plane. Output that comes faster than it is taken is merged, and what does not
//! fit any more is counted and named in a later activity; the session's log on its host has all of it.

mod poster;
mod queue;

use crate::link::Link;
use crate::runtime::{AgentEvent, Stream};
use crate::text;
use queue::Queue;
use rensei_process::output_log::plain_line;
use rensei_proto::platform::Activity;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Largest content of one activity in bytes.
const MAX_CONTENT: usize = 8 * 1024;
/// Largest tool output in bytes.
const MAX_TOOL_OUTPUT: usize = 500;
/// Largest summary of a tool use in bytes.
const MAX_SUMMARY: usize = 200;
/// How long a session's end waits for the control plane to take one of the activities that are left.
const FLUSH: Duration = Duration::from_secs(2);
/// How long it waits for all of them.
const FLUSH_ALL: Duration = Duration::from_secs(8);

/// Where a session's activities go.
#[derive(Debug)]
pub(crate) struct Activities {
    queue: Arc<Queue>,
    poster: Option<tokio::task::JoinHandle<()>>,
    provider: String,
}

impl Activities {
    /// Starts posting through `link`. Without one, activities go nowhere.
    pub(crate) fn start(link: Option<Arc<Link>>, provider: &str) -> Self {
        let queue = Arc::new(Queue::default());
        let poster = link.map(|link| tokio::spawn(poster::run(Arc::clone(&queue), link)));
        Self { queue, poster, provider: provider.to_owned() }
    }

    /// Passes on what the agent does.
    pub(crate) fn observe(&self, event: &AgentEvent) {
        match event {
            AgentEvent::Output { stream, lines } => self.output(*stream, lines),
            AgentEvent::Said(said) => self.push(self.plain("thought", said)),
            AgentEvent::ToolUse { name, id, input } => self.push(self.tool_use(name, id, input)),
            AgentEvent::ToolResult { name, id, output } => self.push(self.tool_result(name, id, output)),
            AgentEvent::Error(message) => self.push(self.plain("error", message)),
            AgentEvent::Ended(end) => {
                if let Some(message) = &end.message {
                    self.push(self.plain("response", message));
                }
            }
            AgentEvent::Started { .. } => {}
        }
    }

    /// Reports a step of the runner itself.
    pub(crate) fn step(&self, tool: &str, content: &str, took: Duration) {
        let activity = Activity {
            tool_name: Some(tool.to_owned()),
            duration_ms: Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            ..self.plain("action", content)
        };
        self.push(activity);
    }

    /// Waits until everything has been posted, not long for any one of them. `hurried`: nor for all of them, because
    /// whoever stops a session does not wait long for its end.
    pub(crate) async fn close(mut self, hurried: bool) {
        self.queue.close();
        let Some(mut poster) = self.poster.take() else { return };
        let give_up = Instant::now() + if hurried { FLUSH } else { FLUSH_ALL };
        let mut waiting = usize::MAX;
        while Instant::now() < give_up && self.queue.len() < waiting {
            waiting = self.queue.len();
            if timeout(FLUSH, &mut poster).await.is_ok() {
                return;
            }
        }
        tracing::warn!(left = self.queue.len(), "the control plane did not take the last activities in time");
        poster.abort();
    }

    fn output(&self, stream: Stream, lines: &[u8]) {
        if self.poster.is_none() {
            return;
        }
        let kind = match stream {
            Stream::Out => "thought",
            Stream::Err => "progress",
        };
        for line in lines.split(|byte| *byte == b'\n') {
            if self.queue.is_full(kind, line.len().min(MAX_CONTENT)) {
                self.queue.drop_lines(1);
                continue;
            }
            let mut content = plain_line(&line[..line.len().min(2 * MAX_CONTENT)]);
            text::cut(&mut content, MAX_CONTENT);
            if !content.trim().is_empty() {
                self.queue.push_line(kind, &content, || self.plain(kind, ""));
            }
        }
    }

    fn push(&self, activity: Activity) {
        if self.poster.is_some() && !activity.content.is_empty() {
            self.queue.push(activity);
        }
    }

    fn plain(&self, kind: &str, content: &str) -> Activity {
        let mut content = content.trim().to_owned();
        text::cut(&mut content, MAX_CONTENT);
        Activity {
            r#type: kind.to_owned(),
            content,
            provider_name: Some(self.provider.clone()),
            timestamp: Some(rensei_proto::rfc3339_millis(jiff::Timestamp::now())),
            ..Activity::default()
        }
    }

    fn tool_use(&self, name: &str, id: &str, input: &Value) -> Activity {
        Activity {
            tool_name: Some(name.to_owned()),
            tool_use_id: Some(id.to_owned()),
            tool_input: Some(input.clone()),
            ..self.plain("action", &summary(name, input))
        }
    }

    fn tool_result(&self, name: &str, id: &str, output: &str) -> Activity {
        let mut output = output.to_owned();
        text::cut(&mut output, MAX_TOOL_OUTPUT);
        Activity {
            tool_name: Some(name.to_owned()),
            tool_use_id: Some(id.to_owned()),
            tool_output: Some(output),
            is_error: Some(false),
            ..self.plain("action", &format!("{name} result"))
        }
    }
}

impl Drop for Activities {
    fn drop(&mut self) {
        if let Some(poster) = &self.poster {
            poster.abort();
        }
    }
}

/// One line that says what a tool is used for.
fn summary(name: &str, input: &Value) -> String {
    let keys: &[&str] = match name {
        "Bash" => &["command"],
        "Read" | "Edit" | "Write" | "NotebookEdit" => &["file_path"],
        "Grep" | "Glob" => &["pattern"],
        "Agent" | "Task" => &["description", "prompt"],
        _ => &[],
    };
    let argument = keys.iter().find_map(|key| input.get(key)?.as_str());
    text::one_line(argument.unwrap_or(name), MAX_SUMMARY)
}
