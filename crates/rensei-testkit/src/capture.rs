//! What this process logged, and whether anything in it panicked.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

/// Log and panics of this process since the first [`Capture::install`].
///
/// Global, because a daemon's tasks run on threads of its own: tests of one process share it. That is harmless for
/// what it is good for, which is showing that something was *not* logged.
#[derive(Debug, Clone, Default)]
pub struct Capture {
    log: Arc<Mutex<Vec<u8>>>,
    panics: Arc<Mutex<Vec<String>>>,
}

impl Capture {
    /// Starts to record at the most talkative level; the same capture on every call.
    #[must_use]
    pub fn install() -> Self {
        static CAPTURE: OnceLock<Capture> = OnceLock::new();
        CAPTURE.get_or_init(Self::install_once).clone()
    }

    fn install_once() -> Self {
        let capture = Self::default();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(capture.clone());
        let subscriber = tracing_subscriber::registry().with(tracing_subscriber::filter::LevelFilter::TRACE);
        tracing::subscriber::set_global_default(subscriber.with(layer)).unwrap();
        let (panics, before) = (Arc::clone(&capture.panics), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |info| {
            panics.lock().unwrap_or_else(PoisonError::into_inner).push(info.to_string());
            before(info);
        }));
        capture
    }

    /// All that was logged.
    #[must_use]
    pub fn log(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Lines of the log that hold `needle`.
    #[must_use]
    pub fn lines_with(&self, needle: &str) -> Vec<String> {
        self.log().lines().filter(|line| line.contains(needle)).map(str::to_owned).collect()
    }

    /// Fails when anything panicked, or when any token that a [`crate::FakePlatform`] knows was logged.
    pub fn assert_clean(&self) {
        let panics = self.panics.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(panics.is_empty(), "panics: {panics:#?}");
        let leaks = self.lines_with(crate::TOKEN_MARK);
        assert!(leaks.is_empty(), "tokens in the log: {:#?}", leaks.get(..leaks.len().min(5)));
    }
}

impl io::Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Capture {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
