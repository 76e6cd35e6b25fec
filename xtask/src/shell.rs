//! Running programs, and finding the repository.

use crate::task::TaskError;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.to_owned(), Path::to_owned)
}

/// A program with its arguments, run in the root of the repository.
pub(crate) fn command(line: &[&str]) -> Command {
    let (program, args) = line.split_first().expect("a command line has a program");
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

/// The command line as a person would type it, with the variables that were set for it.
pub(crate) fn line(command: &Command) -> String {
    let envs = command
        .get_envs()
        .filter_map(|(key, value)| Some(format!("{}={}", key.to_string_lossy(), quoted(&value?.to_string_lossy()))));
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    envs.chain(words.map(|word| quoted(&word.to_string_lossy()))).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Runs a program whose output goes where ours goes.
pub(crate) fn run(mut command: Command) -> Result<(), TaskError> {
    let status = command.status().map_err(|source| TaskError::Start { line: line(&command), source })?;
    if status.success() { Ok(()) } else { Err(TaskError::Failed { line: line(&command), status }) }
}

/// Runs a program and returns what it wrote to stdout.
pub(crate) fn output(mut command: Command) -> Result<Vec<u8>, TaskError> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| TaskError::Start { line: line(&command), source })?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(TaskError::Failed { line: line(&command), status: output.status })
    }
}

/// Runs a program, shows what it writes and hands every line of it to `seen`.
pub(crate) fn run_watched(mut command: Command, mut seen: impl FnMut(&str)) -> Result<(), TaskError> {
    let shown = line(&command);
    let start = |source| TaskError::Start { line: shown.clone(), source };
    let (reader, writer) = std::io::pipe().map_err(start)?;
    let both = writer.try_clone().map_err(start)?;
    let mut child = command.stdout(writer).stderr(both).spawn().map_err(start)?;
    // The command holds the write ends of the pipe, which ends only when they are gone.
    drop(command);
    let mut lines = BufReader::new(reader);
    let mut bytes = Vec::new();
    while lines.read_until(b'\n', &mut bytes).is_ok_and(|length| length > 0) {
        let mut out = std::io::stdout().lock();
        // A closed stdout must not end the run: its result still counts.
        let _ = out.write_all(&bytes).and_then(|()| out.flush());
        seen(String::from_utf8_lossy(&bytes).trim_end());
        bytes.clear();
    }
    let status = child.wait().map_err(start)?;
    if status.success() { Ok(()) } else { Err(TaskError::Failed { line: shown, status }) }
}

/// Whether `cargo <subcommand>` is installed.
pub(crate) fn has_cargo_subcommand(subcommand: &str) -> bool {
    Command::new(format!("cargo-{subcommand}"))
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String, TaskError> {
    std::fs::read_to_string(path).map_err(TaskError::io(path))
}

/// All tracked and new files of the repository, relative to its root, without what git ignores.
pub(crate) fn files() -> Result<Vec<PathBuf>, TaskError> {
    let listing = output(command(&["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
    let names = String::from_utf8_lossy(&listing).into_owned();
    let paths = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
    // A file that was removed but not yet committed is still listed.
    Ok(paths.filter(|path| root().join(path).is_file()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_can_be_pasted() {
        let mut command = command(&["cargo", "doc", "it's"]);
        command.env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(line(&command), r"RUSTDOCFLAGS='-D warnings' cargo doc 'it'\''s'");
    }

    #[test]
    fn watched_output_is_seen_and_failure_is_named() {
        let mut lines = Vec::new();
        let result =
            run_watched(command(&["sh", "-c", "echo one; echo two >&2; exit 3"]), |l| lines.push(l.to_owned()));
        assert_eq!(lines, ["one", "two"]);
        assert!(matches!(result, Err(TaskError::Failed { status, .. }) if status.code() == Some(3)));
    }
}
