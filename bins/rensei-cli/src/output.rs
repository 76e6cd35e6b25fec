//! The one owner of stdout and stderr: data goes to stdout, everything else to stderr.

pub(crate) mod progress;
pub(crate) mod rows;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod time;

use crate::env::Environment;
use crate::error::{CommandError, CommandResult};
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// When to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Meaning of a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As wanted.
    Good,
    /// Worth a look.
    Notice,
    /// On its way.
    Busy,
    /// Failed.
    Bad,
    /// Less important.
    Faint,
    /// A heading.
    Strong,
}

impl Tone {
    const fn style(self) -> Style {
        match self {
            Self::Good => AnsiColor::Green.on_default(),
            Self::Notice => AnsiColor::Yellow.on_default(),
            Self::Busy => AnsiColor::Cyan.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Faint => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
        }
    }
}

/// Prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    color_out: bool,
    color_err: bool,
    out_is_tty: bool,
    err_is_tty: bool,
    width: Option<usize>,
}

impl Output {
    /// Decides once about colour.
    pub(crate) fn new(choice: ColorChoice, env: &Environment) -> Self {
        let (out_is_tty, err_is_tty) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let allowed = env.get("NO_COLOR").is_none() && env.get("TERM") != Some("dumb");
        let decide = |is_tty: bool| match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => allowed && is_tty,
        };
        Self {
            color_out: decide(out_is_tty),
            color_err: decide(err_is_tty),
            out_is_tty,
            err_is_tty,
            width: env.get("COLUMNS").and_then(|columns| columns.parse().ok()).or_else(terminal_width),
        }
    }

    /// The same without colour on stdout, if so wanted.
    pub(crate) const fn plain(self, wanted: bool) -> Self {
        Self { color_out: self.color_out && !wanted, ..self }
    }

    /// Whether stdout is a terminal, so that a page can be drawn again in its place.
    pub(crate) const fn out_is_tty(&self) -> bool {
        self.out_is_tty
    }

    /// Characters in a line of stdout: `COLUMNS`, else what the terminal says. `None` when nothing limits a line.
    pub(crate) const fn width(&self) -> Option<usize> {
        self.width
    }

    /// What is said of work that takes a while.
    pub(crate) fn progress(&self) -> progress::Progress {
        progress::Progress::new(*self)
    }

    /// How far long work is.
    pub(crate) fn bar(&self) -> progress::Bar {
        progress::Bar::new(*self)
    }

    /// `✓` in colour, `OK` without.
    pub(crate) fn mark(&self) -> String {
        if self.color_out { self.paint(Tone::Good, "✓") } else { "OK".to_owned() }
    }

    /// A heading above a table or rows.
    pub(crate) fn heading(&self, text: &str) -> String {
        self.paint(Tone::Strong, text)
    }

    /// Whether stderr is a terminal, so that progress can be shown in place.
    pub(crate) const fn err_is_tty(&self) -> bool {
        self.err_is_tty
    }

    /// Whether stdout may be coloured.
    pub(crate) const fn out_is_coloured(&self) -> bool {
        self.color_out
    }

    /// Whether stderr may be coloured.
    pub(crate) const fn err_is_coloured(&self) -> bool {
        self.color_err
    }

    /// `text` in a colour, for stdout.
    pub(crate) fn paint(&self, tone: Tone, text: impl Display) -> String {
        painted(self.color_out, tone, text)
    }

    /// `text` in a colour, for stderr.
    pub(crate) fn paint_err(&self, tone: Tone, text: impl Display) -> String {
        painted(self.color_err, tone, text)
    }

    /// One line of data.
    pub(crate) fn line(&self, line: impl Display) -> CommandResult {
        self.write(format!("{line}\n").as_bytes())
    }

    /// Data as it is.
    pub(crate) fn write(&self, bytes: &[u8]) -> CommandResult {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(CommandError::stdout)
    }

    /// One JSON document, indented by two spaces.
    pub(crate) fn json(&self, document: &impl Serialize) -> CommandResult {
        let text = serde_json::to_string_pretty(document).map_err(unwritable)?;
        self.line(text)
    }

    /// One JSON document on one line.
    pub(crate) fn json_line(&self, document: &impl Serialize) -> CommandResult {
        let text = serde_json::to_string(document).map_err(unwritable)?;
        self.line(text)
    }

    /// One line for people. Lost when stderr is closed: there is nobody to tell.
    pub(crate) fn note(&self, line: impl Display) {
        self.write_err(format!("{line}\n").as_bytes());
    }

    /// Bytes for people.
    pub(crate) fn write_err(&self, bytes: &[u8]) {
        let mut stderr = io::stderr().lock();
        let _nobody_listens = stderr.write_all(bytes).and_then(|()| stderr.flush());
    }

    /// One line that warns.
    pub(crate) fn warn(&self, line: impl Display) {
        self.note(format_args!("{} {line}", self.paint_err(Tone::Notice, "warning:")));
    }

    /// A next step.
    pub(crate) fn hint(&self, hint: impl Display) {
        self.note(format_args!("  {} {}", self.paint_err(Tone::Busy, "hint:"), text::clean(&hint.to_string())));
    }

    /// An error, its causes, and the next steps.
    pub(crate) fn error(&self, error: &CommandError, called: &str) {
        if error.is_silent() {
            return;
        }
        for (depth, message) in error.chain().iter().enumerate() {
            let message = text::clean(message);
            match depth {
                0 => self.note(format_args!("{} {message}", self.paint_err(Tone::Bad, "error:"))),
                _ => self.note(format_args!("  caused by: {message}")),
            }
        }
        error.hints().iter().chain(&error.next_command(called)).for_each(|hint| self.hint(hint));
    }
}

/// Terminals that do not know their size say 0.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

fn unwritable(error: serde_json::Error) -> CommandError {
    CommandError::context("failed to write the result as JSON", error)
}

fn painted(on: bool, tone: Tone, text: impl Display) -> String {
    if on { format!("{style}{text}{style:#}", style = tone.style()) } else { text.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_decided_by_the_flag_first() {
        let no_color = Environment::from([("NO_COLOR", "1")]);
        assert!(Output::new(ColorChoice::Always, &no_color).color_out);
        assert!(!Output::new(ColorChoice::Auto, &no_color).color_out);
        assert!(!Output::new(ColorChoice::Never, &Environment::default()).color_err);
        assert_eq!(painted(true, Tone::Good, "ok"), "\u{1b}[32mok\u{1b}[0m");
        assert_eq!(painted(false, Tone::Good, "ok"), "ok");
    }
}
