//! Noticing that somebody else changed the file.

mod events;
mod names;

pub(crate) use self::names::NameWatcher;

use self::events::Events;
use super::changes::{Changes, changes};
use super::edit::{Edit, EditError};
use super::file::ConfigFile;
use super::load::{self, Defaults};
use super::model::Config;
use rensei_proto::error_chain;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

/// How long the file must be left alone before it is read: editors write it in several steps.
const DEBOUNCE: Duration = Duration::from_millis(250);

/// A configuration that replaces another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// The new one.
    pub config: Arc<Config>,
    /// How it differs from the one before.
    pub changes: Changes,
}

/// Delivers every new, valid configuration that somebody else writes. A missing or broken file changes nothing and is
/// mentioned in the log once.
#[derive(Debug)]
pub struct ConfigWatcher {
    shared: Arc<Shared>,
    events: Events,
    /// When to read the file, unless it is written again before.
    due: Option<Instant>,
}

/// Changes the file on behalf of the host. The watcher does not report these changes: they are answered here.
#[derive(Debug, Clone)]
pub struct ConfigWriter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    env: BTreeMap<String, String>,
    defaults: Defaults,
    /// Held while the file is read or written, so that a watcher never takes an own write for a foreign one.
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// The last one that the host was given.
    delivered: Arc<Config>,
    /// The last valid one that was on disk.
    latest: Arc<Config>,
    /// The last usable text; none: not looked at yet, or no file.
    text: Option<String>,
    /// What was last said about a file that cannot be used.
    complaint: Option<String>,
    /// Keys at the top of the last usable text.
    keys: Vec<String>,
}

impl Known {
    fn accept(&mut self, text: String, config: Config) {
        self.latest = Arc::new(config);
        self.keys = load::top_keys(&text);
        self.text = Some(text);
        self.complaint = None;
    }

    /// What the host has not been given yet.
    fn deliver(&mut self) -> Option<Reloaded> {
        let changes = changes(&self.delivered, &self.latest);
        let config = Arc::clone(&self.latest);
        let news = config != self.delivered;
        self.delivered = Arc::clone(&config);
        news.then_some(Reloaded { config, changes })
    }

    /// Says once why the file is not used.
    fn complain(&mut self, path: &Path, reason: &str) {
        if self.complaint.as_deref() != Some(reason) {
            tracing::warn!(path = %path.display(), reason, "going on with the last good configuration");
            self.complaint = Some(reason.to_owned());
        }
    }
}

impl ConfigWatcher {
    /// Watches `path` on behalf of a host that runs with `config`. The file is read once at the beginning, so that
    /// no change is missed between the load and this. Must be called within a runtime.
    ///
    /// `env` and `defaults` are those of the load.
    #[must_use]
    pub fn new(path: PathBuf, env: BTreeMap<String, String>, defaults: Defaults, config: Config) -> Self {
        ConfigWriter::new(path, env, defaults, config).watcher()
    }

    /// For changes by the host itself.
    #[must_use]
    pub fn writer(&self) -> ConfigWriter {
        ConfigWriter { shared: Arc::clone(&self.shared) }
    }

    /// Waits for the next new configuration. Cancel-safe.
    pub async fn changed(&mut self) -> Reloaded {
        loop {
            let Some(due) = self.due else {
                self.events.next().await;
                self.due = Some(Instant::now() + DEBOUNCE);
                continue;
            };
            // Both arms only wait, and the deadline is kept in `self`.
            tokio::select! {
                biased;
                () = self.events.next() => self.due = Some(Instant::now() + DEBOUNCE),
                () = sleep_until(due) => {
                    let shared = Arc::clone(&self.shared);
                    // What it finds stays in `known` if this future is dropped meanwhile, and `due` is still set.
                    let _panicked = spawn_blocking(move || shared.look()).await;
                    self.due = None;
                    if let Some(reloaded) = self.shared.known().deliver() {
                        return reloaded;
                    }
                }
            }
        }
    }
}

impl ConfigWriter {
    /// Of a host that runs with `config`.
    pub(crate) fn new(path: PathBuf, env: BTreeMap<String, String>, defaults: Defaults, config: Config) -> Self {
        let delivered = Arc::new(config);
        let known = Known { latest: Arc::clone(&delivered), delivered, text: None, complaint: None, keys: Vec::new() };
        Self { shared: Arc::new(Shared { path, env, defaults, known: Mutex::new(known) }) }
    }

