//! What happened when.

use crate::error::CommandResult;
use crate::output::time::span;
use crate::output::{Output, Tone, text};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Widest name of an event.
const NAME: usize = 13;

/// Prints events as they come and remembers them.
#[derive(Debug)]
pub(super) struct Timeline {
    output: Output,
    /// The result goes to stdout, so the events go to stderr.
    quiet_stdout: bool,
    began: Instant,
    last: Duration,
    events: Vec<Event>,
}

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    /// What, in one word or two.
    pub(super) event: &'static str,
    /// More about it.
    pub(super) detail: String,
    /// Milliseconds since the demo began.
    pub(super) at_ms: u64,
    /// Milliseconds since the event before.
    pub(super) after_ms: u64,
}

impl Timeline {
    /// Starts the clock.
    pub(super) fn new(output: Output, quiet_stdout: bool) -> Self {
        Self { output, quiet_stdout, began: Instant::now(), last: Duration::ZERO, events: Vec::new() }
    }

    /// Something happened.
    pub(super) fn event(&mut self, event: &'static str, detail: impl Into<String>) -> CommandResult {
        let at = self.began.elapsed();
        let after = at.saturating_sub(self.last);
        self.last = at;
        let detail = detail.into();
        let name = self.paint(tone(event), format!("{event:<NAME$}"));
        let took = self.paint(Tone::Faint, format!("(+{})", span(after)));
        let line = format!("{}  {name} {} {took}", stamp(at), text::clean(&detail));
        self.events.push(Event { event, detail, at_ms: millis(at), after_ms: millis(after) });
        self.line(&line)
    }

    /// The agent said something.
    pub(super) fn said(&self, line: &str) -> CommandResult {
        let bar = self.paint(Tone::Faint, "|");
        self.line(&format!("{}  {:<NAME$} {bar} {line}", stamp(self.began.elapsed()), "agent"))
    }

    /// All events so far.
    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }

    /// Time since the demo began.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn paint(&self, tone: Tone, text: impl std::fmt::Display) -> String {
        if self.quiet_stdout { self.output.paint_err(tone, text) } else { self.output.paint(tone, text) }
    }

    fn line(&self, line: &str) -> CommandResult {
        if self.quiet_stdout {
            self.output.note(line);
            return Ok(());
        }
        self.output.line(line)
    }
}

fn tone(event: &str) -> Tone {
    match event {
        "completed" | "pushed" | "committed" => Tone::Good,
        "failed" => Tone::Bad,
        "stopped" | "waiting" => Tone::Notice,
        _ => Tone::Strong,
    }
}

fn stamp(at: Duration) -> String {
    format!("{:>7.2} s", at.as_secs_f64())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
