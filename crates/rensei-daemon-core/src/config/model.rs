//! What a checked configuration says: every key has its value, given or default.

use super::defaults;
use crate::handle::ControlAuth;
use rensei_kits::AllowedIdentity;
use rensei_proto::Secret;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The whole file. There is no way to write it back: files are changed through [`ConfigFile`](super::ConfigFile), which
/// edits their text and so cannot store a secret that came from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Version of the schema. Free text, never checked.
    pub api_version: String,
    /// Kind of document. Free text, never checked.
    pub kind: String,
    /// Who this machine is.
    pub machine: Machine,
    /// How much it takes on.
    pub capacity: Capacity,
    /// What it serves.
    pub projects: Vec<Project>,
    /// Whom it serves; absent: local sessions only.
    pub orchestrator: Option<Orchestrator>,
    /// How it is kept up to date.
    pub auto_update: AutoUpdate,
    /// How it can be watched; absent differs from empty.
    pub observability: Option<Observability>,
    /// Archives of workareas.
    pub workarea: Workarea,
    /// Where kits are.
    pub kit: Kit,
    /// Which kits may run.
    pub trust: Trust,
    /// Who may control it.
    pub control: Control,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            api_version: defaults::API_VERSION.to_owned(),
            kind: defaults::KIND.to_owned(),
            machine: Machine::default(),
            capacity: Capacity::default(),
            projects: Vec::new(),
            orchestrator: None,
            auto_update: AutoUpdate::default(),
            observability: None,
            workarea: Workarea::default(),
            kit: Kit::default(),
            trust: Trust::default(),
            control: Control::default(),
        }
    }
}

impl Config {
    /// Sessions that may run at once. An explicit 0 means none.
    #[must_use]
    pub const fn max_sessions(&self) -> usize {
        self.capacity.max_concurrent_sessions as usize
    }
}

/// `machine`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// Human label, sent as the host's name.
    pub id: String,
    /// Hint about where the machine is.
    pub region: Option<String>,
}

/// `capacity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    /// Sessions at once; 0: none.
    pub max_concurrent_sessions: u32,
    /// Processors of one session.
    pub max_vcpu_per_session: u32,
    /// Memory of one session, MiB.
    pub max_memory_mb_per_session: u32,
    /// What sessions leave to the machine.
    pub reserved_for_system: Reserved,
    /// Disk that idle workareas may take, GiB; 0: any.
    pub pool_max_disk_gb: u32,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            max_concurrent_sessions: defaults::MAX_SESSIONS,
            max_vcpu_per_session: defaults::VCPU_PER_SESSION,
            max_memory_mb_per_session: defaults::MEMORY_MB_PER_SESSION,
            reserved_for_system: Reserved::default(),
            pool_max_disk_gb: defaults::POOL_DISK_GB,
        }
    }
}

/// `capacity.reservedForSystem`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// Processors.
    pub vcpu: u32,
    /// Memory, MiB.
    pub memory_mb: u32,
}

impl Default for Reserved {
    fn default() -> Self {
        Self { vcpu: defaults::RESERVED_VCPU, memory_mb: defaults::RESERVED_MEMORY_MB }
    }
}

/// One entry of `projects`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    /// Name that work may use for it.
    pub id: String,
    /// What is cloned and pushed to: a URL, an scp-like address or an absolute path.
    pub repository: String,
    /// How checkouts are made.
    pub clone_strategy: CloneStrategy,
    /// How git authenticates.
    pub git: GitHints,
}

/// `projects[].cloneStrategy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloneStrategy {
    /// Newest commit only.
    #[default]
    #[serde(alias = "")]
    Shallow,
    /// Whole history.
    Full,
    /// Objects borrowed from the mirror.
    ReferenceClone,
}

/// `projects[].git`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitHints {
    /// Value for git's `credential.helper`.
    pub credential_helper: Option<String>,
    /// Private key for ssh remotes, an absolute path.
    pub ssh_key: Option<String>,
}

/// `orchestrator`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orchestrator {
    /// Base URL of the control plane. `file://…` means none.
    pub url: String,
    /// Registration token in force: expanded, or from the environment. Not what the file says.
    pub auth_token: Option<Secret>,
    /// Where that token came from.
    pub token_source: TokenSource,
}

/// Where the registration token came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenSource {
    /// There is none.
    #[default]
    Absent,
    /// It stands in the file in clear.
    File,
    /// The file names variables of the environment (`${NAME}`).
    Variables,
    /// `RENSEI_DAEMON_TOKEN` or `DONMAI_DAEMON_TOKEN`, whatever the file says.
    Environment,
}

