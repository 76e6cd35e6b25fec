//! Errors as they are shown: in bodies, reports, records and logs.

use std::error::Error;

/// The whole chain of causes on one line. An outer message never repeats its source, so nothing is said twice.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let sources = std::iter::successors(error.source(), |&cause| cause.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_told_once() {
        assert_eq!(error_chain(&Outer(std::io::Error::other("no room"))), "cannot write: no room");
        assert_eq!(error_chain(&std::fmt::Error), std::fmt::Error.to_string());
    }

    #[derive(Debug)]
    struct Outer(std::io::Error);

    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("cannot write")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }
}
