//! The files that say whom the host works for, and that they change.

use super::{OrgName, Orgs};
use crate::config::{Config, ConfigWriter, Defaults, NameWatcher, without_overrides};
use crate::host::Host;
use crate::supervisor::keep_running;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::{AbortHandle, JoinSet};

/// Organisations beside the main one that are worked for.
const MAX_ORGS: usize = 64;

/// Files `daemon-<org>.yaml` beside `daemon.yaml`, and how they are read.
#[derive(Debug)]
pub(crate) struct OrgFiles {
    names: NameWatcher,
    environment: BTreeMap<String, String>,
    defaults: Defaults,
    /// What was said about names that cannot be used.
    complaints: Mutex<BTreeSet<String>>,
}

impl OrgFiles {
    /// Beside the file `main`, which is read with `environment` and `defaults`.
    pub(crate) fn beside(main: &Path, environment: &BTreeMap<String, String>, defaults: &Defaults) -> Self {
        let environment = without_overrides(environment);
        let (names, defaults) = (NameWatcher::beside(main), defaults.clone());
        Self { names, environment, defaults, complaints: Mutex::default() }
    }

    /// Brings `orgs` in line with the files that are there. Waits for the disk.
    pub(crate) fn take_in(&self, orgs: &Orgs) {
        let present: BTreeSet<_> = self.names.names().into_iter().filter_map(|name| self.parse(&name)).collect();
        if present.len() > MAX_ORGS {
            self.complain(format!("there are more than {MAX_ORGS} organisations; the last ones are left out"));
        }
        let present: BTreeSet<_> = present.into_iter().take(MAX_ORGS).collect();
        let known = orgs.further();
        for gone in known.iter().filter(|name| !present.contains(name)) {
            orgs.leave(gone);
        }
        for new in present.difference(&known) {
            self.begin(orgs, new);
        }
    }

    fn parse(&self, name: &str) -> Option<OrgName> {
        let parsed = OrgName::parse(name);
        if parsed.is_none() {
            let path = self.names.path(name);
            self.complain(format!("{} names no organisation: letters, digits, `-`, `_`, `.`", path.display()));
        }
        parsed
    }

    /// Says it once.
    fn complain(&self, text: String) {
        if !self.complaints.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone()) {
            return;
        }
        tracing::warn!("{text}");
    }

    /// One that cannot be read serves nothing until it can.
    fn begin(&self, orgs: &Orgs, name: &OrgName) {
        let path = self.names.path(name.slug().unwrap_or_default());
        let file = ConfigWriter::new(path, self.environment.clone(), self.defaults.clone(), Config::default());
        let config = file.look().map(|reloaded| reloaded.config).unwrap_or_default();
        orgs.apply(name, &file, &config);
    }
}

/// Takes in what somebody else writes into the file of an organisation, adds or removes. Ends when dropped.
pub(crate) async fn follow(host: Arc<Host>) {
    let mut listening = host.files.names.listen();
    let mut followers = Followers::default();
    loop {
        let looking = Arc::clone(&host);
        // What it did is in force if this future is dropped meanwhile, and the next one looks again.
        let _panicked = tokio::task::spawn_blocking(move || looking.files.take_in(&looking.orgs)).await;
        followers.follow(&host);
        listening.changed().await;
    }
}

/// One task for each file.
#[derive(Debug, Default)]
struct Followers {
    tasks: JoinSet<()>,
    of: BTreeMap<OrgName, AbortHandle>,
}

impl Followers {
    fn follow(&mut self, host: &Arc<Host>) {
        let files: BTreeMap<_, _> = host.orgs.files().into_iter().collect();
        self.of.retain(|name, task| {
            let stays = files.contains_key(name);
            if !stays {
                task.abort();
            }
            stays
        });
        while self.tasks.try_join_next().is_some() {}
        for (name, file) in files {
            self.of.entry(name.clone()).or_insert_with(|| {
                let host = Arc::clone(host);
                let incidents = host.incidents.clone();
                self.tasks.spawn(keep_running(incidents, "configuration", move || {
                    reload_on_change(Arc::clone(&host), name.clone(), file.clone())
                }))
            });
        }
    }
}

async fn reload_on_change(host: Arc<Host>, name: OrgName, file: ConfigWriter) {
    let mut watcher = file.watcher();
    loop {
        host.reload(&name, &file, &watcher.changed().await);
    }
}
