//! Showing errors.

use std::error::Error;

/// The whole chain of causes on one line. An outer message never repeats its source, so nothing is said twice.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
