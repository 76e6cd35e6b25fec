//! The three pipes of a shell agent.

use super::line::{Lines, MAX_LINE};
use super::{AgentEvent, Driver, Stream};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdin;

/// Writes the prompt and closes the pipe. An agent that does not read it is free not to.
pub(super) async fn feed(stdin: Option<ChildStdin>, prompt: String) {
    if let Some(mut stdin) = stdin {
        let _not_read = stdin.write_all(prompt.as_bytes()).await;
    }
}

/// One output pipe on its way to the session and to the raw copy.
pub(super) struct Output<R> {
    pipe: Option<R>,
    stream: Stream,
    lines: Lines,
    raw: Option<File>,
    driver: Driver,
}

impl<R: AsyncRead + Unpin> Output<R> {
    pub(super) fn new(pipe: Option<R>, stream: Stream, raw: Option<&std::fs::File>, driver: Driver) -> Self {
        // Both pipes write through one open file, so neither overwrites the other.
        let raw = raw.and_then(|file| file.try_clone().ok()).map(File::from_std);
        Self { pipe, stream, lines: Lines::default(), raw, driver }
    }

    /// Reads until the last writer has closed the pipe.
    pub(super) async fn run(&mut self) {
        let Some(mut pipe) = self.pipe.take() else { return };
        let mut buffer = vec![0; MAX_LINE];
        while let Ok(size @ 1..) = pipe.read(&mut buffer).await {
            let lines = self.lines.push(&buffer[..size]);
            self.emit(lines).await;
            self.copy(&buffer[..size]).await;
        }
    }

    /// Hands over a last line without newline.
    pub(super) async fn finish(&mut self) {
        let rest = self.lines.finish();
        self.emit(rest).await;
    }

    async fn emit(&self, lines: Option<Vec<u8>>) {
        if let Some(lines) = lines {
            self.driver.emit(AgentEvent::Output { stream: self.stream, lines }).await;
        }
    }

    /// A full disk or a closed terminal costs the copy, never the session.
    async fn copy(&mut self, bytes: &[u8]) {
        if let Some(raw) = &mut self.raw {
            let _lost = raw.write_all(bytes).await;
            let _lost = raw.flush().await;
        }
    }
}
