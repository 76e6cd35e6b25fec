//! Pages that are shown once or, with `--watch`, again and again.

use super::Context;
use crate::args::daemon::LookArgs;
use crate::error::{CommandError, CommandResult, Kind};
use crate::output::{Output, Tone, text};
use crate::signals::Signals;
use serde::Serialize;
use std::process::ExitCode;

/// The same answer for programs and for people.
#[derive(Debug)]
pub(crate) struct Page<T> {
    /// For programs: what the API answered.
    pub(crate) document: T,
    /// For people.
    pub(crate) text: String,
    /// What to do about it.
    pub(crate) hints: Vec<String>,
}

/// Shows the page that `look` makes, as one JSON document or for people; with `--watch` again and again until a signal
/// comes. A daemon that is away, say because it is started again, is said to be and looked for again.
pub(crate) async fn show<T: Serialize>(
    context: &Context,
    args: &LookArgs,
    mut look: impl AsyncFnMut() -> CommandResult<Page<T>>,
) -> CommandResult<ExitCode> {
    let output = &context.output;
    if !args.watch {
        let page = look().await?;
        if args.json {
            output.json(&page.document)?;
        } else {
            output.line(page.text)?;
            page.hints.iter().for_each(|hint| output.hint(hint));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut signals = Signals::listen()?;
    let mut screen = Screen::new(*output, args.json);
    loop {
        let look_and_wait = async {
            screen.draw(look().await)?;
            tokio::time::sleep(args.interval).await;
            Ok::<_, CommandError>(())
        };
        tokio::select! {
            looked = look_and_wait => looked?,
            // Cancel-safe, see `Signals::next`. A look that is given up changes nothing.
            _ = signals.next() => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// Where the pages go: the same place again on a terminal, one after the other elsewhere. Given back when dropped.
#[derive(Debug)]
struct Screen {
    output: Output,
    json: bool,
    in_place: bool,
    /// What stands there.
    last: Option<String>,
}

/// Another screen, so that what was there comes back; without a cursor.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";

impl Screen {
    fn new(output: Output, json: bool) -> Self {
        Self { output, json, in_place: output.out_is_tty() && !json, last: None }
    }

    /// Draws a page, or why there is none. A mistake in the call itself ends the watch.
    fn draw<T: Serialize>(&mut self, page: CommandResult<Page<T>>) -> CommandResult {
        match page {
            Err(error) if error.kind() != Kind::Failure => Err(error),
            Err(error) if self.in_place => self.replace(trouble(&self.output, &error)),
            Err(error) => {
                self.tell_once(&error);
                Ok(())
            }
            Ok(page) if self.json => {
                self.last = None;
                self.output.json_line(&page.document)
            }
            Ok(page) if self.in_place => self.replace(page.text),
            Ok(page) => {
                let gap = if self.last.is_some() { "\n" } else { "" };
                self.output.line(format_args!("{gap}{}", page.text))?;
                self.last = Some(String::new());
                Ok(())
            }
        }
    }

    /// Says on stderr why there is no page, unless that was the last thing said.
    fn tell_once(&mut self, error: &CommandError) {
        let why = error.to_string();
        if self.last.as_ref() != Some(&why) {
            self.output.error(error, "");
            self.last = Some(why);
        }
    }

    /// Puts `text` in the place of what stands there. Each line is cleared behind its end rather than all at once
    /// before, which would flicker.
    fn replace(&mut self, text: String) -> CommandResult {
        let enter = if self.last.is_none() { ENTER } else { "" };
        let lines: String = text.lines().map(|line| format!("{line}\u{1b}[K\n")).collect();
        self.output.write(format!("{enter}\u{1b}[H{lines}\u{1b}[J").as_bytes())?;
        self.last = Some(text);
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(last) = self.last.take().filter(|_| self.in_place) {
            // The last page stays for whoever wants to copy from it.
            let _nobody_looks = self.output.write(format!("{LEAVE}{last}\n").as_bytes());
        }
    }
}

/// An error as a page.
fn trouble(output: &Output, error: &CommandError) -> String {
    let what = output.paint(Tone::Bad, text::clean(&error.to_string()));
    let hints = error.hints().iter().map(|hint| format!("\n  {}", text::clean(hint)));
    format!("  {what}{}", hints.collect::<String>())
}
