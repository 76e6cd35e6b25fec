//! What this worker can run, for hosts that want to say so.

use super::{shell, stub};
use serde_json::{Map, Value, json};

/// An agent runtime of this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeInfo {
    /// Name by which sessions ask for it.
    pub name: &'static str,
    /// Program that it cannot do without.
    pub program: Option<&'static str>,
    /// Name for people.
    pub label: &'static str,
}

impl RuntimeInfo {
    /// What it can do, in the words of the wire. None of them takes messages, resumes, or tells of sub-agents yet.
    #[must_use]
    pub fn capabilities(&self) -> Map<String, Value> {
        let words = [
            ("supportsMessageInjection", json!(false)),
            ("supportsSessionResume", json!(false)),
            ("emitsSubagentEvents", json!(false)),
            ("humanLabel", json!(self.label)),
        ];
        words.into_iter().map(|(word, value)| (word.to_owned(), value)).collect()
    }
}

/// Every agent runtime of this worker, by name.
pub const RUNTIMES: [RuntimeInfo; 2] = [
    RuntimeInfo { name: shell::NAME, program: Some(shell::SHELL), label: "a shell command of yours" },
    RuntimeInfo { name: stub::NAME, program: None, label: "scripted, for trials" },
];
