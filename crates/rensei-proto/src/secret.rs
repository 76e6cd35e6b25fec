//! Text that must not reach a log.

use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use zeroize::Zeroizing;

/// A token. Prints as `***`, is wiped on drop, and has no `Serialize` of its own.
///
/// A wire field that must carry the token names [`Secret::serialize_exposed`] (or [`Secret::serialize_exposed_opt`])
/// in its `serialize_with`, so that every place where a token leaves the process can be found by that name.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Secret(#[cfg_attr(feature = "schema", schemars(with = "String"))] Zeroizing<String>);

impl Secret {
    /// The token itself. Never pass the result to a log, an error message or a command line.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is no token at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes the token itself.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize_exposed<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.expose().serialize(serializer)
    }

    /// Writes the token itself, or null.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize_exposed_opt<S: Serializer>(secret: &Option<Self>, serializer: S) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Self::expose).serialize(serializer)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_printed() {
        let secret = Secret::from("rsp_live_abc");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "rsp_live_abc");
    }
}
