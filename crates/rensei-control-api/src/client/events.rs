//! Events of the host as a stream.

use super::ControlClient;
use super::error::ControlError;
use super::http::Request;
use futures_util::Stream;
use hyper::body::{Body, Incoming};
use rensei_proto::control::HostEvent;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Longest line of a stream that is read, in bytes. Events are small; what is longer is no event.
const MAX_LINE: usize = 1024 * 1024;

impl ControlClient {
    /// What happens on the host from now on, or from after the event `after`. The stream ends with the daemon.
    ///
    /// # Errors
    /// Any [`ControlError`]; the stream yields them too.
    pub async fn events(&self, after: Option<&str>) -> Result<EventStream, ControlError> {
        let request = Request::get("/api/daemon/events").after_event(after);
        let response = self.http.send(request, self.call_timeout).await?;
        let (body, url) = (response.into_body(), self.url().to_owned());
        Ok(EventStream { body, url, lines: Lines::default(), data: Vec::new(), last_id: after.map(str::to_owned) })
    }
}

/// Events, in their order. A stream that breaks is resumed by [`ControlClient::events`] with [`EventStream::last_id`].
#[derive(Debug)]
pub struct EventStream {
    body: Incoming,
    url: String,
    lines: Lines,
    /// Data of the event that is being read.
    data: Vec<u8>,
    last_id: Option<String>,
}

impl EventStream {
    /// Id of the last event that was read.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// The next event; `None` when the daemon has ended the stream. Cancel safe.
    pub async fn next_event(&mut self) -> Option<Result<HostEvent, ControlError>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Takes one line; an empty one completes an event.
    fn take(&mut self, line: &[u8]) -> Option<Result<HostEvent, ControlError>> {
        if let Some(data) = line.strip_prefix(b"data:") {
            self.data.extend_from_slice(data.trim_ascii_start());
        }
        if !line.is_empty() || self.data.is_empty() {
            return None;
        }
        let event = serde_json::from_slice::<HostEvent>(&std::mem::take(&mut self.data));
        Some(match event {
            Ok(event) => {
                self.last_id = Some(event.id.clone());
                Ok(event)
            }
            Err(error) => Err(self.unreadable(error.into())),
        })
    }

    fn unreadable(&self, source: Box<dyn std::error::Error + Send + Sync>) -> ControlError {
        ControlError::Decode { url: self.url.clone(), source }
    }
}

impl Stream for EventStream {
    type Item = Result<HostEvent, ControlError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            while let Some(line) = self.lines.next() {
                if let Some(event) = self.take(&line) {
                    return Poll::Ready(Some(event));
                }
            }
            if self.lines.pending() + self.data.len() > MAX_LINE {
                return Poll::Ready(Some(Err(self.unreadable("an event is too large".into()))));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(source)) => {
                    let (url, source) = (self.url.clone(), source.into());
                    return Poll::Ready(Some(Err(ControlError::Transport { url, source })));
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.lines.push(&data);
                    }
                }
            }
        }
    }
}

/// Splits bytes into lines as they come.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    /// Where what was not handed out yet begins.
    start: usize,
}

impl Lines {
    fn push(&mut self, data: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.start));
        self.bytes.extend_from_slice(data);
    }

    fn pending(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The next whole line, without its break.
    fn next(&mut self) -> Option<Vec<u8>> {
        let rest = &self.bytes[self.start..];
        let length = rest.iter().position(|byte| *byte == b'\n')?;
        let line = rest[..length].strip_suffix(b"\r").unwrap_or(&rest[..length]).to_vec();
        self.start += length + 1;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_they_came_in() {
        let text = b"data: 1\r\n\n: comment\nid: 7\nrest";
        for size in 1..text.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for piece in text.chunks(size) {
                lines.push(piece);
                seen.extend(std::iter::from_fn(|| lines.next()));
            }
            assert_eq!(seen, [&b"data: 1"[..], b"", b": comment", b"id: 7"], "{size}");
            assert_eq!(lines.pending(), 4);
        }
    }
}
