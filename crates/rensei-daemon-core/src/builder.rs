//! Putting a daemon together. Everything that can fail for configuration reasons fails here.

mod error;

pub use error::BuildError;

use crate::admissions::Counted;
use crate::capabilities::MachineCapabilities;
use crate::clock::{Clock, Suspended, SystemClock};
use crate::config::{self, Config, ConfigWriter, Defaults};
use crate::control_token;
use crate::daemon::Daemon;
use crate::events::EventBus;
use crate::handle::ControlAuth;
use crate::hook::{HookError, PreSpawnHook, WorkerEnvironment};
use crate::host::Host;
use crate::lifecycle::Lifecycle;
use crate::org::{Connector, OrgFiles, Orgs, Turns};
use crate::providers::{ProviderRegistry, Providers};
use crate::routing::Routing;
use crate::serving::Serving;
use crate::sessions::{EnvironmentParts, Feed, OutputSink, SessionParts, Sessions, holds, pool_settings};
use crate::state::{StateDir, StateLock};
use crate::supervisor::Incidents;
use crate::tasks::Tasks;
use crate::update::{UpdateHook, Updater, Updates};
use crate::workarea_provider::WorkareaProvider;
use rensei_platform_client::ClientOptions;
use rensei_proto::platform::RegisterRequest;
use rensei_proto::{Secret, SessionSpec};
use rensei_workarea::{Archives, GitEnvironment, WorkareaManager};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Dispatch lane that this daemon serves.
const RUNTIME: &str = "go";

/// Collects what a daemon is made of. Reads no environment of its own: see [`DaemonBuilder::environment`].
#[derive(Debug)]
pub struct DaemonBuilder {
    state_root: PathBuf,
    config_path: Option<PathBuf>,
    jwt_path: Option<PathBuf>,
    environment: BTreeMap<String, String>,
    base_environment: BTreeMap<String, String>,
    worker_command: Vec<OsString>,
    pre_spawn: Option<PreSpawnHook>,
    providers: Providers,
    feed: Feed,
    workareas: Option<Arc<dyn WorkareaProvider>>,
    client: ClientOptions,
    version: String,
    defaults: Defaults,
    clock: Arc<dyn Clock>,
    updater: Option<Updater>,
}

impl DaemonBuilder {
    /// A daemon on the state directory `state_root`.
    #[must_use]
    pub fn new(state_root: PathBuf) -> Self {
        Self {
            state_root,
            config_path: None,
            jwt_path: None,
            environment: BTreeMap::new(),
            base_environment: BTreeMap::new(),
            worker_command: Vec::new(),
            pre_spawn: None,
            providers: Providers::default(),
            feed: Feed::default(),
            workareas: None,
            client: ClientOptions::default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            defaults: Defaults { hostname: String::new(), cpus: 1 },
            clock: Arc::new(SystemClock),
            updater: None,
        }
    }

    /// Configuration file; default `<state>/daemon.yaml`.
    #[must_use]
    pub fn config_path(mut self, path: PathBuf) -> Self {
        self.config_path = Some(path);
        self
    }

    /// Identity cache; default `<state>/daemon.jwt`.
    #[must_use]
    pub fn jwt_path(mut self, path: PathBuf) -> Self {
        self.jwt_path = Some(path);
        self
    }

    /// Snapshot of the process environment: tokens and `${VAR}` of the configuration come from it, and workers and git
    /// inherit it without the daemon's own secrets.
    #[must_use]
    pub fn environment(mut self, environment: BTreeMap<String, String>) -> Self {
        self.environment = environment;
        self
    }

    /// Variables that every worker gets on top of the inherited ones.
    #[must_use]
    pub fn base_environment(mut self, environment: BTreeMap<String, String>) -> Self {
        self.base_environment = environment;
        self
    }

    /// Program and arguments of a worker, such as `rensei agent run`. Without it no session can start.
    #[must_use]
    pub fn worker_command(mut self, command: Vec<OsString>) -> Self {
        self.worker_command = command;
        self
    }

