//! A session's log, read without blocking the runtime.

use axum::body::Bytes;
use rensei_process::output_log::{OutputLog, Piece};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Most bytes read at once.
const PIECE: u64 = 256 * 1024;

#[derive(Debug, Clone)]
pub(super) struct LogFile(Arc<OutputLog>);

impl LogFile {
    pub(super) async fn open(path: PathBuf) -> io::Result<Self> {
        let log = blocking(move || OutputLog::open(&path)).await?;
        Ok(Self(Arc::new(log)))
    }

    /// Bytes of output now.
    pub(super) async fn size(&self) -> io::Result<u64> {
        let log = Arc::clone(&self.0);
        blocking(move || log.size()).await
    }

    /// What is at `position`, up to `end`: bytes, or how many were dropped.
    pub(super) async fn read(&self, position: u64, end: u64) -> io::Result<Result<Bytes, u64>> {
        let log = Arc::clone(&self.0);
        let left = end.saturating_sub(position);
        let most = usize::try_from(left.min(PIECE)).unwrap_or(usize::MAX);
        let piece = blocking(move || log.read(position, most)).await?;
        Ok(match piece {
            // The worker has shortened its log.
            Piece::Data(bytes) if bytes.is_empty() => Err(left),
            Piece::Data(bytes) => Ok(bytes.into()),
            Piece::Hole { until } => Err(left.min(until.saturating_sub(position))),
        })
    }

    /// Where the last lines begin.
    pub(super) async fn start_of_last(&self, lines: usize) -> io::Result<u64> {
        let log = Arc::clone(&self.0);
        blocking(move || log.start_of_last(lines)).await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
