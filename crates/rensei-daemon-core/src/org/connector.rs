//! From a configuration to an organisation.

use super::{Connection, Org, OrgName};
use crate::allowlist::Allowlist;
use crate::capabilities::MachineCapabilities;
use crate::clock::Clock;
use crate::config::{Config, ConfigWriter, Orchestrator};
use crate::credentials::CredentialCache;
use crate::lanes::acks::Acks;
use crate::link::{Link, LinkParts, Profile};
use crate::overview::LastBeat;
use crate::serving::Serving;
use rensei_platform_client::{ClientError, ClientOptions, PlatformClient};
use rensei_proto::Secret;
use rensei_proto::control::{Registration, RegistrationState};
use rensei_proto::platform::RegisterRequest;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, watch};

/// Prefixes of tokens that a real control plane minted.
const LIVE_PREFIXES: [&str; 2] = ["rsp_live_", "rsk_live_"];

const SWITCHED_OFF: &str = "registration is switched off by the environment";

/// What is the same for all links of a host.
#[derive(Debug)]
pub(crate) struct Connector {
    /// What every control plane is told of the host, but for what may change or must be looked up.
    pub(crate) machine: RegisterRequest,
    pub(crate) capabilities: MachineCapabilities,
    pub(crate) serving: Arc<Serving>,
    /// Cache of the main organisation's identity. Those of others are beside it.
    pub(crate) jwt_path: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) client: ClientOptions,
    /// Wakes whoever watches how registrations stand.
    pub(crate) changes: watch::Sender<()>,
    /// Registration is switched off by the environment.
    pub(crate) off: bool,
}

impl Connector {
    /// The organisation of `file`, which says `config`.
    ///
    /// # Errors
    /// [`ClientError`] for a URL that cannot be one.
    pub(super) fn connect(&self, name: &OrgName, file: &ConfigWriter, config: &Config) -> Result<Org, ClientError> {
        let allowlist = Arc::new(Allowlist::new(config.projects.clone()));
        let connection = match (remote(config), self.obstacle(config)) {
            (Some(orchestrator), None) => {
                let token = orchestrator.auth_token.clone().unwrap_or_default();
                Connection::Link(Arc::new(self.link(name, &orchestrator.url, token, &allowlist)?))
            }
            (named, problem) => Connection::None(self.without_link(config, named, problem)),
        };
        let url = config.orchestrator.as_ref().map_or("", |orchestrator| orchestrator.url.as_str());
        Ok(Self::org(name, file, url, (allowlist, connection)))
    }

    /// The organisation of `file`, which says `config`, of which the control plane cannot be one.
    pub(super) fn unconnected(name: &OrgName, file: &ConfigWriter, config: &Config, problem: String) -> Org {
        let allowlist = Arc::new(Allowlist::new(config.projects.clone()));
        let connection = Connection::None(unlinked(remote(config), Some(problem)));
        Self::org(name, file, "", (allowlist, connection))
    }

    /// An organisation that is known only from a session of it: what its identity was is in its cache, if that is still
    /// there. A host that is not to register leaves that alone, and the reports to a later one.
    pub(super) fn departed(&self, name: &OrgName, file: &ConfigWriter, url: &str) -> Org {
        let allowlist = Arc::new(Allowlist::default());
        let link = self.link(name, url, Secret::default(), &allowlist);
        let connection = match link {
            Ok(link) if !self.off && !url.is_empty() && link.resume() => Connection::Link(Arc::new(link)),
            _ => Connection::None(unlinked(None, None)),
        };
        Self::org(name, file, url, (allowlist, connection))
    }

