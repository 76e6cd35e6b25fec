//! What can be wrong with the parts.

use crate::config::ConfigError;
use crate::state::StateError;
use rensei_platform_client::ClientError;

/// Why a daemon cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The state directory is unusable or taken.
    #[error("failed to open the state directory")]
    State(#[source] StateError),
    /// The configuration is wrong.
    #[error("failed to load the configuration")]
    Config(#[source] ConfigError),
    /// The control plane's URL is wrong.
    #[error("failed to use `orchestrator.url`")]
    Orchestrator(#[source] ClientError),
    /// `control.auth: token` without a token.
    #[error("failed to keep the token of the control API")]
    ControlToken(#[source] std::io::Error),
}

impl BuildError {
    /// The next step for a person.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::State(error) => Some(error.hint()),
            Self::Config(error) => Some(error.hint()),
            Self::Orchestrator(error) => error.hint(),
            Self::ControlToken(_) => {
                Some("make the file `control-token` in the state directory yours, or remove it".to_owned())
            }
        }
    }
}
