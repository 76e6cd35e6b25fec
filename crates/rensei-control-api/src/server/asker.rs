//! Who sends a request about a session.

use super::peer::Peer;
use super::reply::Refusal;
use aide::OperationInput;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use rensei_daemon_core::{Caller, DaemonHandle};
use rensei_proto::{ErrorBody, SessionId};
use std::convert::Infallible;
use std::sync::Arc;

/// What a request says of its sender.
#[derive(Debug)]
pub(super) struct Asker {
    peer: Option<Arc<Peer>>,
    token: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let bearer = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        Ok(Self { peer: parts.extensions.get().cloned(), token: bearer })
    }
}

impl OperationInput for Asker {}

impl Asker {
    /// Who asks about `id`; processes of other sessions are refused.
    pub(super) async fn about(&self, daemon: &DaemonHandle, id: &SessionId) -> Result<Caller, Refusal> {
        let socket = match &self.peer {
            Some(peer) => peer.socket().await,
            None => None,
        };
        match daemon.caller(id, self.token.as_deref(), socket).await {
            Caller::OtherSession => Err(refused("sessions see nothing of each other").of_session(id)),
            caller => Ok(caller),
        }
    }

    /// The same, and whoever is no part of the session is refused too.
    pub(super) async fn part_of(&self, daemon: &DaemonHandle, id: &SessionId) -> Result<(), Refusal> {
        match self.about(daemon, id).await? {
            Caller::Worker | Caller::Descendant => Ok(()),
            Caller::Operator | Caller::OtherSession => {
                let mut refusal = refused("this is for the session's own worker").of_session(id);
                refusal.body.hint = Some("send RENSEI_SESSION_TOKEN of its environment as bearer".to_owned());
                Err(refusal)
            }
        }
    }
}

fn refused(error: &str) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, ErrorBody::new(error))
}
