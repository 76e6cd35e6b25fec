//! The log file: written by its own thread, bounded in size, and never in the daemon's way.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Size at which the file becomes `<file>.1`.
const MAX_BYTES: u64 = 10 * 1024 * 1024;
/// Records that wait for the disk. A record is small, so this bounds memory to a few megabytes.
const QUEUE: usize = 2048;
/// How long the end of the program waits for the disk.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// An open log file. Dropping it writes what is queued, bounded by a deadline.
#[derive(Debug)]
pub(crate) struct LogFile {
    sender: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
    finished: Receiver<()>,
}

/// Hands records to the file. Never blocks: what the disk cannot keep up with is dropped and counted.
#[derive(Debug, Clone)]
pub(super) struct LogWriter {
    sender: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Line(String),
    End,
}

impl LogWriter {
    /// Queues one line.
    pub(super) fn send(&self, line: String) {
        if self.sender.try_send(Message::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl LogFile {
    /// Opens or makes `path`, readable by its owner alone.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let (sender, lines) = sync_channel(QUEUE);
        let (done, finished) = sync_channel(1);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut file = RotatingFile::open(path, MAX_BYTES, Arc::clone(&dropped))?;
        let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || {
            file.write_all_of(&lines);
            let _owner_gone = done.send(());
        })?;
        Ok(Self { sender, dropped, thread: Some(thread), finished })
    }

    /// A way into the file.
    pub(super) fn writer(&self) -> LogWriter {
        LogWriter { sender: self.sender.clone(), dropped: Arc::clone(&self.dropped) }
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        // A full queue means a disk that hangs: then the end of the program does not wait for it.
        let ended = self.sender.try_send(Message::End).is_ok();
        let flushed = ended && !matches!(self.finished.recv_timeout(FLUSH_LIMIT), Err(RecvTimeoutError::Timeout));
        if flushed && let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// A file with one earlier generation.
#[derive(Debug)]
struct RotatingFile {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
    dropped: Arc<AtomicU64>,
}

impl RotatingFile {
    fn open(path: &Path, limit: u64, dropped: Arc<AtomicU64>) -> io::Result<Self> {
        let file = open_append(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, size, limit, dropped })
    }

    fn write_all_of(&mut self, lines: &Receiver<Message>) {
        while let Ok(Message::Line(line)) = lines.recv() {
            let lost = self.dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                self.write(&dropped_record(lost), lost);
            }
            self.write(&line, 1);
        }
    }

    /// Writes one line; `records` are counted as dropped when the disk refuses.
    fn write(&mut self, line: &str, records: u64) {
        if self.size > 0 && self.size + line.len() as u64 > self.limit {
            self.rotate();
        }
        match self.file.write_all(line.as_bytes()) {
            Ok(()) => self.size += line.len() as u64,
            Err(_) => {
                self.dropped.fetch_add(records, Ordering::Relaxed);
            }
        }
    }

    /// Makes the file its own earlier generation. Without a new file the old one goes on.
    fn rotate(&mut self) {
        let mut earlier = self.path.clone().into_os_string();
        earlier.push(".1");
        let renewed = std::fs::rename(&self.path, earlier).and_then(|()| open_append(&self.path));
        if let Ok(file) = renewed {
            (self.file, self.size) = (file, 0);
        }
    }
}

fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn dropped_record(count: u64) -> String {
    let time = rensei_proto::rfc3339_millis(jiff::Timestamp::now());
    format!(
        "{{\"time\":\"{time}\",\"level\":\"warn\",\"msg\":\"log records dropped\",\"event\":\"log-dropped\",\"count\":{count}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_earlier_generation_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.log");
        let mut file = RotatingFile::open(&path, 10, Arc::default()).unwrap();
        for line in ["aaaaaa\n", "bbbbbb\n", "cccccc\n"] {
            file.write(line, 1);
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "cccccc\n");
        assert_eq!(std::fs::read_to_string(dir.path().join("daemon.log.1")).unwrap(), "bbbbbb\n");
    }

    #[test]
    fn a_full_disk_costs_records_and_says_so_later() {
        let full = Path::new("/dev/full");
        let dropped = Arc::new(AtomicU64::new(0));
        let mut file = RotatingFile::open(full, u64::MAX, Arc::clone(&dropped)).unwrap();
        file.write("lost\n", 1);
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.log");
        let mut file = RotatingFile::open(&path, u64::MAX, dropped).unwrap();
        let (sender, lines) = sync_channel(2);
        sender.send(Message::Line("kept\n".to_owned())).unwrap();
        sender.send(Message::End).unwrap();
        file.write_all_of(&lines);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(r#""event":"log-dropped","count":1}"#) && text.ends_with("kept\n"), "{text}");
    }

    #[test]
    fn a_full_queue_never_blocks() {
        let (sender, _lines) = sync_channel(1);
        let writer = LogWriter { sender, dropped: Arc::default() };
        for _ in 0..3 {
            writer.send("x".to_owned());
        }
        assert_eq!(writer.dropped.load(Ordering::Relaxed), 2);
    }
}
