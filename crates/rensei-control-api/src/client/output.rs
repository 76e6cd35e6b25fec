//! Output of a session as a stream.

use super::error::ControlError;
use crate::headers::{OUTPUT_OFFSET, OUTPUT_SIZE};
use futures_util::Stream;
use hyper::Response;
use hyper::body::{Body, Bytes, Incoming};
use std::fmt::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;

/// Which part of a session's output to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutputQuery {
    /// Start at this byte of the log. Wins over `tail_lines`.
    pub offset: Option<u64>,
    /// Start so many lines before the end.
    pub tail_lines: Option<usize>,
    /// Go on until the session has ended and everything was sent.
    pub follow: bool,
}

impl OutputQuery {
    pub(super) fn to_query(self) -> String {
        let mut query = format!("?follow={}", self.follow);
        if let Some(offset) = self.offset {
            let _infallible = write!(query, "&offset={offset}");
        } else if let Some(lines) = self.tail_lines {
            let _infallible = write!(query, "&tail={lines}");
        }
        query
    }
}

/// Raw output, in pieces as they arrive.
#[derive(Debug)]
pub struct OutputStream {
    body: Incoming,
    url: String,
    size: Option<u64>,
    offset: Option<u64>,
    deadline: Option<Deadline>,
}

/// Longest time between two pieces.
#[derive(Debug)]
struct Deadline {
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl OutputStream {
    pub(super) fn new(response: Response<Incoming>, url: String, chunk_timeout: Option<Duration>) -> Self {
        let number = |name| response.headers().get(name)?.to_str().ok()?.parse().ok();
        let (size, offset) = (number(OUTPUT_SIZE), number(OUTPUT_OFFSET));
        let deadline = chunk_timeout.map(|limit| Deadline { limit, sleep: Box::pin(tokio::time::sleep(limit)) });
        Self { body: response.into_body(), url, size, offset, deadline }
    }

    /// Bytes in the log when the answer began.
    #[must_use]
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// Position in the log of the first byte of the stream.
    #[must_use]
    pub const fn offset(&self) -> Option<u64> {
        self.offset
    }

    /// The next piece; `None` at the end. Cancel safe.
    pub async fn next_chunk(&mut self) -> Option<Result<Bytes, ControlError>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Fails when the next piece is overdue.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<ControlError> {
        let Some(deadline) = &mut self.deadline else { return Poll::Pending };
        ready!(deadline.sleep.as_mut().poll(cx));
        Poll::Ready(ControlError::TimedOut { url: self.url.clone(), limit: deadline.limit })
    }

    fn restart_deadline(&mut self) {
        if let Some(deadline) = &mut self.deadline {
            deadline.sleep.as_mut().reset(tokio::time::Instant::now() + deadline.limit);
        }
    }
}

impl Stream for OutputStream {
    type Item = Result<Bytes, ControlError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                return self.poll_deadline(cx).map(|error| Some(Err(error)));
            };
            self.restart_deadline();
            match frame {
                None => return Poll::Ready(None),
                Some(Err(source)) => {
                    let source = source.into();
                    return Poll::Ready(Some(Err(ControlError::Transport { url: self.url.clone(), source })));
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    }
}
