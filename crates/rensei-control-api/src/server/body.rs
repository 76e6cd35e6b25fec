//! Request bodies: bounded in size and time.

use super::reply::Refusal;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use rensei_proto::{ErrorBody, error_chain, lenient};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Largest body, in bytes.
const MAX: usize = 1024 * 1024;
/// Longest time for the body to arrive.
const TIME: Duration = Duration::from_secs(15);

/// Reads a JSON body.
pub(super) async fn required<T: DeserializeOwned>(body: Body) -> Result<T, Refusal> {
    decode(&read(body).await?)
}

/// Reads a JSON body; none at all stands for the default.
pub(super) async fn optional<T: DeserializeOwned + Default>(body: Body) -> Result<T, Refusal> {
    let bytes = read(body).await?;
    if bytes.trim_ascii().is_empty() { Ok(T::default()) } else { decode(&bytes) }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    lenient::from_slice(bytes).map_err(|error| Refusal::bad_request(format!("invalid body: {error}")))
}

async fn read(body: Body) -> Result<Bytes, Refusal> {
    let collected = tokio::time::timeout(TIME, Limited::new(body, MAX).collect()).await;
    match collected {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let text = format!("invalid body: larger than {MAX} bytes");
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorBody::new(text)))
        }
        Ok(Err(error)) => Err(Refusal::bad_request(format!("invalid body: {}", error_chain(&*error)))),
        Err(_) => {
            let text = format!("invalid body: not complete after {} s", TIME.as_secs());
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, ErrorBody::new(text)))
        }
    }
}
