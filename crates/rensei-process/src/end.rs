//! How a process ended.

use rustix::process::Signal;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// It returned this code.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
}

/// Signals that people know by name, with that name.
const NAMES: [(Signal, &str); 13] = [
    (Signal::ABORT, "ABRT"),
    (Signal::ALARM, "ALRM"),
    (Signal::BUS, "BUS"),
    (Signal::FPE, "FPE"),
    (Signal::HUP, "HUP"),
    (Signal::ILL, "ILL"),
    (Signal::INT, "INT"),
    (Signal::KILL, "KILL"),
    (Signal::PIPE, "PIPE"),
    (Signal::QUIT, "QUIT"),
    (Signal::SEGV, "SEGV"),
    (Signal::TERM, "TERM"),
    (Signal::XCPU, "XCPU"),
];

impl End {
    /// Whether the process returned 0.
    #[must_use]
    pub const fn success(self) -> bool {
        matches!(self, Self::Exited(0))
    }

    /// The exit code, unless a signal ended it.
    #[must_use]
    pub const fn code(self) -> Option<i32> {
        match self {
            Self::Exited(code) => Some(code),
            Self::Signaled(_) => None,
        }
    }

    /// The signal that ended it, if one did.
    #[must_use]
    pub const fn signal(self) -> Option<i32> {
        match self {
            Self::Exited(_) => None,
            Self::Signaled(signal) => Some(signal),
        }
    }
}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, Some(signal)) => Self::Signaled(signal),
            // Neither: stopped or continued, which waiting for an end never reports.
            (None, None) => Self::Exited(status.into_raw()),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Signaled(number) => match NAMES.iter().find(|(signal, _)| signal.as_raw() == number) {
                Some((_, name)) => write!(f, "signal {number} ({name})"),
                None => write!(f, "signal {number}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_a_sentence_and_splits_code_from_signal() {
        let exited = End::from(ExitStatus::from_raw(1 << 8));
        let killed = End::from(ExitStatus::from_raw(9));
        assert_eq!((exited.to_string().as_str(), killed.to_string().as_str()), ("exit code 1", "signal 9 (KILL)"));
        assert_eq!((exited.code(), exited.signal(), killed.code(), killed.signal()), (Some(1), None, None, Some(9)));
        assert!(End::from(ExitStatus::from_raw(0)).success() && !exited.success() && !killed.success());
        assert_eq!(End::Signaled(63).to_string(), "signal 63");
    }
}
