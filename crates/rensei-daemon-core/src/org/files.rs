//! The files that say whom the host works for, and that they change.

use super::connector::unlinked;
use super::{OrgName, Orgs};
use crate::config::{Config, ConfigWriter, Defaults, NameWatcher, without_overrides};
use crate::host::Host;
use crate::supervisor::keep_running;
use rensei_proto::control::Organization;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::{AbortHandle, JoinSet};

/// Organisations beside the main one that are worked for.
const MAX_ORGS: usize = 64;
/// What is wrong with a name.
const NO_NAME: &str = "its name is none of an organisation: letters, digits, `-`, `_`, `.`, at most 64";

/// Files `daemon-<org>.yaml` beside `daemon.yaml`, and how they are read.
#[derive(Debug)]
pub(crate) struct OrgFiles {
    names: NameWatcher,
    environment: BTreeMap<String, String>,
    defaults: Defaults,
    /// Files that cannot be used for what they are called, and why.
    unusable: Mutex<BTreeMap<String, String>>,
}

impl OrgFiles {
    /// Beside the file `main`, which is read with `environment` and `defaults`.
    pub(crate) fn beside(main: &Path, environment: &BTreeMap<String, String>, defaults: &Defaults) -> Self {
        let environment = without_overrides(environment);
        let (names, defaults) = (NameWatcher::beside(main), defaults.clone());
        Self { names, environment, defaults, unusable: Mutex::default() }
    }

    /// Brings `orgs` in line with the files that are there. Waits for the disk.
    pub(crate) fn take_in(&self, orgs: &Orgs) {
        let (mut present, mut unusable) = (BTreeSet::new(), BTreeMap::new());
        for name in self.names.names() {
            match OrgName::parse(&name) {
                None => drop(unusable.insert(name, NO_NAME.to_owned())),
                Some(_) if present.len() == MAX_ORGS => {
                    unusable.insert(name, format!("there are more than {MAX_ORGS} organisations"));
                }
                Some(parsed) => drop(present.insert(parsed)),
            }
        }
        self.complain(unusable);
        let known = orgs.further();
        for gone in known.iter().filter(|name| !present.contains(name)) {
            orgs.leave(gone);
        }
        for new in present.difference(&known) {
            self.begin(orgs, new);
        }
    }

    /// Says it once for each file.
    fn complain(&self, unusable: BTreeMap<String, String>) {
        let mut known = self.unusable.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, problem) in unusable.iter().filter(|(name, _)| !known.contains_key(*name)) {
            tracing::warn!(path = %self.names.path(name).display(), "no organisation: {problem}");
        }
        *known = unusable;
    }

    /// Files that are not used at all, as people see them.
    pub(crate) fn unusable(&self) -> Vec<Organization> {
        let unusable = self.unusable.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = |(name, problem): (&String, &String)| {
            let file = self.names.path(name).display().to_string();
            Organization {
                name: name.clone(),
                config_error: Some(format!("{file}: {problem}")),
                file,
                projects_allowed: 0,
                active_sessions: 0,
                leaving: false,
                ignored_keys: Vec::new(),
                registration: unlinked(None, None),
            }
        };
        unusable.iter().take(MAX_ORGS).map(shown).collect()
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
