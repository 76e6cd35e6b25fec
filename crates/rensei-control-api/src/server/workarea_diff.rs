//! `GET /api/daemon/workareas/<a>/diff/<b>`: one document, or a line per path when there are many.

use super::message::{Answer, PathOf};
use super::reply::Refusal;
use super::routes::{Table, says};
use super::workareas::refused;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use rensei_daemon_core::{ArchiveError, Archives, DaemonHandle};
use rensei_proto::control::{DiffEntry, DiffEnvelope, DiffLine, DiffSummary, WorkareaDiff};
use rensei_proto::error_chain;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::ops::ControlFlow;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Differences that may wait for a client that reads slowly.
const WAITING: usize = 256;
/// Media type of a line per path.
const LINES: &str = "application/x-ndjson";

pub(super) fn routes<T: Table>(table: T) -> T {
    let about = says(
        "diffWorkareas",
        "workareas",
        "How two archives differ; above `workarea.diffStreamingThreshold` entries as `application/x-ndjson`.",
    );
    table.get("/api/daemon/workareas/{a}/diff/{b}", diff, |operation| {
        about(operation).response::<200, Answer<DiffEnvelope>>()
    })
}

#[derive(Debug, Deserialize, JsonSchema)]
struct DiffPath {
    /// The archive to compare.
    a: String,
    /// The archive that it is compared with.
    b: String,
}

/// What the comparison says.
enum Heard {
    Entry(DiffEntry),
    End(Result<DiffSummary, ArchiveError>),
}

async fn diff(
    State(daemon): State<DaemonHandle>,
    PathOf(DiffPath { a, b }): PathOf<DiffPath>,
) -> Result<Response, Refusal> {
    let (archives, threshold) = (daemon.archives(), daemon.diff_streaming_threshold());
    let (sender, mut heard) = channel(WAITING);
    tokio::task::spawn_blocking(move || compare(&archives, &a, &b, &sender));
    let mut entries = VecDeque::new();
    loop {
        match heard.recv().await {
            Some(Heard::Entry(entry)) => entries.push_back(entry),
            Some(Heard::End(Ok(summary))) => {
                let diff = WorkareaDiff { summary, entries: entries.into() };
                return Ok(Answer::<_, 200>(DiffEnvelope { diff }).into_response());
            }
            Some(Heard::End(Err(error))) => return Err(refused("diff", &error)),
            None => return Err(Refusal::internal(&broken_off())),
        }
        if entries.len() > threshold {
            return Ok(stream(Lines { waiting: entries, heard: Some(heard) }));
        }
    }
}

/// Compares until nobody listens any more.
fn compare(archives: &Archives, a: &str, b: &str, sender: &Sender<Heard>) {
    let result = archives.diff(a, b, |entry| match sender.blocking_send(Heard::Entry(entry)) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_hung_up) => ControlFlow::Break(()),
    });
    // Nobody may be there to hear of the end.
    let _ = sender.blocking_send(Heard::End(result));
}

/// What is still to be written.
struct Lines {
    waiting: VecDeque<DiffEntry>,
    /// None after the last line.
    heard: Option<Receiver<Heard>>,
}

impl Lines {
    async fn next(&mut self) -> Option<DiffLine> {
        if let Some(entry) = self.waiting.pop_front() {
            return Some(DiffLine::Entry(entry));
        }
        let end = match self.heard.as_mut()?.recv().await {
            Some(Heard::Entry(entry)) => return Some(DiffLine::Entry(entry)),
            Some(Heard::End(Ok(summary))) => DiffLine::Summary { summary },
            Some(Heard::End(Err(error))) => DiffLine::Error { error: refused("diff", &error).body.error },
            None => DiffLine::Error { error: error_chain(&broken_off()) },
        };
        self.heard = None;
        Some(end)
    }
}

/// Each line is a piece of its own, so that it leaves as soon as it is known.
fn stream(lines: Lines) -> Response {
    let pieces = futures_util::stream::unfold(lines, |mut lines| async {
        let line = lines.next().await?;
        // Only strings are keys, so this cannot fail.
        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        Some((Ok::<_, Infallible>(Bytes::from(text)), lines))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(LINES));
    response
}

fn broken_off() -> std::io::Error {
    std::io::Error::other("the comparison broke off")
}
