//! `rensei host logs`.

mod filter;
mod pretty;
mod tail;

use crate::args::host::LogsArgs;
use crate::commands::Context;
use crate::error::{CommandError, CommandResult};
use crate::output::time::now_ms;
use filter::Filter;
use pretty::Pretty;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tail::Tail;

/// Pause between looks at the file.
const LOOK: Duration = Duration::from_millis(250);

/// Prints the last lines of the log, and what is added to it with `--follow`.
pub(super) async fn run(context: &Context, args: LogsArgs) -> CommandResult<ExitCode> {
    let path = match args.file.clone() {
        Some(file) => context.expand(file),
        None => context.state_root()?.join("daemon.log"),
    };
    let printer = Printer {
        context,
        filter: Filter::new(&args.filter, now_ms()),
        pretty: (!args.raw).then(|| Pretty::new(&context.output, context.verbose > 0)),
    };
    let failed = |error| unreadable(&path, error);
    let mut tail = match printer.filter.is_open() {
        true => printer.last_lines(&path, &args, failed)?,
        false => printer.last_matches(&path, &args, failed)?,
    };
    if !args.follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        tokio::time::sleep(LOOK).await;
        tail.read_to_end(|lines| printer.print(lines)).map_err(failed)??;
    }
}

/// Shows the lines that are wanted.
struct Printer<'a> {
    context: &'a Context,
    filter: Filter,
    /// Absent: lines are shown as they are.
    pretty: Option<Pretty>,
}

impl Printer<'_> {
    /// Shows the last lines, and those of the file before where this one has too few. Only the ends of the files are
    /// read. The answer reads on.
    fn last_lines(
        &self,
        path: &Path,
        args: &LogsArgs,
        failed: impl Fn(io::Error) -> CommandError,
    ) -> CommandResult<Tail> {
        let (mut tail, found) = Tail::open(path, args.lines).map_err(&failed)?;
        let missing = if args.lines == 0 { Some(0) } else { Some(args.lines - found).filter(|missing| *missing > 0) };
        if let (Some(missing), Some(earlier)) = (missing, earlier(path)) {
            let (mut before, _) = Tail::open(&earlier, missing).map_err(&failed)?;
            before.read_to_end(|lines| self.print(lines)).map_err(&failed)??;
        }
        tail.read_to_end(|lines| self.print(lines)).map_err(&failed)??;
        if !args.follow {
            self.print(&tail.rest())?;
        }
        Ok(tail)
    }

    /// Shows the last lines that are wanted, of all that there are. The answer reads on.
    fn last_matches(
        &self,
        path: &Path,
        args: &LogsArgs,
        failed: impl Fn(io::Error) -> CommandError,
    ) -> CommandResult<Tail> {
        let mut last = VecDeque::new();
        let mut keep = |lines: &[u8]| {
            for line in self.wanted(lines) {
                if args.lines > 0 && last.len() == args.lines {
                    last.pop_front();
                }
                last.push_back(line.to_owned());
            }
            Ok(())
        };
        if let Some(earlier) = earlier(path) {
            let (mut before, _) = Tail::open(&earlier, 0).map_err(&failed)?;
            before.read_to_end(&mut keep).map_err(&failed)??;
        }
        let (mut tail, _) = Tail::open(path, 0).map_err(&failed)?;
        tail.read_to_end(&mut keep).map_err(&failed)??;
        if !args.follow {
            keep(&tail.rest())?;
        }
        self.write(last.iter().map(Vec::as_slice))?;
        Ok(tail)
    }

    fn print(&self, lines: &[u8]) -> CommandResult {
        self.write(self.wanted(lines))
    }

    /// Those of `lines` that the filter lets through, each with its newline.
    fn wanted<'l>(&self, lines: &'l [u8]) -> impl Iterator<Item = &'l [u8]> {
        lines.split_inclusive(|byte| *byte == b'\n').filter(|line| self.filter.is_wanted(line))
    }

    fn write<'l>(&self, lines: impl Iterator<Item = &'l [u8]>) -> CommandResult {
        let mut text = Vec::new();
        lines.for_each(|line| match &self.pretty {
            Some(pretty) => pretty.line(line, &mut text),
            None => text.extend_from_slice(line),
        });
        self.context.output.write(&text)
    }
}

/// The file that was in use before the last rotation, if there is one.
fn earlier(path: &Path) -> Option<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    Some(PathBuf::from(name)).filter(|path| path.is_file())
}

fn unreadable(path: &Path, error: io::Error) -> CommandError {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let hint = if missing {
        "the daemon writes it when it runs: `rensei host run`; another file: `rensei host logs --file <path>`"
    } else {
        "read another file: `rensei host logs --file <path>`"
    };
    CommandError::context(format!("failed to read the log {}", path.display()), error).hint(hint)
}
