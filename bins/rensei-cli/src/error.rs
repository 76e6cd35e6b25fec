//! Errors as people see them: what failed, why, and the next command.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// What a failure means to the caller of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The command did not do its job.
    Failure,
    /// The command was called wrongly, or could not even begin.
    Usage,
    /// The reader of stdout went away; nobody is left to tell.
    BrokenPipe,
    /// A signal ended the command.
    Interrupted,
    /// Everything was said already; only the exit code is left.
    Reported,
}

impl Kind {
    /// Exit code of the process.
    const fn exit_code(self) -> u8 {
        match self {
            Self::BrokenPipe => 0,
            Self::Failure | Self::Reported => 1,
            Self::Usage => 2,
            Self::Interrupted => 130,
        }
    }
}

/// The end of a command that did not succeed.
#[derive(Debug)]
pub(crate) struct CommandError {
    kind: Kind,
    source: Box<dyn Error + Send + Sync>,
    hints: Vec<String>,
}

/// Result of a command.
pub(crate) type CommandResult<T = ()> = Result<T, CommandError>;

/// A message with what caused it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Context {
    message: String,
    source: Box<dyn Error + Send + Sync>,
}

impl CommandError {
    /// The job failed.
    pub(crate) fn failure(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind: Kind::Failure, source: source.into(), hints: Vec::new() }
    }

    /// `message` says what failed, `source` why.
    pub(crate) fn context(message: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::failure(Context { message: message.into(), source: source.into() })
    }

    /// The command was called wrongly.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, ..Self::failure(message.into()) }
    }

    /// Exit code 1, and nothing more to say.
    pub(crate) fn reported() -> Self {
        Self { kind: Kind::Reported, ..Self::failure("reported") }
    }

    /// A signal ended the command.
    pub(crate) fn interrupted() -> Self {
        Self { kind: Kind::Interrupted, ..Self::failure("interrupted") }
    }

    /// stdout could not be written.
    pub(crate) fn stdout(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self { kind: Kind::BrokenPipe, ..Self::failure(error) },
            _ => Self::context("failed to write to stdout", error),
        }
    }

    /// Adds the next step.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the next step, if there is one.
    #[must_use]
    pub(crate) fn maybe_hint(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hints.extend(hint.map(Into::into));
        self
    }

    /// What it means to the caller.
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Exit code of the process.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind.exit_code())
    }

    /// Whether there is something to print.
    pub(crate) const fn is_silent(&self) -> bool {
        matches!(self.kind, Kind::BrokenPipe | Kind::Reported)
    }

    /// Next steps.
    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The next command, when no step above names one; `called` is the command that failed.
    pub(crate) fn next_command(&self, called: &str) -> Option<String> {
        if self.hints.iter().any(|hint| hint.contains("`rensei ")) {
            return None;
        }
        // A control plane that does not start says nothing about this machine's daemon.
        let of_host = !called.starts_with("rensei platform") && !called.starts_with("rensei-platform");
        match self.kind {
            Kind::Failure if of_host => Some("look for what is wrong: `rensei host doctor`".to_owned()),
            Kind::Failure | Kind::Usage => Some(format!("see how it is called: `{called} --help`")),
            Kind::BrokenPipe | Kind::Interrupted | Kind::Reported => None,
        }
    }

    /// The failure and its causes, outermost first.
    pub(crate) fn chain(&self) -> Vec<String> {
        let outermost: &(dyn Error + 'static) = self.source.as_ref();
        std::iter::successors(Some(outermost), |&error| error.source()).map(ToString::to_string).collect()
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain().join(": "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_is_outermost_first_and_the_kind_gives_the_code() {
        let error = CommandError::context("failed to read x", std::io::Error::other("disk on fire")).hint("try again");
        assert_eq!(error.chain(), ["failed to read x", "disk on fire"]);
        assert_eq!((error.kind().exit_code(), error.hints()), (1, &["try again".to_owned()][..]));
        assert_eq!(CommandError::usage("no").kind().exit_code(), 2);
    }

    #[test]
    fn every_failure_names_a_command() {
        let called = "rensei host set";
        assert!(CommandError::failure("x").next_command(called).unwrap().contains("`rensei host doctor`"));
        assert!(CommandError::failure("x").hint("`ls` it").next_command(called).is_some());
        assert_eq!(CommandError::failure("x").hint("see `rensei host logs`").next_command(called), None);
        assert!(CommandError::usage("x").next_command(called).unwrap().contains("`rensei host set --help`"));
        assert_eq!(CommandError::reported().next_command(called), None);
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let pipe = CommandError::stdout(std::io::ErrorKind::BrokenPipe.into());
        assert!(pipe.is_silent());
        assert_eq!(pipe.kind().exit_code(), 0);
        assert!(!CommandError::stdout(std::io::ErrorKind::StorageFull.into()).is_silent());
    }
}
