//! `GET /api/daemon/sessions/<id>/output`.

use super::log_file::LogFile;
use super::message::{PathOf, QueryOf, SessionPath, Switch, raw_response};
use super::reply::Refusal;
use super::routes::{Table, says};
use crate::headers::{OUTPUT_OFFSET, OUTPUT_SIZE};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use rensei_daemon_core::DaemonHandle;
use rensei_proto::{ErrorBody, SessionId};
use schemars::JsonSchema;
use serde::Deserialize;
use std::io;
use std::time::Duration;

/// Pause between two looks at a log that has nothing new.
const FOLLOW: Duration = Duration::from_millis(50);

pub(super) fn routes<T: Table>(table: T) -> T {
    let about = says("output", "sessions", "Raw output of a session, live or ended.");
    table.get("/api/daemon/sessions/{id}/output", output, |operation| {
        raw_response(about(operation), "application/octet-stream")
    })
}

#[derive(Debug, Deserialize, JsonSchema)]
struct OutputParams {
    /// Byte to start at; wins over `tail`.
    offset: Option<u64>,
    /// Lines before the end to start at.
    tail: Option<usize>,
    /// Go on until the session has ended, if it is the word `true`.
    #[serde(default)]
    follow: Switch,
}

async fn output(
    State(daemon): State<DaemonHandle>,
    PathOf(SessionPath { id }): PathOf<SessionPath>,
    QueryOf(params): QueryOf<OutputParams>,
) -> Result<Response, Refusal> {
    let path = daemon.session_output(&id).ok_or_else(|| Refusal::session_not_found(&id))?;
    let log = LogFile::open(path).await.map_err(|error| unreadable(&id, &error))?;
    let (start, size) = start(&log, &params).await.map_err(|error| unreadable(&id, &error))?;
    if start > size {
        let body = ErrorBody::new(format!("offset {start} is beyond the end of the output ({size})"));
        return Err(Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, body));
    }
    let follow = params.follow.is_on().then_some((daemon, id));
    Ok(answer(start, size, Reader { log, position: start, end: size, follow, ended: false }))
}

async fn start(log: &LogFile, params: &OutputParams) -> io::Result<(u64, u64)> {
    let start = match (params.offset, params.tail) {
        (Some(offset), _) => offset,
        (None, Some(lines)) => log.start_of_last(lines).await?,
        (None, None) => 0,
    };
    Ok((start, log.size().await?))
}

fn unreadable(id: &SessionId, error: &io::Error) -> Refusal {
    let status = match error.kind() {
        io::ErrorKind::NotFound => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Refusal::new(status, ErrorBody::new(format!("the session's output cannot be read: {error}"))).of_session(id)
}

fn answer(start: u64, size: u64, reader: Reader) -> Response {
    let pieces = futures_util::stream::unfold(reader, |mut reader| async {
        let piece = reader.next().await.transpose()?;
        Some((piece, reader))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(OUTPUT_SIZE, HeaderValue::from(size));
    headers.insert(OUTPUT_OFFSET, HeaderValue::from(start));
    response
}

/// Reads a log piece by piece, as fast as the client takes them.
struct Reader {
    log: LogFile,
    position: u64,
    /// End of what is sent; moves on while following.
    end: u64,
    /// Whose end to wait for.
    follow: Option<(DaemonHandle, SessionId)>,
    /// Whether that end has been seen. What was written before it is in the file by then.
    ended: bool,
}

impl Reader {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if self.position < self.end {
                return self.read().await.map(Some);
            }
            let Some((daemon, id)) = &self.follow else { return Ok(None) };
            let size = self.log.size().await?;
            if size > self.end {
                self.end = size;
            } else if size < self.end {
                // The worker has shortened its log: what it writes from now on is sent.
                (self.position, self.end) = (size, size);
            } else if self.ended {
                return Ok(None);
            } else if daemon.session_view(id).is_none_or(|view| view.state.is_ended()) {
                self.ended = true;
            } else {
                tokio::time::sleep(FOLLOW).await;
            }
        }
    }

    async fn read(&mut self) -> io::Result<Bytes> {
        match self.log.read(self.position, self.end).await? {
            Ok(bytes) => {
                self.position += bytes.len() as u64;
                Ok(bytes)
            }
            Err(dropped) => {
                self.position += dropped;
                Ok(Bytes::from(format!("\n[... {dropped} bytes of output were dropped here ...]\n")))
            }
        }
    }
}
