//! Workareas: live, restored, archived.

use super::http::Request;
use super::{ControlClient, ControlError};
use futures_util::StreamExt;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use rensei_proto::SessionId;
use rensei_proto::control::{
    ArchiveRequest, DiffEntry, DiffEnvelope, DiffLine, DiffSummary, PruneRequest, PruneResponse, RestoreRequest,
    WorkareaDetail, WorkareaEnvelope, WorkareaList,
};
use std::time::Duration;

/// Time for copying or deleting a large tree, and between two lines of a comparison.
const WORKAREA: Duration = Duration::from_secs(15 * 60);
/// Longest line of a difference that is read: four times the longest path.
const MAX_LINE: usize = 1 << 20;

impl ControlClient {
    /// Live, restored and archived workareas.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn workareas(&self) -> Result<WorkareaList, ControlError> {
        self.ask(Request::get("/api/daemon/workareas")).await
    }

    /// One workarea.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn workarea_detail(&self, id: &str) -> Result<WorkareaDetail, ControlError> {
        let envelope: WorkareaEnvelope = self.ask(Request::get(path(id, ""))).await?;
        Ok(envelope.workarea)
    }

    /// Makes a workarea from an archive. May take as long as copying it does.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn restore_workarea(&self, id: &str, request: &RestoreRequest) -> Result<WorkareaDetail, ControlError> {
        let call = Request::post(path(id, "/restore")).json(request);
        let envelope: WorkareaEnvelope = self.http.ask(call, WORKAREA).await?;
        Ok(envelope.workarea)
    }

    /// Archives the workarea of a live session. May take as long as copying it does.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn archive_workarea(
        &self,
        id: &SessionId,
        request: &ArchiveRequest,
    ) -> Result<WorkareaDetail, ControlError> {
        let call = Request::post(format!("/api/daemon/sessions/{id}/archive")).json(request);
        let envelope: WorkareaEnvelope = self.http.ask(call, WORKAREA).await?;
        Ok(envelope.workarea)
    }

    /// Removes archives and restored workareas.
    ///
    /// # Errors
    /// Any [`ControlError`].
    pub async fn prune_workareas(&self, request: &PruneRequest) -> Result<PruneResponse, ControlError> {
        self.http.ask(Request::post("/api/daemon/archives/prune").json(request), WORKAREA).await
    }

    /// Compares two archives and calls `on_entry` with every path that differs, in the order of paths, as it arrives.
    ///
    /// # Errors
    /// Any [`ControlError`]; what was heard before that is right.
    pub async fn diff_workareas(
        &self,
        a: &str,
        b: &str,
        mut on_entry: impl FnMut(DiffEntry),
    ) -> Result<DiffSummary, ControlError> {
        let response = self.http.send(Request::get(path(a, &format!("/diff/{}", encoded(b)))), WORKAREA).await?;
        let streamed = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/x-ndjson");
        let mut body = super::OutputStream::new(response, self.url().to_owned(), Some(WORKAREA));
        let mut pending = Vec::new();
        while let Some(piece) = body.next().await {
            pending.extend_from_slice(&piece?);
            if !streamed {
                continue;
            }
            for line in whole_lines(&mut pending) {
                if let Some(summary) = self.hear(&line, &mut on_entry)? {
                    return Ok(summary);
                }
            }
            if pending.len() > MAX_LINE {
                return Err(self.unreadable("a line of it is too long"));
            }
        }
        if streamed {
            return Err(self.unreadable("it ends without a summary"));
        }
        let whole: DiffEnvelope = serde_json::from_slice(&pending).map_err(|error| self.unreadable(error))?;
        whole.diff.entries.into_iter().for_each(on_entry);
        Ok(whole.diff.summary)
    }

    fn hear(&self, line: &[u8], on_entry: &mut impl FnMut(DiffEntry)) -> Result<Option<DiffSummary>, ControlError> {
        match serde_json::from_slice(line).map_err(|error| self.unreadable(error))? {
            DiffLine::Entry(entry) => {
                on_entry(entry);
                Ok(None)
            }
            DiffLine::Summary { summary } => Ok(Some(summary)),
            DiffLine::Error { error } => Err(self.unreadable(format!("the comparison was not completed: {error}"))),
        }
    }

    fn unreadable(&self, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ControlError {
        ControlError::Decode { url: self.url().to_owned(), source: why.into() }
    }
}

/// Takes the lines that are complete.
fn whole_lines(pending: &mut Vec<u8>) -> Vec<Bytes> {
    let Some(end) = pending.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
    let rest = pending.split_off(end + 1);
    let whole = Bytes::from(std::mem::replace(pending, rest));
    let lines = whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| whole.slice_ref(line)).collect()
}

fn path(id: &str, rest: &str) -> String {
    format!("/api/daemon/workareas/{}{rest}", encoded(id))
}

/// An id as one component of a path.
fn encoded(id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    let mut text = String::with_capacity(id.len());
    for byte in id.bytes() {
        if plain(byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_component() {
        assert_eq!(path("a b/ü%", ""), "/api/daemon/workareas/a%20b%2F%C3%BC%25");
    }

    #[test]
    fn lines_are_read_when_they_are_whole() {
        let mut pending = b"a\n\nbc\nde".to_vec();
        assert_eq!(whole_lines(&mut pending), ["a", "bc"]);
        assert_eq!(pending, b"de");
        assert!(whole_lines(&mut pending).is_empty());
    }
}
