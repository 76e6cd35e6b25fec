//! What a worker shows to be told about its own session.

use rensei_proto::Secret;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A new token: 244 random bits, in hexadecimal.
pub(super) fn mint() -> Secret {
    let (one, two) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    Secret::from(format!("{}{}", one.simple(), two.simple()))
}

/// What the host keeps of a token, also in the session's journal: nobody can make the token of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct TokenDigest(Vec<u8>);

impl TokenDigest {
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).to_vec())
    }

    /// Whether it is that of `token`. Takes the same time whatever the two have in common.
    pub(super) fn is_of(&self, token: &str) -> bool {
        let other = Self::of(token).0;
        let differences = self.0.iter().zip(&other).fold(0, |seen, (a, b)| seen | (a ^ b));
        self.0.len() == other.len() && differences == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_knows_its_token_and_no_other() {
        let (token, other) = (mint(), mint());
        assert_eq!((token.expose().len(), token == other), (64, false));
        let digest = TokenDigest::of(token.expose());
        assert!(digest.is_of(token.expose()) && !digest.is_of(other.expose()) && !digest.is_of(""));
        let kept = serde_json::to_string(&digest).unwrap();
        assert!(!kept.contains(token.expose()));
        assert_eq!(serde_json::from_str::<TokenDigest>(&kept).unwrap(), digest);
        for forged in ["[]", "[0]"] {
            assert!(!serde_json::from_str::<TokenDigest>(forged).unwrap().is_of(token.expose()));
        }
    }
}
