//! All organisations of the host.

use super::connector::normal;
use super::{Connector, Org, OrgName};
use crate::capabilities::MachineCapabilities;
use crate::config::{Config, ConfigWriter};
use rensei_platform_client::ClientError;
use rensei_proto::{Secret, error_chain};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::watch;

/// Those that the host works for, and those that still have sessions here.
#[derive(Debug)]
pub(crate) struct Orgs {
    connector: Connector,
    /// The first one is the main one that is in force.
    list: watch::Sender<Vec<Arc<Org>>>,
}

/// Wakes when an organisation comes or goes, or it stands otherwise with its registration.
#[derive(Debug)]
pub struct RegistrationChanges {
    orgs: watch::Receiver<Vec<Arc<Org>>>,
    links: watch::Receiver<()>,
}

impl RegistrationChanges {
    /// Waits for a change since the last one that was waited for. Cancel-safe.
    pub async fn changed(&mut self) {
        // Both only wait.
        tokio::select! {
            _sender_is_the_host = self.links.changed() => {}
            _sender_is_the_host = self.orgs.changed() => {}
        }
    }
}

impl Orgs {
    /// With the main organisation, whose file says `config`.
    ///
    /// # Errors
    /// [`ClientError`] for a control plane that cannot be one.
    pub(crate) fn new(connector: Connector, file: &ConfigWriter, config: &Config) -> Result<Self, ClientError> {
        let main = connector.connect(&OrgName::MAIN, file, config)?;
        Ok(Self { connector, list: watch::Sender::new(vec![Arc::new(main)]) })
    }

    /// What the control planes are told that this machine can run.
    pub(crate) const fn capabilities(&self) -> &MachineCapabilities {
        &self.connector.capabilities
    }

    /// The main one.
    pub(crate) fn main(&self) -> Arc<Org> {
        Arc::clone(&self.list.borrow()[0])
    }

    /// The main one first.
    pub(crate) fn all(&self) -> Vec<Arc<Org>> {
        self.list.borrow().clone()
    }

    /// All control planes should hear of the host at once.
    pub(crate) fn beat(&self) {
        self.list.borrow().iter().for_each(|org| org.beat.notify_one());
    }

    /// Files of those that are worked for.
    pub(super) fn files(&self) -> Vec<(OrgName, ConfigWriter)> {
        let list = self.list.borrow();
        list.iter().filter(|org| !org.is_leaving()).map(|org| (org.name.clone(), org.file.clone())).collect()
    }

    /// Those beside the main one that are worked for.
    pub(super) fn further(&self) -> BTreeSet<OrgName> {
        self.files().into_iter().map(|(name, _file)| name).filter(|name| *name != OrgName::MAIN).collect()
    }

    /// Whether there are others who ask for work.
    pub(crate) fn are_many(&self) -> bool {
        self.list.borrow().iter().filter(|org| org.link().is_some() && !org.is_leaving()).nth(1).is_some()
    }

    /// Another one that is the same worker at the same control plane. Only one of them may speak as that worker: what it
    /// says of its sessions is taken for all of them. Whoever leaves speaks first, then the main one.
    pub(crate) fn twin_of(&self, org: &Org) -> Option<Arc<Org>> {
        let mine = org.worker()?;
        let list = self.list.borrow();
        let mut same = list.iter().filter(|other| other.worker().is_some_and(|other| other == mine));
        let first = same.clone().find(|other| other.is_leaving()).or_else(|| same.next())?;
        (!std::ptr::eq(Arc::as_ptr(first), org)).then(|| Arc::clone(first))
    }

    /// Wakes when one comes or goes.
    pub(crate) fn changes(&self) -> watch::Receiver<Vec<Arc<Org>>> {
        self.list.subscribe()
    }

    /// Wakes also when it stands otherwise with the registration of one.
    pub(crate) fn registration_changes(&self) -> RegistrationChanges {
        RegistrationChanges { orgs: self.changes(), links: self.connector.changes.subscribe() }
    }

