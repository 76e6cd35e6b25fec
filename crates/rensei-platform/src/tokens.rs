//! Tokens: minting, and the digest by which alone they are remembered.

use rensei_proto::Secret;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// What a token is for; decides its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// Registers hosts.
    Registration,
    /// Operates: sessions, workers; also registers hosts.
    Api,
    /// Reports on sessions on behalf of any worker of its organisation.
    Worker,
}

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Registration => "rsp_live_",
            Self::Api => "rsk_live_",
            Self::Worker => "wak_",
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Registration, Self::Api, Self::Worker].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// SHA-256 of a token. Looking it up compares digests of attacker-chosen text, so timing tells nothing of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenHash(pub(crate) [u8; 32]);

impl TokenHash {
    pub(crate) fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

/// A token that has just been minted.
#[derive(Debug, Clone)]
pub(crate) struct Minted {
    pub(crate) kind: TokenKind,
    pub(crate) secret: Secret,
    pub(crate) hash: TokenHash,
    /// Start of the token, for people to tell tokens apart.
    pub(crate) shown: String,
}

/// Random bytes from the operating system as lower-case hexadecimal.
pub(crate) fn random_hex<const BYTES: usize>() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Minted {
    /// Mints a token of 256 random bits.
    pub(crate) fn new(kind: TokenKind) -> Result<Self, getrandom::Error> {
        let text = format!("{}{}", kind.prefix(), random_hex::<32>()?);
        let shown = text.chars().take(kind.prefix().len() + 4).collect();
        Ok(Self { kind, hash: TokenHash::of(&text), secret: Secret::from(text), shown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_their_prefix_and_256_bits() {
        for (kind, length) in [(TokenKind::Registration, 73), (TokenKind::Api, 73), (TokenKind::Worker, 68)] {
            let token = Minted::new(kind).unwrap();
            assert_eq!(token.secret.expose().len(), length);
            assert!(token.secret.expose().starts_with(kind.prefix()) && !token.secret.expose().contains('.'));
            assert_eq!(token.hash, TokenHash::of(token.secret.expose()));
            assert_eq!(TokenKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(hex(&TokenHash::of("abc").0)[..8], *"ba7816bf");
    }
}