    /// Watches the file from now on. Must be called within a runtime.
    pub(crate) fn watcher(&self) -> ConfigWatcher {
        let (shared, events) = (Arc::clone(&self.shared), Events::of(&self.shared.path));
        ConfigWatcher { shared, events, due: Some(Instant::now()) }
    }

    /// Looks at the file now; what is new about it is answered. Waits for the disk.
    pub(crate) fn look(&self) -> Option<Reloaded> {
        self.shared.look();
        self.shared.known().deliver()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Reads the file now, and keeps what is new about it for whoever waits for that. Waits for the disk.
    pub(crate) fn read(&self) {
        self.shared.look();
    }

    /// Whether the file is there and what it says is used.
    pub(crate) fn is_used(&self) -> bool {
        let known = self.shared.known();
        known.text.is_some() && known.complaint.is_none()
    }

    /// Keys at the top of the file as it was last usable, in its order.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.shared.known().keys.clone()
    }

    /// Why the file that is there just now is not used.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        self.shared.known().complaint.clone()
    }

    /// Makes all of `edits` or none. The answer is the configuration that is now on disk; `None`: there was nothing to
    /// change. Memory should follow only after this.
    ///
    /// # Errors
    /// [`EditError`].
    pub async fn update(&self, edits: Vec<Edit>) -> Result<Option<Reloaded>, EditError> {
        let shared = Arc::clone(&self.shared);
        let path = shared.path.clone();
        spawn_blocking(move || shared.update(&edits))
            .await
            .unwrap_or_else(|panic| Err(EditError::Write { path, source: std::io::Error::other(panic.to_string()) }))
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        // What is in there is replaced field by field and right at any moment.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, edits: &[Edit]) -> Result<Option<Reloaded>, EditError> {
        let mut known = self.known();
        self.check_complete(&known)?;
        let Some(text) = ConfigFile::update(&self.path, &self.env, edits)? else { return Ok(None) };
        let loaded = load::parse(&self.path, &text, &self.env, &self.defaults)
            .map_err(|source| EditError::Unreadable { path: self.path.clone(), source })?;
        known.accept(text, loaded.config);
        Ok(known.deliver())
    }

    /// A file that had content and has none just now is being written by somebody else: a change of it now would be
    /// all that is left of it.
    fn check_complete(&self, known: &Known) -> Result<(), EditError> {
        if known.text.as_deref().is_none_or(load::blank) {
            return Ok(());
        }
        let path = self.path.clone();
        match load::read(&path) {
            Err(source) => Err(EditError::Unreadable { path, source }),
            Ok(Some((text, _access))) if !load::blank(&text) => Ok(()),
            Ok(_) => Err(EditError::ChangedMeanwhile { path }),
        }
    }

    /// Reads the file and remembers what is new about it.
    fn look(&self) {
        let mut known = self.known();
        let (text, access) = match load::read(&self.path) {
            Ok(Some(read)) => read,
            // A host that runs with defaults has no file to miss.
            Ok(None) if known.text.is_none() => return,
            Ok(None) => return known.complain(&self.path, "the configuration is gone"),
            Err(error) => return known.complain(&self.path, &error_chain(&error)),
        };
        if known.text.as_deref() == Some(text.as_str()) {
            known.complaint = None;
            return;
        }
        match load::parse(&self.path, &text, &self.env, &self.defaults) {
            // Somebody who wants no project writes an empty list; this is a write that is not complete.
            Ok(loaded) if load::blank(&text) && loaded.config != *known.latest => {
                known.complain(&self.path, "the configuration is empty");
            }
            Ok(loaded) => {
                for warning in loaded.warnings.iter().chain(&load::exposed(&self.path, access, &loaded.config)) {
                    tracing::warn!(path = %self.path.display(), key = warning.key, hint = warning.hint, "{}", warning.message);
                }
                known.accept(text, loaded.config);
            }
            Err(error) => known.complain(&self.path, &error_chain(&error)),
        }
    }
}

#[cfg(test)]
#[path = "watch/tests.rs"]
mod tests;
