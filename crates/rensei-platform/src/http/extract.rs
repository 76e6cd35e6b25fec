//! Extractors whose refusals are the API's own errors.

use super::error::ApiError;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse as _;
use rensei_proto::lenient;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The `{id}` of the path.
#[derive(Debug)]
pub(super) struct Id(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(id)).map_err(|_| ApiError::NoRoute { path: parts.uri.path().to_owned() })
    }
}

/// The query string.
#[derive(Debug)]
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(params)| Self(params)).map_err(|error| ApiError::BadRequest(format!("invalid query: {error}")))
    }
}

/// How long to hold the request until there is something to say.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wait {
    /// Seconds.
    #[serde(default)]
    wait: u64,
}

impl Wait {
    /// The wait, up to `most` seconds; `None` when none was asked for.
    pub(super) fn up_to(&self, most: u64) -> Option<Duration> {
        (self.wait > 0).then(|| Duration::from_secs(self.wait.min(most)))
    }
}

/// A body of JSON.
#[derive(Debug)]
pub(super) struct Body(Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Bytes::from_request(request, state).await.map(Self).map_err(refused)
    }
}

fn refused(rejection: BytesRejection) -> ApiError {
    let text = format!("request body cannot be read: {rejection}");
    if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
        ApiError::TooLarge
    } else {
        ApiError::BadRequest(text)
    }
}

impl Body {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.trim_ascii().is_empty()
    }

    /// The decoded body.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        // The decoder would take an array for the fields of an object in their order.
        if self.0.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
            return Err(ApiError::BadRequest("invalid body: it must be a JSON object".to_owned()));
        }
        lenient::from_slice(&self.0).map_err(|error| ApiError::BadRequest(format!("invalid body: {error}")))
    }

    /// As [`Body::json`], with no body at all for an empty object.
    pub(super) fn json_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, ApiError> {
        if self.0.trim_ascii().is_empty() { Ok(T::default()) } else { self.json() }
    }
}
