//! What can go wrong at a call.

/// A call of the platform API, worker side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// `POST /api/workers/register`
    Register,
    /// `POST /api/workers/{id}/refresh-token`
    RefreshToken,
    /// `POST /api/workers/{id}/heartbeat`
    Heartbeat,
    /// `GET /api/workers/{id}/poll`
    Poll,
    /// `POST /api/sessions/{id}/claim`
    Claim,
    /// `POST /api/sessions/{id}/nack`
    Nack,
    /// `POST /api/sessions/{id}/lock-refresh`
    LockRefresh,
    /// `POST /api/sessions/{id}/status`
    Status,
    /// `POST /api/sessions/{id}/activity`
    Activity,
    /// `POST /api/sessions/{id}/completion`
    Completion,
}

impl Call {
    /// All calls.
    pub const ALL: [Self; 10] = [
        Self::Register,
        Self::RefreshToken,
        Self::Heartbeat,
        Self::Poll,
        Self::Claim,
        Self::Nack,
        Self::LockRefresh,
        Self::Status,
        Self::Activity,
        Self::Completion,
    ];

    /// The call behind a path without its query, and the id in that path.
    pub(crate) fn of_path(path: &str) -> Option<(Self, String)> {
        let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
        let (call, id) = match segments[..] {
            ["api", "workers", "register"] => (Self::Register, ""),
            ["api", "workers", id, "refresh-token"] => (Self::RefreshToken, id),
            ["api", "workers", id, "heartbeat"] => (Self::Heartbeat, id),
            ["api", "workers", id, "poll"] => (Self::Poll, id),
            ["api", "sessions", id, "claim"] => (Self::Claim, id),
            ["api", "sessions", id, "nack"] => (Self::Nack, id),
            ["api", "sessions", id, "lock-refresh"] => (Self::LockRefresh, id),
            ["api", "sessions", id, "status"] => (Self::Status, id),
            ["api", "sessions", id, "activity"] => (Self::Activity, id),
            ["api", "sessions", id, "completion"] => (Self::Completion, id),
            _ => return None,
        };
        Some((call, id.to_owned()))
    }
}

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// An answer of type `application/json`, whatever `body` is.
    #[must_use]
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }.header("content-type", "application/json")
    }

    /// An answer of type `text/html`.
    #[must_use]
    pub fn html(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }.header("content-type", "text/html; charset=utf-8")
    }

    /// The same with another status.
    #[must_use]
    pub const fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Its status.
    #[must_use]
    pub const fn status_code(&self) -> u16 {
        self.status
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What is written: head and body. 204 and 304 have no body, whatever this answer says.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let bodiless = matches!(self.status, 204 | 304);
        let body: &[u8] = if bodiless { &[] } else { &self.body };
        let length = (!bodiless).then_some(body.len());
        let mut bytes = self.head(length);
        bytes.extend_from_slice(body);
        bytes
    }

    pub(crate) fn head(&self, length: Option<usize>) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(length) = length {
            head.push_str(&format!("content-length: {length}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// What happens to one request instead of the normal behaviour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This answer.
    Answer(Answer),
    /// Normal behaviour, but every `{bearer}` of this answer's body becomes the token that the caller sent.
    Echo(Answer),
    /// The connection is closed with the body of the request unread.
    CloseBeforeReading,
    /// The request is read, nothing is done, the connection is closed.
    CloseAfterReading,
    /// The request takes full effect, but its answer is lost: the connection is closed.
    LoseAnswer,
    /// Bytes that are no HTTP, then the connection is closed.
    NotHttp,
    /// No answer until the caller leaves.
    Hang,
    /// A head with status 200, then silence until the caller leaves.
    HangInBody,
    /// A head byte at a time, for ever.
    DripHead,
    /// Status 200 and a body byte at a time, for ever.
    DripBody,
    /// Announces this answer's body, sends half of it, closes.
    Truncated(Answer),
    /// This status with a body of this many bytes, without saying so before.
    Flood(u16, u64),
    /// This status with a content length of this many bytes and nothing behind it.
    Announce(u16, u64),
}

impl From<Answer> for Fault {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, expected) in [
            ("/api/workers/register", Some((Call::Register, ""))),
            ("/api/workers/w1/poll", Some((Call::Poll, "w1"))),
            ("/api/sessions/s1/nack", Some((Call::Nack, "s1"))),
            ("/api/sessions", None),
            ("/api/workers//x/poll", None),
        ] {
            assert_eq!(Call::of_path(path), expected.map(|(call, id)| (call, id.to_owned())), "{path}");
        }
    }

    #[test]
    fn answers_as_written() {
        let text = |answer: Answer| String::from_utf8(answer.bytes()).unwrap();
        assert!(text(Answer::json(200, "{}")).ends_with("content-length: 2\r\n\r\n{}"));
        let empty = text(Answer::json(204, "{}"));
        assert!(empty.ends_with("\r\n\r\n") && !empty.contains("length"), "{empty}");
    }
}
