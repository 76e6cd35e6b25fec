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

fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is well-formed");
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(FRAME);
    bar
}
