//! What comes in and what is handed out.

use crate::fault::Call;
use serde_json::{Value, json};
use tokio::time::Instant;

/// One request.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The call; `None` for a path that is none of the API's.
    pub call: Option<Call>,
    /// HTTP method.
    pub method: String,
    /// Path without its query.
    pub path: String,
    /// Query without its question mark.
    pub query: String,
    /// Token of the `Authorization` header.
    pub bearer: Option<String>,
    /// Body as it came; empty when it was not read.
    pub body: Vec<u8>,
    /// When its head was complete.
    pub at: Instant,
}

impl Recorded {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The id in the path: the worker's, or the session's.
    #[must_use]
    pub fn id(&self) -> String {
        Call::of_path(&self.path).map(|(_, id)| id).unwrap_or_default()
    }
}

/// One item of work.
#[derive(Debug, Clone)]
pub struct WorkItem(Value);

impl WorkItem {
    /// Work for project `app`, which every [`crate::TempState`] serves, whose worker succeeds at once.
    #[must_use]
    pub fn new(session_id: &str) -> Self {
        Self(json!({"sessionId": session_id, "repository": "app", "queuedAt": 1_777_658_441_780_u64,
            "issueId": "i-1", "issueIdentifier": "APP-1", "priority": 3, "env": {"SCRIPT": "exit 0"}}))
    }

    /// Sets the fencing number.
    #[must_use]
    pub fn attempt(self, attempt: u64) -> Self {
        self.with("attempt", attempt)
    }

    /// Sets what the worker does, in the language of `/bin/sh`.
    #[must_use]
    pub fn script(self, script: &str) -> Self {
        self.with("env", json!({"SCRIPT": script}))
    }

    /// Sets any field.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.0[field] = value.into();
        self
    }

    /// The item as it goes over the wire.
    #[must_use]
    pub fn raw(&self) -> String {
        self.0.to_string()
    }
}