    /// What nobody but the host may have.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        self.all().iter().filter_map(|org| org.link().map(|link| link.registration_token())).collect()
    }

    /// Takes in what `file` says by now.
    pub(crate) fn apply(&self, name: &OrgName, file: &ConfigWriter, config: &Config) {
        self.list.send_if_modified(|list| self.apply_to(list, name, file, config));
    }

    /// True when the list is another one then.
    fn apply_to(&self, list: &mut Vec<Arc<Org>>, name: &OrgName, file: &ConfigWriter, config: &Config) -> bool {
        let in_force = list.iter().position(|org| org.name == *name && !org.is_leaving());
        let target = self.connector.target(config);
        let same = target.and_then(|target| list.iter().position(|org| org.is_at(name, &target.url)));
        match (same, in_force) {
            (Some(same), Some(in_force)) if same == in_force => {
                list[same].update(config);
                false
            }
            // What was given up comes back, with its identity and what still runs.
            (Some(same), _) => {
                let org = list.remove(same);
                org.update(config);
                org.set_leaving(false);
                self.put(list, in_force.map(|at| if same < at { at - 1 } else { at }), org);
                true
            }
            (None, _) => match self.connector.connect(name, file, config) {
                Ok(org) => {
                    self.put(list, in_force, Arc::new(org));
                    true
                }
                Err(error) => {
                    let problem = error_chain(&error);
                    tracing::error!(org = %name, problem, "the control plane cannot be used");
                    match in_force {
                        // What was said before holds.
                        Some(at) => list[at].set_trouble(Some(problem)),
                        None => list.push(Arc::new(Connector::unconnected(name, file, config, problem))),
                    }
                    in_force.is_none()
                }
            },
        }
    }

    /// Puts `org` into force, in the place of the one that was.
    fn put(&self, list: &mut Vec<Arc<Org>>, in_force: Option<usize>, org: Arc<Org>) {
        tracing::info!(event = "organization", org = %org.name, url = org.orchestrator_url, "working for an organisation");
        match in_force {
            Some(at) => {
                let old = std::mem::replace(&mut list[at], org);
                retire(list, old);
            }
            None => list.push(org),
        }
    }

    /// The organisation is no longer worked for. What runs goes on and is reported.
    pub(crate) fn leave(&self, name: &OrgName) {
        self.list.send_if_modified(|list| {
            let in_force = list.iter().position(|org| org.name == *name && !org.is_leaving());
            let Some(at) = in_force.filter(|_| *name != OrgName::MAIN) else { return false };
            tracing::info!(event = "organization", org = %name, "an organisation is no longer worked for");
            let old = list.remove(at);
            retire(list, old);
            true
        });
    }

    /// Lets go of one that is leaving. False when it is in force again.
    pub(super) fn forget(&self, org: &Arc<Org>) -> bool {
        self.list.send_if_modified(|list| {
            let leaving = org.is_leaving();
            list.retain(|known| !leaving || !Arc::ptr_eq(known, org));
            leaving
        })
    }

    /// Whose session it is that a record of an earlier daemon tells of: the organisation of that name, as long as it is
    /// at the same control plane. What is reported, and with whose credentials, depends on it.
    pub(crate) fn of_record(&self, name: &OrgName, control_plane: Option<&str>) -> Arc<Org> {
        let fits = |org: &Arc<Org>| match control_plane {
            None => org.name == *name,
            Some(url) => org.is_at(name, url),
        };
        if let Some(known) = self.list.borrow().iter().find(|org| fits(org)) {
            return Arc::clone(known);
        }
        let file = self.main().file.clone();
        let org = Arc::new(self.connector.departed(name, &file, control_plane.unwrap_or_default()));
        org.set_leaving(true);
        if org.link().is_some() {
            self.list.send_modify(|list| list.push(Arc::clone(&org)));
        }
        org
    }
}

/// Keeps one that is not in force any more for as long as something can be said in its name.
fn retire(list: &mut Vec<Arc<Org>>, old: Arc<Org>) {
    old.set_leaving(true);
    if old.link().is_some() {
        list.push(old);
    }
}

impl Org {
    /// Whether it is the organisation `name` at the control plane `url`.
    fn is_at(&self, name: &OrgName, url: &str) -> bool {
        self.name == *name && self.link().is_some_and(|link| link.url == normal(url))
    }

