//! Files that come and go beside the main one.

use super::events::Events;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};
use tokio::time::sleep;

/// How long a directory must be left alone before it is looked at: a file that is replaced may be away for a moment.
const SETTLE: Duration = Duration::from_millis(200);

/// Notices files `<main>-<name>.yaml` beside `<main>.yaml`.
#[derive(Debug, Clone)]
pub(crate) struct NameWatcher {
    directory: PathBuf,
    prefix: OsString,
}

impl NameWatcher {
    /// Beside the file `main`.
    pub(crate) fn beside(main: &Path) -> Self {
        let directory = match main.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let mut prefix = main.file_stem().unwrap_or_default().to_owned();
        prefix.push("-");
        Self { directory, prefix }
    }

    /// What the files that are there are named: all of them. A directory that is not there has none.
    ///
    /// # Errors
    /// When that cannot be told just now.
    pub(crate) fn names(&self) -> io::Result<BTreeSet<String>> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            entries => entries?,
        };
        let prefix = self.prefix.to_string_lossy();
        let name = |file: OsString| Some(file.to_str()?.strip_prefix(&*prefix)?.strip_suffix(".yaml")?.to_owned());
        entries.filter_map(|entry| entry.map(|entry| name(entry.file_name())).transpose()).collect()
    }

    /// The file of that name.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let mut file = self.prefix.clone();
        file.push(name);
        file.push(".yaml");
        self.directory.join(file)
    }

    /// Starts to listen. Must be called within a runtime.
    pub(crate) fn listen(&self) -> Listening {
        Listening(Events::of_names(&self.directory, &self.prefix))
    }
}

/// A directory that is listened to.
#[derive(Debug)]
pub(crate) struct Listening(Events);

impl Listening {
    /// Waits until files came or went, and were then left alone for a moment. Cancel-safe only in so far as a look at the
    /// names must follow.
    pub(crate) async fn changed(&mut self) {
        self.0.next().await;
        loop {
            // Both only wait, and whichever ends, the names are read after it.
            tokio::select! {
                () = self.0.next() => {}
                () = sleep(SETTLE) => return,
            }
        }
    }
}
