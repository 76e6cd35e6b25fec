//! Runtime tokens: what a registered host shows with every call.

use crate::storage::Scope;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use rensei_proto::{Secret, platform::RUNTIME_TOKEN_EXPIRED};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Seconds by which clocks may differ before it matters.
const LEEWAY: i64 = 5;

/// What a host may do.
const SCOPES: [&str; 4] = ["worker:register", "worker:poll", "worker:heartbeat", "worker:session"];

/// Content of a runtime token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The worker.
    pub(crate) sub: String,
    /// Its organisation.
    pub(crate) org: String,
    /// Its project; null: every project of the organisation.
    pub(crate) proj: Option<String>,
    /// Credential that it registered with.
    pub(crate) reg: String,
    /// What it may do.
    pub(crate) scope: Vec<String>,
    /// Id of this token.
    pub(crate) jti: String,
    /// Issued, Unix seconds.
    pub(crate) iat: i64,
    /// Expires, Unix seconds.
    pub(crate) exp: i64,
}

impl Claims {
    /// The claims of a new token.
    pub(crate) fn new(worker: &str, scope: &Scope, registration: &str, (iat, ttl): (i64, i64)) -> Self {
        Self {
            sub: worker.to_owned(),
            org: scope.org.clone(),
            proj: scope.project.clone(),
            reg: registration.to_owned(),
            scope: SCOPES.map(str::to_owned).to_vec(),
            jti: uuid::Uuid::new_v4().to_string(),
            iat,
            exp: iat.saturating_add(ttl),
        }
    }

    /// What the holder may see.
    pub(crate) fn visible(&self) -> Scope {
        Scope { org: self.org.clone(), project: self.proj.clone() }
    }
}

/// Why a runtime token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// Not one of ours, or tampered with.
    #[error("runtime token is not valid: it was not issued by this control plane or was altered")]
    Invalid,
    /// Its time is over. Clients look for this very text.
    #[error("{RUNTIME_TOKEN_EXPIRED} {ago} s ago")]
    Expired { ago: i64 },
    /// Our own clock went backwards since.
    #[error(
        "runtime token is refused because of clock skew: it was issued {ahead} s in the future of this control \
         plane's clock, which must have been set back"
    )]
    ClockSkew { ahead: i64 },
}

/// Signs and checks runtime tokens.
pub(crate) struct TokenSigner {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSigner")
    }
}

impl TokenSigner {
    pub(crate) fn new(secret: &Secret) -> Self {
        let bytes = secret.expose().as_bytes();
        let mut validation = Validation::new(Algorithm::HS256);
        // Times are checked below, against the injected clock.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Self { encoding: EncodingKey::from_secret(bytes), decoding: DecodingKey::from_secret(bytes), validation }
    }

    /// The token for `claims`. `None` only if the claims cannot be written as JSON.
    pub(crate) fn sign(&self, claims: &Claims) -> Option<Secret> {
        encode(&Header::new(Algorithm::HS256), claims, &self.encoding).ok().map(Secret::from)
    }

    /// The claims of `token` at `now` (Unix seconds).
    pub(crate) fn verify(&self, token: &str, now: i64) -> Result<Claims, TokenError> {
        let claims = decode::<Claims>(token, &self.decoding, &self.validation).map_err(|_| TokenError::Invalid)?.claims;
        if claims.iat > now + LEEWAY {
            return Err(TokenError::ClockSkew { ahead: claims.iat - now });
        }
        if now >= claims.exp.saturating_add(LEEWAY) {
            return Err(TokenError::Expired { ago: now - claims.exp });
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(iat: i64) -> Claims {
        Claims::new("wkr_1", &Scope { org: "o".into(), project: Some("p".into()) }, "reg", (iat, 3600))
    }

    #[test]
    fn tokens_are_checked_against_signature_and_clock() {
        let signer = TokenSigner::new(&Secret::from("s1"));
        let claims = claims(1_000_000);
        let token = signer.sign(&claims).unwrap();
        assert_eq!(signer.verify(token.expose(), 1_000_010).unwrap(), claims);
        assert_eq!(signer.verify(token.expose(), 1_003_604).unwrap(), claims, "within the leeway");
        let expired = signer.verify(token.expose(), 1_003_605).unwrap_err();
        assert!(expired.to_string().starts_with(RUNTIME_TOKEN_EXPIRED), "{expired}");
        let skewed = signer.verify(token.expose(), 1_000_000 - 3_600).unwrap_err();
        assert_eq!(skewed, TokenError::ClockSkew { ahead: 3_600 });
        let other = TokenSigner::new(&Secret::from("s2"));
        assert_eq!(other.verify(token.expose(), 1_000_010), Err(TokenError::Invalid));
        for broken in ["", "..", "a.b.c", &token.expose()[..token.expose().len() - 2]] {
            assert_eq!(signer.verify(broken, 1_000_010), Err(TokenError::Invalid), "{broken}");
        }
    }

    #[test]
    fn an_unsigned_token_is_refused() {
        // {"alg":"none"} with the claims of a real token.
        let signer = TokenSigner::new(&Secret::from("s1"));
        let token = signer.sign(&claims(5)).unwrap();
        let payload = token.expose().split('.').nth(1).unwrap();
        assert_eq!(signer.verify(&format!("eyJhbGciOiJub25lIn0.{payload}."), 5), Err(TokenError::Invalid));
    }
}
