//! Git checkouts for sessions.
/// Placeholder until the crate is written.
#[derive(Debug, thiserror::Error)]
#[error("git")]
pub struct WorkareaError;