    /// Where it is known as what.
    fn worker(&self) -> Option<(&str, String)> {
        let link = self.link()?;
        Some((&link.url, link.cell.current()?.worker_id.clone()))
    }

    /// Serves what `config` says from now on.
    fn update(&self, config: &Config) {
        self.set_trouble(None);
        if *self.allowlist.projects() != *config.projects {
            tracing::info!(event = "projects", org = %self.name, count = config.projects.len(), "projects changed");
            self.allowlist.replace(config.projects.clone());
        }
        let token = config.orchestrator.as_ref().and_then(|orchestrator| orchestrator.auth_token.clone());
        if let (Some(link), Some(token)) = (self.link(), token) {
            link.replace_registration_token(token);
        }
        self.beat.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Defaults;
    use crate::serving::Serving;
    use rensei_proto::control::RegistrationState;
    use rensei_proto::platform::RegisterRequest;
    use std::collections::BTreeMap;
    use std::path::Path;

    const TOKEN: &str = "rsp_live_x";

    /// What a file with this control plane and token says.
    fn written(dir: &Path, name: &OrgName, url: &str, token: &str) -> (ConfigWriter, Config) {
        let path = dir.join(name.file("yaml"));
        let text =
            format!("orchestrator: {{url: '{url}', authToken: '{token}'}}\nprojects:\n- {{id: p, repository: /p}}\n");
        std::fs::write(&path, text).unwrap();
        let defaults = Defaults { hostname: "h".to_owned(), cpus: 1 };
        let file = ConfigWriter::new(path, BTreeMap::new(), defaults, Config::default());
        let config = file.look().unwrap().config;
        (file, Config::clone(&config))
    }

    fn connector(dir: &Path) -> Connector {
        Connector {
            machine: RegisterRequest::default(),
            capabilities: MachineCapabilities::default(),
            serving: Arc::new(Serving::new(1)),
            jwt_path: dir.join("daemon.jwt"),
            client: rensei_platform_client::ClientOptions::default(),
            off: false,
            changes: watch::Sender::new(()),
            clock: Arc::new(crate::clock::SystemClock),
        }
    }

    fn orgs(dir: &Path) -> Orgs {
        let (file, config) = written(dir, &OrgName::MAIN, "http://main", TOKEN);
        Orgs::new(connector(dir), &file, &config).unwrap()
    }

    /// Name, control plane and whether it is leaving.
    fn listed(orgs: &Orgs) -> Vec<(String, String, bool)> {
        let shown = |org: &Arc<Org>| (org.name.to_string(), org.orchestrator_url.clone(), org.is_leaving());
        orgs.all().iter().map(shown).collect()
    }

    fn row(name: &str, url: &str, leaving: bool) -> (String, String, bool) {
        (name.to_owned(), url.to_owned(), leaving)
    }

    #[test]
    fn organisations_come_move_go_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let (orgs, partner) = (orgs(dir.path()), OrgName::parse("p").unwrap());
        let apply = |name: &OrgName, url: &str, token: &str| {
            let (file, config) = written(dir.path(), name, url, token);
            orgs.apply(name, &file, &config);
        };
        let main = row("daemon.yaml", "http://main", false);
        apply(&partner, "http://a", TOKEN);
        assert_eq!(listed(&orgs), [main.clone(), row("daemon-p.yaml", "http://a", false)]);
        let first = Arc::clone(&orgs.all()[1]);
        // Another token, or another spelling of the control plane, is the same organisation.
        apply(&partner, "http://a/", "rsk_live_y");
        assert!(Arc::ptr_eq(&first, &orgs.all()[1]));
        assert_eq!(first.link().unwrap().registration_token().expose(), "rsk_live_y");
        // Another control plane is another one; the way back revives the first.
        apply(&partner, "http://b", TOKEN);
        let moved = [main.clone(), row("daemon-p.yaml", "http://b", false), row("daemon-p.yaml", "http://a", true)];
        assert_eq!(listed(&orgs), moved);
        assert!(!orgs.forget(&orgs.all()[1]), "one in force stays");
        apply(&partner, "http://a", TOKEN);
        assert!(Arc::ptr_eq(&first, &orgs.all()[1]) && !first.is_leaving());
        assert!(orgs.forget(&orgs.all()[2]));
        // Without a usable token there is nobody to talk to, and nothing to keep after it is gone.
        apply(&partner, "http://a", "");
        assert!(orgs.all()[1].link().is_none() && first.is_leaving());
        orgs.leave(&partner);
        assert_eq!(listed(&orgs), [main, row("daemon-p.yaml", "http://a", true)]);
        // The main one cannot go, only move.
        orgs.leave(&OrgName::MAIN);
        apply(&OrgName::MAIN, "http://other", TOKEN);
        assert_eq!(listed(&orgs)[0], row("daemon.yaml", "http://other", false));
        assert_eq!(listed(&orgs)[2], row("daemon.yaml", "http://main", true));
    }