    fn org(name: &OrgName, file: &ConfigWriter, url: &str, parts: (Arc<Allowlist>, Connection)) -> Org {
        let (allowlist, connection) = parts;
        if let Connection::None(Registration { last_error: Some(problem), .. }) = &connection {
            tracing::warn!(org = %name, url, problem, "running without a control plane");
        }
        Org {
            name: name.clone(),
            file: file.clone(),
            orchestrator_url: url.to_owned(),
            allowlist,
            connection,
            beat: Notify::new(),
            occupancy: Notify::new(),
            leaving: watch::Sender::new(false),
            last_turn: AtomicU64::new(0),
            acks: Acks::default(),
            last_beat: LastBeat::default(),
            trouble: Mutex::default(),
        }
    }

    fn link(&self, name: &OrgName, url: &str, token: Secret, allowlist: &Arc<Allowlist>) -> Result<Link, ClientError> {
        Ok(Link::new(LinkParts {
            client: PlatformClient::with_options(url, &self.client)?,
            url: normal(url).to_owned(),
            cache: CredentialCache::new(self.cache_path(name), url),
            clock: Arc::clone(&self.clock),
            registration_token: token,
            changes: self.changes.clone(),
            profile: Profile {
                machine: self.machine.clone(),
                capabilities: self.capabilities.clone(),
                allowlist: Arc::clone(allowlist),
                serving: Arc::clone(&self.serving),
            },
        }))
    }

    fn cache_path(&self, name: &OrgName) -> PathBuf {
        match name.slug() {
            None => self.jwt_path.clone(),
            Some(_) => self.jwt_path.with_file_name(name.file("jwt")),
        }
    }

    /// The control plane that `config` can really be connected to.
    pub(super) fn target<'a>(&self, config: &'a Config) -> Option<&'a Orchestrator> {
        remote(config).filter(|_| self.obstacle(config).is_none())
    }

    /// A host that is not to register serves its own machine, and nothing is wrong with its token. It plays a worker, so
    /// that whoever looks at it sees what a control plane would.
    fn without_link(&self, config: &Config, named: Option<&Orchestrator>, problem: Option<String>) -> Registration {
        let stands = unlinked(named, problem);
        if !self.off && !is_directory(config) {
            return stands;
        }
        let worker_id = format!("worker-{}-stub", self.machine.hostname);
        Registration { state: RegistrationState::Local, worker_id, ..stands }
    }

    /// Why nobody registers with the control plane that is configured.
    fn obstacle(&self, config: &Config) -> Option<String> {
        let orchestrator = remote(config)?;
        let token = orchestrator.auth_token.as_ref().map_or("", Secret::expose);
        if self.off {
            return Some(SWITCHED_OFF.to_owned());
        }
        if LIVE_PREFIXES.iter().any(|prefix| token.starts_with(prefix)) {
            return None;
        }
        let unset = token.split_once("${").and_then(|(_, rest)| rest.split_once('}')).map(|(name, _)| name);
        Some(match unset {
            Some(name) => format!("`orchestrator.authToken` names the variable {name}, which is not set"),
            None if token.is_empty() => "`orchestrator.authToken` is missing".to_owned(),
            None => "`orchestrator.authToken` is no registration token (rsp_live_… or rsk_live_…)".to_owned(),
        })
    }
}

/// A control plane that is not a directory.
fn remote(config: &Config) -> Option<&Orchestrator> {
    config.orchestrator.as_ref().filter(|_| !is_directory(config))
}

fn is_directory(config: &Config) -> bool {
    config.orchestrator.as_ref().is_some_and(|orchestrator| orchestrator.url.starts_with("file://"))
}

/// One spelling for each control plane.
pub(super) fn normal(url: &str) -> &str {
    url.trim_end_matches('/')
}

/// How registration stands when there is no link.
pub(super) fn unlinked(named: Option<&Orchestrator>, problem: Option<String>) -> Registration {
    Registration {
        state: if problem.is_some() { RegistrationState::Refused } else { RegistrationState::Local },
        url: named.map(|orchestrator| orchestrator.url.clone()).unwrap_or_default(),
        worker_id: String::new(),
        last_error: problem,
        last_heartbeat_at: None,
        clock_skew_seconds: None,
        suspended: None,
    }
}
