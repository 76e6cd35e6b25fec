//! Work that takes a while.

use super::{Output, text};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// Pause between two frames of the spinner.
const FRAME: Duration = Duration::from_millis(100);

/// What is going on: a spinner with one line in its place on a terminal, elsewhere one line on stderr per change.
#[derive(Debug)]
pub(crate) struct Progress {
    output: Output,
    bar: Option<ProgressBar>,
    said: String,
}

impl Progress {
    pub(super) fn new(output: Output) -> Self {
        Self { output, bar: None, said: String::new() }
    }

    /// Says what goes on now.
    pub(crate) fn say(&mut self, line: &str) {
        let line = text::clean(line);
        if self.said == line {
            return;
        }
        self.said = line.into_owned();
        if self.output.err_is_tty() {
            self.bar.get_or_insert_with(spinner).set_message(self.said.clone());
        } else {
            self.output.note(&self.said);
        }
    }

    /// Removes what stands in place. Dropping does the same.
    pub(crate) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// How far long work is: a bar on a terminal, nothing elsewhere.
#[derive(Debug)]
pub(crate) struct Bar {
    shown: bool,
    bar: Option<ProgressBar>,
}

impl Bar {
    pub(super) fn new(output: Output) -> Self {
        Self { shown: output.err_is_tty(), bar: None }
    }

    /// Says what goes on, and how many bytes of how many are done. Without a total it just moves.
    pub(crate) fn show(&mut self, label: &str, done: u64, total: Option<u64>) {
        if !self.shown {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| total.map_or_else(spinner, bytes));
        bar.set_position(total.map_or(done, |total| done.min(total)));
        bar.set_message(text::clean(label).into_owned());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn bytes(total: u64) -> ProgressBar {
    let template = "{bar:30} {bytes}/{total_bytes} {wide_msg}";
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    ProgressBar::new(total).with_style(style)
}

fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is well-formed");
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(FRAME);
    bar
}