/// `autoUpdate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoUpdate {
    /// Which releases.
    pub channel: Channel,
    /// When.
    pub schedule: Schedule,
    /// Seconds that a drain may take.
    pub drain_timeout_seconds: u64,
}

impl Default for AutoUpdate {
    fn default() -> Self {
        Self {
            channel: Channel::default(),
            schedule: Schedule::default(),
            drain_timeout_seconds: defaults::DRAIN_SECONDS,
        }
    }
}

/// `autoUpdate.channel`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// Releases.
    #[default]
    #[serde(alias = "")]
    Stable,
    /// Release candidates.
    Beta,
    /// Every build.
    Main,
}

/// `autoUpdate.schedule`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Once a night.
    #[default]
    #[serde(alias = "")]
    Nightly,
    /// As soon as there is one.
    OnRelease,
    /// When asked.
    Manual,
}

/// `observability`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observability {
    /// Format of the log.
    pub log_format: Option<String>,
    /// File of the log, an absolute path.
    pub log_path: Option<PathBuf>,
    /// Port of the metrics endpoint on the loopback address.
    pub metrics_port: Option<u16>,
}

/// `workarea`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workarea {
    archive_root: Option<PathBuf>,
    /// Entries of a diff above which it is streamed.
    pub diff_streaming_threshold: u32,
    /// Age of the oldest archive that is kept, days; 0: any.
    pub archive_max_age_days: u32,
    /// How many archives are kept; 0: any number.
    pub archive_max_count: u32,
    /// Disk that archives may take, GiB; 0: any.
    pub archive_max_disk_gb: u32,
    /// What becomes of the workarea of a session that did not succeed.
    pub on_failure: OnFailure,
    /// Untracked files and directories that stay for the next session.
    pub keep: Vec<String>,
    /// What goes in spite of that.
    pub clean: Vec<String>,
    /// Age from which a workarea is not handed on.
    pub max_age_hours: u32,
    /// Workareas that are made ahead for each project.
    pub prewarm: u32,
}

/// `workarea.onFailure`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It is kept as an archive.
    #[default]
    #[serde(alias = "")]
    Archive,
    /// It is deleted.
    Destroy,
}

impl Default for Workarea {
    fn default() -> Self {
        Self::new(None, defaults::DIFF_STREAMING_THRESHOLD)
    }
}

impl Workarea {
    pub(super) fn new(archive_root: Option<PathBuf>, diff_streaming_threshold: u32) -> Self {
        Self {
            archive_root,
            diff_streaming_threshold,
            archive_max_age_days: defaults::ARCHIVE_AGE_DAYS,
            archive_max_count: defaults::ARCHIVE_COUNT,
            archive_max_disk_gb: defaults::ARCHIVE_DISK_GB,
            on_failure: OnFailure::default(),
            keep: Vec::new(),
            clean: rensei_workarea::PoolSettings::default().clean,
            max_age_hours: defaults::MAX_AGE_HOURS,
            prewarm: 0,
        }
    }

    /// Where archives are kept; `workareas` below the state root when the file does not say.
    #[must_use]
    pub fn archive_root(&self, state_root: &Path) -> PathBuf {
        self.archive_root.clone().unwrap_or_else(|| state_root.join("workareas"))
    }
}

/// `kit`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kit {
    scan_paths: Vec<PathBuf>,
}

impl Kit {
    pub(super) const fn new(scan_paths: Vec<PathBuf>) -> Self {
        Self { scan_paths }
    }

    /// Directories with kits, in order; `kits` below the state root when the file does not say. Never empty: the first
    /// one also holds the registry's own state.
    #[must_use]
    pub fn scan_paths(&self, state_root: &Path) -> Vec<PathBuf> {
        if self.scan_paths.is_empty() { vec![state_root.join("kits")] } else { self.scan_paths.clone() }
    }
}

/// `trust`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// What a kit must bring.
    pub mode: TrustMode,
    /// Identities that may sign; none: any that the root validates.
    pub issuer_set: Vec<AllowedIdentity>,
    /// Name for the audit log; none: the daemon's uid.
    pub actor: Option<String>,
    /// Trusted root other than the built-in one.
    pub root_path: Option<PathBuf>,
}

/// `trust.mode`.
pub use rensei_proto::control::TrustMode;

/// `control`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Control {
    /// Who may call the control API.
    pub auth: ControlAuth,
}
