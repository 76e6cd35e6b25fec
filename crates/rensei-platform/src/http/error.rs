//! Every way in which a request can fail.

use crate::jwt::TokenError;
use crate::storage::{Refusal, StorageError};
use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rensei_proto::{ErrorBody, SessionStatus};
use std::error::Error as _;

/// A failed request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// No usable credential.
    #[error(transparent)]
    Unauthorized(#[from] AuthError),
    /// A credential of somebody else.
    #[error("this runtime token belongs to worker {own}, not to {named}")]
    OtherWorker { own: String, named: String },
    /// Nothing there that the caller may see.
    #[error("no {what} `{id}`")]
    NotFound { what: &'static str, id: String },
    /// The request makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// Body beyond the limit.
    #[error("request body is larger than {} MiB", super::MAX_BODY / (1024 * 1024))]
    TooLarge,
    /// Another claim holds the session.
    #[error("session {session} is not held under this claim any more")]
    LeaseLost { session: String },
    /// The life cycle does not allow it.
    #[error("session {session} is {from} and cannot become {to}")]
    IllegalTransition { session: String, from: SessionStatus, to: String },
    /// Unknown path.
    #[error("no such endpoint: {path}")]
    NoRoute { path: String },
    /// Known path, other methods.
    #[error("{method} is not supported here")]
    MethodNotAllowed { method: Method },
    /// The storage failed.
    #[error("the control plane could not read or write its state")]
    Storage(#[from] StorageError),
    /// Should not happen.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

/// Why a credential does not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    /// There is none.
    #[error("missing bearer token")]
    Missing,
    /// Nobody knows it.
    #[error("unknown token")]
    Unknown,
    /// It is of a kind that has no business here.
    #[error("this endpoint takes {wants}, not {got}")]
    WrongKind { wants: &'static str, got: &'static str },
    /// A host's token where only keys are taken.
    #[error(
        "this control plane takes reports with a worker API key alone (`--legacy-session-auth key-only`): hosts must be \
         able to send WORKER_API_KEY, which rensei's daemon and worker cannot yet"
    )]
    KeyOnly,
    /// A runtime token that is not valid.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl ApiError {
    pub(crate) fn session_not_found(id: &str) -> Self {
        Self::NotFound { what: "session", id: id.to_owned() }
    }

    pub(crate) fn worker_not_found(id: &str) -> Self {
        Self::NotFound { what: "worker", id: id.to_owned() }
    }

    /// The refusal of an operation that would have made the session `to`.
    pub(crate) fn refused(refusal: Refusal, session: &str, to: &str) -> Self {
        let session = session.to_owned();
        match refusal {
            Refusal::NotFound => Self::session_not_found(&session),
            Refusal::LeaseLost => Self::LeaseLost { session },
            Refusal::Illegal { from } => Self::IllegalTransition { session, from, to: to.to_owned() },
        }
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::OtherWorker { .. } => StatusCode::FORBIDDEN,
            Self::NotFound { .. } | Self::NoRoute { .. } => StatusCode::NOT_FOUND,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::LeaseLost { .. } | Self::IllegalTransition { .. } => StatusCode::CONFLICT,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Storage(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    const fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::LeaseLost { .. } => ErrorBody::LEASE_LOST,
            Self::IllegalTransition { .. } => ErrorBody::ILLEGAL_TRANSITION,
            Self::Unauthorized(AuthError::Token(TokenError::Expired { .. })) => "token_expired",
            Self::Unauthorized(AuthError::Token(TokenError::ClockSkew { .. })) => "clock_skew",
            _ => return None,
        })
    }

    const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unauthorized(AuthError::Token(_)) => {
                Some("refresh the token: POST /api/workers/{id}/refresh-token with the registration token")
            }
            Self::Unauthorized(AuthError::KeyOnly) => {
                Some("serve with `rensei platform serve --legacy-session-auth both`")
            }
            Self::Unauthorized(AuthError::Missing) => Some("send the header `Authorization: Bearer <token>`"),
            Self::Unauthorized(AuthError::Unknown) => {
                Some("make new tokens on the control plane's machine: `rensei platform init`")
            }
            _ => None,
        }
    }

    fn log(&self) {
        if let Self::Storage(error) = self {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            tracing::error!(event = "storage_failed", %error, cause);
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let mut body = ErrorBody::new(self.to_string());
        body.code = self.code().map(str::to_owned);
        body.hint = self.hint().map(str::to_owned);
        let mut response = (self.status(), Json(body)).into_response();
        match self.status() {
            StatusCode::UNAUTHORIZED => {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}