    /// Called for every session after its environment is composed and before its worker starts, on a thread of its
    /// own. What it answers is the worker's environment, but for the variables by which the host finds the worker
    /// again. An error, or taking longer than `limit`, refuses the session.
    #[must_use]
    pub fn pre_spawn_hook<F>(mut self, limit: Duration, hook: F) -> Self
    where
        F: Fn(&SessionSpec, WorkerEnvironment) -> Result<WorkerEnvironment, HookError> + Send + Sync + 'static,
    {
        self.pre_spawn = Some(PreSpawnHook::new(Arc::new(hook), limit));
        self
    }

    /// What the worker can run sessions with, for lists and for the record of decisions. Default: nothing is known.
    #[must_use]
    pub fn provider_registry(mut self, registry: impl ProviderRegistry) -> Self {
        self.providers = Providers::new(Arc::new(registry));
        self
    }

    /// Gets what workers write, line by line, besides the files that it goes to. It is called by a thread of its own, so one
    /// that is slow, hangs or panics costs nobody but itself anything.
    #[must_use]
    pub fn output_sink(mut self, sink: impl OutputSink) -> Self {
        self.feed = Feed::new(sink);
        self
    }

    /// Hands directories to sessions and takes them back. Default: git checkouts below the state directory.
    #[must_use]
    pub fn workarea_provider(mut self, provider: impl WorkareaProvider) -> Self {
        self.workareas = Some(Arc::new(provider));
        self
    }

    /// How control planes are reached; default: with certificates and proxy of the system. Workers are given the address
    /// of the control plane only, and reach it by their own means.
    #[must_use]
    pub fn client_options(mut self, options: ClientOptions) -> Self {
        self.client = options;
        self
    }

    /// Version that the daemon shows; default: that of this crate.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Name and processors of the machine, for defaults.
    #[must_use]
    pub fn machine(mut self, hostname: impl Into<String>, cpus: usize) -> Self {
        self.defaults = Defaults { hostname: hostname.into(), cpus };
        self
    }

    /// Where the host takes the time from; default: the machine.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Replaces the program by newer versions, when somebody asks for it. Each of its steps may take as long as `limit`.
    /// Default: the host says that it cannot.
    #[must_use]
    pub fn update_hook(mut self, limit: Duration, hook: impl UpdateHook) -> Self {
        self.updater = Some(Updater::new(Arc::new(hook), limit));
        self
    }

    /// Reads the configuration and claims the state directory.
    ///
    /// # Errors
    /// [`BuildError`]; nothing is left behind but the state directory.
    pub fn build(self) -> Result<PreparedDaemon, BuildError> {
        let config =
            config::load(&self.configuration(), &self.environment, &self.defaults).map_err(BuildError::Config)?;
        let state = StateDir::open(self.state_root.clone()).map_err(BuildError::State)?;
        let lock = state.lock().map_err(BuildError::State)?;
        let serving = Arc::new(Serving::new(config.max_sessions()));
        let connector = self.connector(&config, &state, &serving)?;
        let (path, environment) = (self.configuration(), self.environment.clone());
        let file = ConfigWriter::new(path, environment, self.defaults.clone(), config.clone());
        file.read();
        let orgs = Arc::new(Orgs::new(connector, &file, &config).map_err(BuildError::Orchestrator)?);
        let files = OrgFiles::beside(file.path(), &self.environment, &self.defaults);
        // Looked at again as soon as the host runs, which then says what is wrong.
        let _tried_again = files.take_in(&orgs);
        let workareas = self.workareas.clone().unwrap_or_else(|| {
            let git = GitEnvironment::new(git_environment(&self.environment, &orgs.secrets()));
            let archives = config.workarea.archive_root(state.root());
            Arc::new(WorkareaManager::archived_in(state.root(), git, &archives, &state.retained()))
        });
        workareas.configure(pool_settings(&config));
        let wants_token = config.control.auth == ControlAuth::Token;
        let control_token = wants_token.then(|| control_token::load_or_mint(state.root())).transpose();
        let control_token = control_token.map_err(BuildError::ControlToken)?;
        Ok(PreparedDaemon { builder: self, config, state, lock, serving, orgs, files, workareas, control_token })
    }