    #[test]
    fn a_host_that_is_not_to_register_has_no_bad_token() {
        let dir = tempfile::tempdir().unwrap();
        let (file, config) = written(dir.path(), &OrgName::MAIN, "http://main", TOKEN);
        let orgs = Orgs::new(Connector { off: true, ..connector(dir.path()) }, &file, &config).unwrap();
        let shown = orgs.all()[0].shown(0).registration;
        assert_eq!((shown.state, shown.url.as_str()), (RegistrationState::Local, "http://main"));
        assert!(shown.last_error.unwrap().contains("switched off"));
    }

    #[test]
    fn a_control_plane_that_cannot_be_one_is_shown_and_what_was_said_before_holds() {
        let dir = tempfile::tempdir().unwrap();
        let (orgs, partner) = (orgs(dir.path()), OrgName::parse("p").unwrap());
        let (file, mut config) = written(dir.path(), &partner, "http://a", TOKEN);
        let good = config.clone();
        config.orchestrator.as_mut().unwrap().url = "http://[".to_owned();
        orgs.apply(&partner, &file, &config);
        let shown = orgs.all()[1].shown(0);
        assert_eq!((shown.registration.state, shown.projects_allowed), (RegistrationState::Refused, 1));
        assert!(shown.registration.last_error.unwrap().contains("http://["), "it is named");
        orgs.apply(&partner, &file, &good);
        orgs.apply(&partner, &file, &config);
        let shown = orgs.all()[1].shown(0);
        assert_eq!((shown.registration.url.as_str(), orgs.all().len()), ("http://a", 2));
        assert!(shown.config_error.unwrap().contains("http://["));
        orgs.apply(&partner, &file, &good);
        assert_eq!(orgs.all()[1].shown(0).config_error, None);
    }

    #[test]
    fn a_record_belongs_to_its_name_at_its_control_plane() {
        let dir = tempfile::tempdir().unwrap();
        let (orgs, gone) = (orgs(dir.path()), OrgName::parse("gone").unwrap());
        assert!(Arc::ptr_eq(&orgs.of_record(&OrgName::MAIN, Some("http://main")), &orgs.main()));
        assert!(Arc::ptr_eq(&orgs.of_record(&OrgName::MAIN, None), &orgs.main()), "a record of an older daemon");
        let elsewhere = orgs.of_record(&OrgName::MAIN, Some("http://former"));
        assert!(
            elsewhere.link().is_none(),
            "nothing is known of it any more, and the credentials of now are not for it"
        );
        let cached = r#"{"workerId":"w","runtimeToken":"a.b.c","orchestratorUrl":"http://gone"}"#;
        std::fs::write(dir.path().join("daemon-gone.jwt"), cached).unwrap();
        let departed = orgs.of_record(&gone, Some("http://gone"));
        assert!(departed.is_leaving() && departed.link().unwrap().cell.current().unwrap().worker_id == "w");
        assert!(Arc::ptr_eq(&departed, &orgs.of_record(&gone, Some("http://gone"))), "found again");
        assert!(
            orgs.of_record(&gone, Some("http://other")).link().is_none(),
            "the cache is bound to its control plane"
        );
    }
}
