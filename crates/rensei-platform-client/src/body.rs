//! Bounded bodies.

use crate::error::ClientError;
use crate::operation::Operation;
use rensei_proto::platform::RUNTIME_TOKEN_EXPIRED;
use rensei_proto::{ErrorBody, Secret, lenient};
use reqwest::{Response, StatusCode};
use serde::de::Error as _;
use serde_json::{Map, Value};

/// Largest body that is read, in bytes.
pub const MAX_BODY: usize = 4 * 1024 * 1024;
/// Most of an error body that is looked at.
const MAX_ERROR_READ: usize = 64 * 1024;
/// Most of an error body that is kept, in bytes.
const MAX_SNIPPET: usize = 2048;

/// How reading a body ended early.
pub(crate) enum ReadError {
    Transport(reqwest::Error),
    TooLarge,
}

/// The whole body, unless it is larger than [`MAX_BODY`].
pub(crate) async fn read(response: &mut Response) -> Result<Vec<u8>, ReadError> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    if announced > MAX_BODY {
        return Err(ReadError::TooLarge);
    }
    let mut body = Vec::with_capacity(announced);
    while let Some(chunk) = response.chunk().await.map_err(ReadError::Transport)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(ReadError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What a refusal says, as far as it can be read; a body that breaks off still tells something.
pub(crate) async fn read_error(response: &mut Response, token: &Secret) -> ErrorBody {
    let mut raw = Vec::new();
    while raw.len() < MAX_ERROR_READ
        && let Ok(Some(chunk)) = response.chunk().await
    {
        raw.extend_from_slice(&chunk[..chunk.len().min(MAX_ERROR_READ - raw.len())]);
    }
    error_body(response.status(), &String::from_utf8_lossy(&raw), token)
}

fn error_body(status: StatusCode, raw: &str, token: &Secret) -> ErrorBody {
    let clean = |text: &str| clip(&redact(text, token));
    let mut body = match serde_json::from_str(raw) {
        Ok(Value::Object(fields)) => from_fields(&fields, raw),
        _ => ErrorBody::new(raw),
    };
    body.error = clean(&body.error);
    if body.error.is_empty() {
        body.error = status.canonical_reason().unwrap_or("no reason given").to_ascii_lowercase();
    }
    for field in [&mut body.code, &mut body.hint, &mut body.status, &mut body.session_id] {
        *field = field.take().map(|text| clean(&text)).filter(|text| !text.is_empty());
    }
    body
}

/// Reads `{error}`, `{error, message}`, `{error: {message}}`, `{message}` and `{detail}`.
fn from_fields(fields: &Map<String, Value>, raw: &str) -> ErrorBody {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let nested = || fields.get("error")?.get("message")?.as_str().map(str::to_owned);
    let title = text("error").or_else(nested);
    let detail = text("message").or_else(|| text("detail"));
    let mut error = match (title, detail) {
        (Some(title), Some(detail)) if title != detail => format!("{title}: {detail}"),
        (Some(only), _) | (None, Some(only)) => only,
        (None, None) => raw.to_owned(),
    };
    // The recovery of a worker hangs on this phrase, wherever in the body it stands.
    if raw.contains(RUNTIME_TOKEN_EXPIRED) && !error.contains(RUNTIME_TOKEN_EXPIRED) {
        error = format!("{RUNTIME_TOKEN_EXPIRED}: {error}");
    }
    let (code, hint, status, session_id) = (text("code"), text("hint"), text("status"), text("sessionId"));
    ErrorBody { code, hint, status, session_id, ..ErrorBody::new(error) }
}

/// Removes the token, should the other side have echoed it.
fn redact(text: &str, token: &Secret) -> String {
    if token.is_empty() { text.to_owned() } else { text.replace(token.expose(), "***") }
}

/// One line of printable text of at most [`MAX_SNIPPET`] bytes.
fn clip(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_SNIPPET));
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > MAX_SNIPPET {
            line.truncate(line.floor_char_boundary(MAX_SNIPPET - '…'.len_utf8()));
            line.push('…');
            break;
        }
    }
    line
}

/// Decodes a whole body.
pub(crate) fn decode<T: serde::de::DeserializeOwned>(operation: Operation, body: &[u8]) -> Result<T, ClientError> {
    // One string that is not UTF-8 must not cost what stands beside it.
    let text = String::from_utf8_lossy(body);
    lenient::from_str(&text).map_err(|source| ClientError::Decode { operation, source: without_values(source) })
}

/// The error without the text that it quotes from the body: where a token is expected, that may be one.
fn without_values(source: serde_json::Error) -> serde_json::Error {
    let text = source.to_string();
    let (Some(start), Some(end)) = (text.find('"'), text.rfind('"')) else { return source };
    serde_json::Error::custom(format_args!("{}\"…{}", &text[..start], &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(raw: &str) -> String {
        error_body(StatusCode::UNAUTHORIZED, raw, &Secret::from("rsp_live_x")).error
    }

    #[test]
    fn every_dialect_of_an_error() {
        for (raw, expected) in [
            (r#"{"error":"no"}"#, "no"),
            (r#"{"error":"Unauthorized","message":"bad key"}"#, "Unauthorized: bad key"),
            (r#"{"error":"same","message":"same"}"#, "same"),
            (r#"{"error":{"message":"deep"}}"#, "deep"),
            (r#"{"message":"m"}"#, "m"),
            (r#"{"detail":"Runtime token expired."}"#, "Runtime token expired."),
            (r#"{"error":"no","reason":"Runtime token expired"}"#, "Runtime token expired: no"),
            (r#"{"x":1}"#, r#"{"x":1}"#),
            ("", "unauthorized"),
            (" \n ", "unauthorized"),
            ("<html>\n <b>gate\u{1b}[31m</b>", "<html> <b>gate [31m</b>"),
            (r#"{"error":"token rsp_live_x is unknown"}"#, "token *** is unknown"),
            (r#"{"error":"token rsp_live\u005fx is unknown"}"#, "token *** is unknown"),
        ] {
            assert_eq!(error_of(raw), expected, "{raw}");
        }
    }

    #[test]
    fn snippets_are_bounded_in_bytes_and_hold_no_token() {
        let long = format!("{}{}", "ü".repeat(5000), "rsp_live_x");
        let snippet = error_of(&long);
        assert!(snippet.len() <= MAX_SNIPPET && snippet.ends_with('…'), "{}", snippet.len());
        let at_the_edge = format!("{}rsp_live_x", "a".repeat(MAX_SNIPPET - 5));
        assert!(!error_of(&at_the_edge).contains("rsp_"), "a token cut in half");
    }
}