    /// What all organisations of the host have in common.
    fn connector(&self, config: &Config, state: &StateDir, serving: &Arc<Serving>) -> Result<Connector, BuildError> {
        Ok(Connector {
            machine: RegisterRequest {
                machine_id: state.machine_uuid().map_err(BuildError::State)?,
                hostname: config.machine.id.clone(),
                version: self.version.clone(),
                runtime: RUNTIME.to_owned(),
                ..RegisterRequest::default()
            },
            capabilities: MachineCapabilities::new(self.environment.clone()),
            serving: Arc::clone(serving),
            jwt_path: self.jwt_path.clone().unwrap_or_else(|| state.root().join("daemon.jwt")),
            clock: Arc::clone(&self.clock),
            client: self.client.clone(),
            changes: watch::Sender::new(()),
            off: self.stub_forced(),
        })
    }

    fn configuration(&self) -> PathBuf {
        self.config_path.clone().unwrap_or_else(|| self.state_root.join("daemon.yaml"))
    }

    fn stub_forced(&self) -> bool {
        let off = |value: &str| matches!(value.trim().to_ascii_lowercase().as_str(), "" | "0" | "false" | "off" | "no");
        let value = |name: &str| {
            ["RENSEI_", "DONMAI_"].iter().find_map(|prefix| self.environment.get(&format!("{prefix}{name}")))
        };
        value("DAEMON_FORCE_STUB").is_some_and(|value| !off(value))
            || value("DAEMON_REAL_REGISTRATION").is_some_and(|value| !value.trim().is_empty() && off(value))
    }
}

/// Git sees the user's environment, but none of the host's own variables.
fn git_environment(environment: &BTreeMap<String, String>, secrets: &[Secret]) -> BTreeMap<OsString, OsString> {
    let ours = |name: &str| name.starts_with("RENSEI_") || name.starts_with("DONMAI_") || name == "WORKER_API_KEY";
    let theirs = environment.iter().filter(|(name, value)| !ours(name) && !holds(value, secrets));
    theirs.map(|(k, v)| (k.into(), v.into())).collect()
}

/// A daemon that holds its state and lacks only the address of its control API.
#[derive(Debug)]
pub struct PreparedDaemon {
    builder: DaemonBuilder,
    config: Config,
    state: StateDir,
    lock: StateLock,
    serving: Arc<Serving>,
    orgs: Arc<Orgs>,
    files: OrgFiles,
    workareas: Arc<dyn WorkareaProvider>,
    control_token: Option<Secret>,
}

impl PreparedDaemon {
    /// The configuration in force.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Completes the daemon. `control_url` is where its workers reach the control API, such as
    /// `http://127.0.0.1:7734`.
    #[must_use]
    pub fn with_control_url(self, control_url: &str) -> Daemon {
        let Self { builder, config, state, lock, serving, orgs, files, workareas, control_token } = self;
        control_token::leave_address(state.root(), control_url);
        let kits = crate::kits::registry(&config, state.root());
        let (lifecycle, tasks, incidents) = (Lifecycle::new(), Tasks::new(), Incidents::default());
        let routing = Routing::open(state.root().join("routing.json"));
        let archives = Archives::retaining(&config.workarea.archive_root(state.root()), &state.retained());
        let sessions = Sessions::new(SessionParts {
            routing: Arc::clone(&routing),
            providers: builder.providers.clone(),
            feed: builder.feed,
            state,
            workareas,
            archives,
            kits: Arc::clone(&kits),
            workarea_policy: config.workarea.clone(),
            orgs: Arc::clone(&orgs),
            serving: Arc::clone(&serving),
            worker_command: builder.worker_command,
            pre_spawn: builder.pre_spawn,
            events: EventBus::new(),
            environment: EnvironmentParts {
                inherited: builder.environment,
                base: builder.base_environment,
                control_url: control_url.to_owned(),
            },
            lifecycle: lifecycle.clone(),
            tasks: tasks.clone(),
            incidents: incidents.clone(),
        });
        let host = Host {
            config,
            version: builder.version,
            serving,
            started: Instant::now(),
            lifecycle,
            adopted: AtomicBool::new(false),
            sessions,
            routing,
            providers: builder.providers,
            orgs,
            kits,
            files,
            turns: Turns::default(),
            tasks,
            incidents,
            clock: builder.clock,
            suspended: Suspended::new(),
            admissions: Counted::new(),
            control_token,
            updates: Updates::new(builder.updater),
        };
        Daemon::new(Arc::new(host), lock)
    }
}
