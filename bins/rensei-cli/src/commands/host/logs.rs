//! `rensei host logs`.

mod pretty;
mod tail;

use crate::args::host::LogsArgs;
use crate::commands::Context;
use crate::error::{CommandError, CommandResult};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tail::Tail;

/// Pause between looks at the file.
const LOOK: Duration = Duration::from_millis(250);

/// Prints the last lines of the log, and what is added to it with `--follow`.
pub(super) async fn run(context: &Context, args: LogsArgs) -> CommandResult<ExitCode> {
    let path = match args.file {
        Some(file) => context.expand(file),
        None => context.state_root()?.join("daemon.log"),
    };
    let mut tail = Tail::open(&path, args.lines).map_err(|error| unreadable(&path, error))?;
    loop {
        while let Some(chunk) = tail.read().map_err(|error| unreadable(&path, error))? {
            print(context, &chunk, args.raw)?;
        }
        if !args.follow {
            return print(context, &tail.rest(), args.raw).map(|()| ExitCode::SUCCESS);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Prints whole lines.
fn print(context: &Context, lines: &[u8], raw: bool) -> CommandResult {
    if raw {
        return context.output.write(lines);
    }
    let mut text = Vec::with_capacity(lines.len());
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        pretty::line(line, &mut text);
    }
    context.output.write(&text)
}

fn unreadable(path: &Path, error: std::io::Error) -> CommandError {
    let missing = error.kind() == std::io::ErrorKind::NotFound;
    let hint = if missing {
        "the daemon writes it when it runs: `rensei host run`; another file: `rensei host logs --file <path>`"
    } else {
        "read another file: `rensei host logs --file <path>`"
    };
    CommandError::context(format!("failed to read the log {}", path.display()), error).hint(hint)
}
