//! The files that say whom the host works for, and that they change.

use super::connector::unlinked;
use super::{OrgName, Orgs};
use crate::config::{Config, ConfigWriter, Defaults, NameWatcher, without_overrides};
use crate::host::Host;
use crate::supervisor::{Incidents, keep_running};
use rensei_proto::control::Organization;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::{AbortHandle, JoinSet};

/// Organisations beside the main one that are worked for.
const MAX_ORGS: usize = 64;
/// Time until the directory is looked at again when that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// What is in trouble then.
const PART: &str = "organizations";
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
    ///
    /// # Errors
    /// When it is not known which files there are; all stays as it is then.
    pub(crate) fn take_in(&self, orgs: &Orgs) -> io::Result<()> {
        let known = orgs.further();
        let mut names: Vec<_> = self.names.names()?.into_iter().map(|name| (OrgName::parse(&name), name)).collect();
        // Whoever comes new is the one too many.
        names.sort_by_key(|(parsed, _)| !parsed.as_ref().is_some_and(|parsed| known.contains(parsed)));
        let (mut present, mut unusable) = (BTreeSet::new(), BTreeMap::new());
        for (parsed, name) in names {
            match parsed {
                None => drop(unusable.insert(name, NO_NAME.to_owned())),
                Some(_) if present.len() == MAX_ORGS => {
                    unusable.insert(name, format!("there are more than {MAX_ORGS} organisations"));
                }
                Some(parsed) => drop(present.insert(parsed)),
            }
        }
        self.complain(unusable);
        for gone in known.iter().filter(|name| !present.contains(name)) {
            orgs.leave(gone);
        }
        for new in present.difference(&known) {
            self.begin(orgs, new);
        }
        Ok(())
    }

    /// The same, but says in `incidents` what is wrong. True: it is done.
    fn taken_in(&self, orgs: &Orgs, incidents: &Incidents) -> bool {
        let taken = self.take_in(orgs);
        match &taken {
            Ok(()) => incidents.no_trouble(PART),
            Err(error) => incidents.trouble(PART, &format!("files of organisations cannot be looked for: {error}")),
        }
        taken.is_ok()
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
        let taken =
            tokio::task::spawn_blocking(move || looking.files.taken_in(&looking.orgs, &looking.incidents)).await;
        followers.follow(&host);
        // Both only wait.
        tokio::select! {
            () = listening.changed() => {}
            () = tokio::time::sleep(RETRY_PAUSE), if !taken.unwrap_or_default() => {}
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::Daemon;
    use std::fs;

    /// A host whose configuration is in the directory, with organisations of these names.
    fn host(dir: &Path, orgs: &[&str]) -> Arc<Host> {
        let _there_already = fs::create_dir(dir);
        for org in orgs {
            write(dir, org);
        }
        let daemon = Daemon::builder(dir.with_file_name("state")).config_path(dir.join("daemon.yaml")).build().unwrap();
        daemon.with_control_url("http://127.0.0.1:1").handle().host
    }

    fn write(dir: &Path, org: &str) {
        fs::write(dir.join(format!("daemon-{org}.yaml")), "projects: []\n").unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_read_is_no_reason_for_anybody_to_leave() {
        let place = tempfile::tempdir().unwrap();
        let (dir, aside) = (place.path().join("config"), place.path().join("aside"));
        let host = host(&dir, &["a", "b"]);
        fs::rename(&dir, &aside).unwrap();
        fs::write(&dir, "no directory").unwrap();
        assert!(!host.files.taken_in(&host.orgs, &host.incidents));
        assert_eq!(host.orgs.further().len(), 2);
        assert!(host.incidents.last().unwrap().contains("cannot be looked for"));
        fs::remove_file(&dir).unwrap();
        fs::rename(&aside, &dir).unwrap();
        fs::remove_file(dir.join("daemon-a.yaml")).unwrap();
        assert!(host.files.taken_in(&host.orgs, &host.incidents));
        assert_eq!((host.orgs.further().len(), host.incidents.last()), (1, None));
    }

    #[test]
    fn one_too_many_is_the_one_that_came_last() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("config");
        let names: Vec<_> = (0..MAX_ORGS).map(|nth| format!("m{nth}")).collect();
        let host = host(&dir, &names.iter().map(String::as_str).collect::<Vec<_>>());
        let before = host.orgs.further();
        assert_eq!(before.len(), MAX_ORGS);
        write(&dir, "a");
        host.files.take_in(&host.orgs).unwrap();
        assert_eq!(host.orgs.further(), before);
        assert_eq!(host.files.unusable()[0].name, "a");
    }
}
