//! Who calls.

use super::App;
use super::error::{ApiError, AuthError};
use crate::jwt::Claims;
use crate::server::LegacyAuth;
use crate::storage::{Credential, Reporter, Scope};
use crate::tokens::{TokenHash, TokenKind};
use axum::http::{HeaderMap, header};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How long a known credential is believed without asking the store, in milliseconds. Also how long one that was
/// removed goes on working.
const BELIEVED: i64 = 10_000;
/// Credentials remembered.
const REMEMBERED: usize = 1_024;

const RUNTIME_TOKEN: &str = "a runtime token";
const API_KEY: &str = "an API key";

/// The caller of a request.
#[derive(Debug)]
pub(super) enum Caller {
    /// A registered host or one of its workers.
    Host(Claims),
    /// The holder of a token that does not expire.
    Holder(Credential),
}

impl Caller {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Host(_) => RUNTIME_TOKEN,
            Self::Holder(credential) => match credential.kind {
                TokenKind::Registration => "a registration token",
                TokenKind::Api => API_KEY,
                TokenKind::Worker => "a worker API key",
            },
        }
    }

    fn wrong(&self, wants: &'static str) -> ApiError {
        AuthError::WrongKind { wants, got: self.kind() }.into()
    }

    /// What the caller may see.
    pub(super) fn scope(&self) -> Scope {
        match self {
            Self::Host(claims) => claims.visible(),
            Self::Holder(credential) => credential.scope.clone(),
        }
    }
}

/// Credentials that were looked up a moment ago.
#[derive(Debug, Default)]
pub(super) struct CredentialCache {
    known: Mutex<HashMap<TokenHash, (Credential, i64)>>,
}

impl CredentialCache {
    fn get(&self, hash: &TokenHash, now: i64) -> Option<Credential> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(hash).filter(|(_, until)| *until > now).map(|(credential, _)| credential.clone())
    }

    fn put(&self, hash: TokenHash, credential: &Credential, now: i64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(hash, (credential.clone(), now + BELIEVED));
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, AuthError> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or(AuthError::Missing)?;
    let (scheme, token) = value.trim().split_once(' ').ok_or(AuthError::Missing)?;
    let token = token.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() { Ok(token) } else { Err(AuthError::Missing) }
}

impl App {
    /// Whoever calls. A token with exactly two dots is a runtime token, anything else is looked up.
    pub(super) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let token = bearer(headers)?;
        if token.bytes().filter(|byte| *byte == b'.').count() == 2 {
            let claims = self.setup.signer.verify(token, self.now_ms() / 1000).map_err(AuthError::Token)?;
            return Ok(Caller::Host(claims));
        }
        let (hash, now) = (TokenHash::of(token), self.setup.clock.steady_ms());
        if let Some(credential) = self.credentials.get(&hash, now) {
            return Ok(Caller::Holder(credential));
        }
        let credential = self.store.credential(hash).await?.ok_or(AuthError::Unknown)?;
        self.credentials.put(hash, &credential, now);
        Ok(Caller::Holder(credential))
    }

    /// A caller that may register hosts.
    pub(super) async fn registrar(&self, headers: &HeaderMap) -> Result<Credential, ApiError> {
        match self.caller(headers).await? {
            Caller::Holder(credential) if credential.kind != TokenKind::Worker => Ok(credential),
            other => Err(other.wrong("a registration token")),
        }
    }

    /// A host.
    pub(super) async fn host(&self, headers: &HeaderMap) -> Result<Claims, ApiError> {
        match self.caller(headers).await? {
            Caller::Host(claims) => Ok(claims),
            other => Err(other.wrong(RUNTIME_TOKEN)),
        }
    }

    /// The host that the path names.
    pub(super) async fn host_of(&self, headers: &HeaderMap, worker: &str) -> Result<Claims, ApiError> {
        let claims = self.host(headers).await?;
        named(&claims, worker)?;
        Ok(claims)
    }

    /// An operator.
    pub(super) async fn operator(&self, headers: &HeaderMap) -> Result<Scope, ApiError> {
        match self.caller(headers).await? {
            Caller::Holder(credential) if credential.kind == TokenKind::Api => Ok(credential.scope),
            other => Err(other.wrong(API_KEY)),
        }
    }

    /// A host, or an operator.
    pub(super) async fn reader(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        match self.caller(headers).await? {
            caller @ Caller::Host(_) => Ok(caller),
            Caller::Holder(credential) if credential.kind == TokenKind::Api => Ok(Caller::Holder(credential)),
            other => Err(other.wrong("a runtime token or an API key")),
        }
    }

    /// A host that speaks of a session; `worker` as the body names it, empty when it does not.
    pub(super) async fn session_host(
        &self,
        headers: &HeaderMap,
        worker: &str,
        attempt: Option<u64>,
    ) -> Result<Reporter, ApiError> {
        by_token(&self.host(headers).await?, worker, attempt)
    }

    /// Whoever may report on sessions: the worker API key, and the runtime token unless that is switched off.
    pub(super) async fn reporter(
        &self,
        headers: &HeaderMap,
        worker: &str,
        attempt: Option<u64>,
    ) -> Result<Reporter, ApiError> {
        let caller = self.caller(headers).await?;
        match (&caller, self.setup.options.legacy_session_auth) {
            (Caller::Holder(credential), _) if credential.kind == TokenKind::Worker => {
                let worker = (!worker.is_empty()).then(|| worker.to_owned());
                Ok(Reporter { scope: credential.scope.clone(), worker, attempt })
            }
            (Caller::Host(claims), LegacyAuth::Both) => by_token(claims, worker, attempt),
            (_, LegacyAuth::Both) => Err(caller.wrong("a runtime token or a worker API key")),
            (Caller::Host(_), LegacyAuth::KeyOnly) => Err(AuthError::KeyOnly.into()),
            (_, LegacyAuth::KeyOnly) => Err(caller.wrong("a worker API key")),
        }
    }
}

fn by_token(claims: &Claims, worker: &str, attempt: Option<u64>) -> Result<Reporter, ApiError> {
    if !worker.is_empty() {
        named(claims, worker)?;
    }
    Ok(Reporter { scope: claims.visible(), worker: Some(claims.sub.clone()), attempt })
}

/// Checks that the token is of the worker that the request names.
pub(super) fn named(claims: &Claims, worker: &str) -> Result<(), ApiError> {
    if claims.sub == worker {
        Ok(())
    } else {
        Err(ApiError::OtherWorker { own: claims.sub.clone(), named: worker.chars().take(64).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn bearers() {
        let parse = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            bearer(&headers).map(str::to_owned).ok()
        };
        assert_eq!(parse("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(parse("bearer  abc ").as_deref(), Some("abc"));
        for bad in ["", "abc", "Basic abc", "Bearer", "Bearer  "] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert!(bearer(&HeaderMap::new()).is_err());
    }
}
