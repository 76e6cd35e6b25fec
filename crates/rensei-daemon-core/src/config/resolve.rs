//! From what is typed to what is meant: defaults, bounds, former spellings, paths.

use super::document::Document;
use super::error::ConfigError;
use super::load::{ConfigWarning, Defaults, Loaded};
use super::model::{
    AutoUpdate, Capacity, Config, Control, GitHints, Kit, Machine, Observability, Orchestrator, Project, Reserved,
    Trust, Workarea,
};
use super::raw::{
    RawAutoUpdate, RawCapacity, RawConfig, RawGit, RawKit, RawMachine, RawObservability, RawOrchestrator, RawProject,
    RawTrust, RawWorkarea, Whole,
};
use super::{defaults, names, paths, token};
use rensei_kits::AllowedIdentity;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Schemes that `orchestrator.url` may have.
const SCHEMES: [&str; 3] = ["http://", "https://", "file://"];
/// Variables with the control plane of a host without a file.
const URL_VARIABLES: [&str; 2] = ["RENSEI_ORCHESTRATOR_URL", "DONMAI_ORCHESTRATOR_URL"];

/// Where the typed values came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) defaults: &'a Defaults,
}

/// Longest age of a workarea, in hours: a year.
const MAX_HOURS: u64 = 24 * 365;
/// Most workareas that are made ahead for one project.
const MAX_PREWARM: u64 = 64;

/// Checks and completes what was typed.
///
/// # Errors
/// [`ConfigError::Invalid`].
pub(super) fn resolve(raw: RawConfig, source: Source<'_>) -> Result<Loaded, ConfigError> {
    let mut resolver = Resolver { source, warnings: Vec::new(), document: OnceCell::new() };
    let config = resolver.config(raw)?;
    Ok(Loaded { config, warnings: resolver.warnings })
}

/// A host without a file serves nothing and asks the environment whom to talk to.
pub(super) fn without_file(env: &BTreeMap<String, String>, machine: &Defaults) -> Config {
    let cpus = u32::try_from(machine.cpus).unwrap_or(u32::MAX);
    let reserved = Reserved { vcpu: (cpus / 4).min(defaults::RESERVED_VCPU), ..Reserved::default() };
    let capacity = Capacity {
        max_concurrent_sessions: (cpus / 2).clamp(1, defaults::MAX_SESSIONS),
        reserved_for_system: reserved,
        ..Capacity::default()
    };
    let orchestrator = token::first_set(env, URL_VARIABLES).map(|url| {
        let token = token::resolve(None, env);
        Orchestrator { url: url.to_owned(), auth_token: token.value, token_source: token.source }
    });
    let machine = Machine { id: names::label(&machine.hostname), region: Some(defaults::REGION.to_owned()) };
    Config { machine, capacity, orchestrator, ..Config::default() }
}

struct Resolver<'a> {
    source: Source<'a>,
    warnings: Vec<ConfigWarning>,
    /// Only read when there is a place to point at.
    document: OnceCell<Option<Document>>,
}

impl Resolver<'_> {
    fn config(&mut self, raw: RawConfig) -> Result<Config, ConfigError> {
        let control = raw.control.unwrap_or_default();
        Ok(Config {
            api_version: given(raw.api_version).unwrap_or_else(|| defaults::API_VERSION.to_owned()),
            kind: given(raw.kind).unwrap_or_else(|| defaults::KIND.to_owned()),
            machine: self.machine(raw.machine.unwrap_or_default()),
            capacity: self.capacity(raw.capacity.unwrap_or_default())?,
            projects: self.projects(raw.projects.unwrap_or_default())?,
            orchestrator: raw.orchestrator.map(|raw| self.orchestrator(&raw)).transpose()?,
            auto_update: self.auto_update(&raw.auto_update.unwrap_or_default())?,
            observability: raw.observability.map(|raw| self.observability(raw)).transpose()?,
            workarea: self.workarea(raw.workarea.unwrap_or_default())?,
            kit: self.kit(raw.kit.unwrap_or_default())?,
            trust: self.trust(raw.trust.unwrap_or_default())?,
            control: Control { auth: control.auth.unwrap_or_default() },
        })
    }

    fn machine(&self, raw: RawMachine) -> Machine {
        let id = given(raw.id).unwrap_or_else(|| names::label(&self.source.defaults.hostname));
        Machine { id, region: given(raw.region) }
    }

    fn capacity(&self, raw: RawCapacity) -> Result<Capacity, ConfigError> {
        let reserved = raw.reserved_for_system.unwrap_or_default();
        let number = |key: &str, value, default| {
            let value = self.number(&format!("capacity.{key}"), value, u32::MAX.into())?;
            Ok(value.map_or(default, |value| u32::try_from(value).unwrap_or(u32::MAX)))
        };
        // No session can live on nothing, and former versions wrote 0 for "not set".
        let positive = |key, value, default| match number(key, value, default)? {
            0 => Ok(default),
            value => Ok(value),
        };
        Ok(Capacity {
            max_concurrent_sessions: number(
                "maxConcurrentSessions",
                raw.max_concurrent_sessions,
                defaults::MAX_SESSIONS,
            )?,
            max_vcpu_per_session: positive("maxVCpuPerSession", raw.max_vcpu_per_session, defaults::VCPU_PER_SESSION)?,
            max_memory_mb_per_session: positive(
                "maxMemoryMbPerSession",
                raw.max_memory_mb_per_session,
                defaults::MEMORY_MB_PER_SESSION,
            )?,
            reserved_for_system: Reserved {
                vcpu: number("reservedForSystem.vCpu", reserved.vcpu, defaults::RESERVED_VCPU)?,
                memory_mb: number("reservedForSystem.memoryMb", reserved.memory_mb, defaults::RESERVED_MEMORY_MB)?,
            },
            pool_max_disk_gb: number("poolMaxDiskGb", raw.pool_max_disk_gb, defaults::POOL_DISK_GB)?,
        })
    }

    fn projects(&mut self, raw: Vec<RawProject>) -> Result<Vec<Project>, ConfigError> {
        let mut projects: Vec<Project> = Vec::with_capacity(raw.len());
        for (index, raw) in raw.into_iter().enumerate() {
            let project = self.project(&format!("projects[{index}]"), raw)?;
            if projects.iter().any(|known| known.id == project.id) {
                let message = format!("there is more than one project `{}`; the first one counts", project.id);
                self.warn(format!("projects[{index}].id"), message, "remove all but one");
            }
            projects.push(project);
        }
        Ok(projects)
    }

    fn project(&mut self, key: &str, raw: RawProject) -> Result<Project, ConfigError> {
        let (id, repository) = (given(raw.id), given(raw.repository));
        let legacy = given(raw.repo_url).filter(|_| repository.is_none());
        if legacy.is_some() {
            let message = format!("`{key}.repoUrl` is a former spelling (project `{}`)", id.as_deref().unwrap_or(""));
            self.warn(format!("{key}.repoUrl"), message, "rename it to `repository`");
        }
        let repository = repository.or(legacy);
        let Some(id) = id else {
            let fix = repository.as_deref().map(|repository| format!("; add `id: {}`", names::project_id(repository)));
            return Err(self.invalid(&format!("{key}.id"), format!("is missing or empty{}", fix.unwrap_or_default())));
        };
        let key_of_repository = format!("{key}.repository");
        let Some(repository) = repository else {
            let problem = "is missing or empty; give a URL, `owner/name` or an absolute path";
            return Err(self.invalid(&key_of_repository, problem));
        };
        for (key, text) in [(&format!("{key}.id"), &id), (&key_of_repository, &repository)] {
            self.harmless(key, text)?;
        }
        let repository = paths::repository(&repository, self.home());
        let repository = repository.map_err(|problem| self.invalid(&key_of_repository, problem))?;
        let git = self.git(&format!("{key}.git"), raw.git.unwrap_or_default())?;
        Ok(Project { id, repository, clone_strategy: raw.clone_strategy.unwrap_or_default(), git })
    }

    /// Both names can come from the control plane, and both end up in command lines and in logs.
    fn harmless(&self, key: &str, text: &str) -> Result<(), ConfigError> {
        match text {
            _ if text.starts_with('-') => Err(self.invalid(key, "must not start with `-`")),
            _ if text.contains(char::is_control) => Err(self.invalid(key, "must not contain control characters")),
            _ => Ok(()),
        }
    }

    fn git(&self, key: &str, raw: RawGit) -> Result<GitHints, ConfigError> {
        let helper = given(raw.credential_helper).map(|text| paths::credential_helper(&text, self.home())).transpose();
        Ok(GitHints {
            credential_helper: helper.map_err(|problem| self.invalid(&format!("{key}.credentialHelper"), problem))?,
            ssh_key: self.path(&format!("{key}.sshKey"), raw.ssh_key)?.map(paths::text_of),
        })
    }

    fn orchestrator(&mut self, raw: &RawOrchestrator) -> Result<Orchestrator, ConfigError> {
        const KEY: &str = "orchestrator.url";
        let url = raw.url.as_deref().map(str::trim).unwrap_or_default();
        let rest = SCHEMES.iter().find_map(|scheme| url.strip_prefix(scheme));
        match rest {
            None => {
                let problem = "must start with http://, https:// or file:// (none: remove `orchestrator`)";
                return Err(self.invalid(KEY, problem));
            }
            Some(rest) if rest.is_empty() || rest.contains(char::is_whitespace) => {
                return Err(self.invalid(KEY, "must name a host, such as `https://platform.example.com`"));
            }
            Some(_) => {}
        }
        let token = token::resolve(raw.auth_token.as_ref(), self.source.env);
        for name in token.unset {
            let message = format!("`orchestrator.authToken` names the variable {name}, which is not set");
            self.warn("orchestrator.authToken".to_owned(), message, "set it where the host is started");
        }
        Ok(Orchestrator { url: url.to_owned(), auth_token: token.value, token_source: token.source })
    }

    fn auto_update(&self, raw: &RawAutoUpdate) -> Result<AutoUpdate, ConfigError> {
        let seconds = self.number("autoUpdate.drainTimeoutSeconds", raw.drain_timeout_seconds, u32::MAX.into())?;
        Ok(AutoUpdate {
            channel: raw.channel.unwrap_or_default(),
            schedule: raw.schedule.unwrap_or_default(),
            drain_timeout_seconds: seconds.filter(|seconds| *seconds > 0).unwrap_or(defaults::DRAIN_SECONDS),
        })
    }

    fn observability(&self, raw: RawObservability) -> Result<Observability, ConfigError> {
        let port = self.number("observability.metricsPort", raw.metrics_port, u16::MAX.into())?;
        Ok(Observability {
            log_format: given(raw.log_format),
            log_path: self.path("observability.logPath", raw.log_path)?,
            metrics_port: port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0),
        })
    }

    fn workarea(&self, raw: RawWorkarea) -> Result<Workarea, ConfigError> {
        let archive_root = self.path("workarea.archiveRoot", raw.archive_root)?;
        let key = "workarea.diffStreamingThreshold";
        let threshold = self.number(key, raw.diff_streaming_threshold, u32::MAX.into())?.filter(|number| *number > 0);
        let whole = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
        let hours = self.number("workarea.maxAgeHours", raw.max_age_hours, MAX_HOURS)?.filter(|hours| *hours > 0);
        let prewarm = self.number("workarea.prewarm", raw.prewarm, MAX_PREWARM)?;
        let mut workarea = Workarea::new(archive_root, whole(threshold).unwrap_or(defaults::DIFF_STREAMING_THRESHOLD));
        let number = |key: &str, value: Option<Whole>, default: u32| {
            let number = self.number(&format!("workarea.{key}"), value, u32::MAX.into())?;
            Ok(whole(number).unwrap_or(default))
        };
        workarea.archive_max_age_days =
            number("archiveMaxAgeDays", raw.archive_max_age_days, defaults::ARCHIVE_AGE_DAYS)?;
        workarea.archive_max_count = number("archiveMaxCount", raw.archive_max_count, defaults::ARCHIVE_COUNT)?;
        workarea.archive_max_disk_gb = number("archiveMaxDiskGb", raw.archive_max_disk_gb, defaults::ARCHIVE_DISK_GB)?;
        workarea.on_failure = raw.on_failure.unwrap_or_default();
        workarea.keep = self.names("workarea.keep", raw.keep)?.unwrap_or_default();
        workarea.clean = self.names("workarea.clean", raw.clean)?.unwrap_or(workarea.clean);
        workarea.max_age_hours = whole(hours).unwrap_or(workarea.max_age_hours);
        workarea.prewarm = whole(prewarm).unwrap_or_default();
        Ok(workarea)
    }

    /// Names of files and directories within a checkout.
    fn names(&self, key: &str, names: Option<Vec<String>>) -> Result<Option<Vec<String>>, ConfigError> {
        let names = names.filter(|names| !names.is_empty());
        let wrong =
            |name: &String| name.trim_matches('/').split('/').any(|part| matches!(part, "" | "." | ".." | ".git"));
        match names.iter().flatten().position(wrong) {
            Some(index) => Err(self.invalid(&format!("{key}[{index}]"), "is not a name within a checkout")),
            None => Ok(names),
        }
    }

    fn kit(&self, raw: RawKit) -> Result<Kit, ConfigError> {
        let typed = raw.scan_paths.unwrap_or_default().into_iter().enumerate();
        let paths = typed.map(|(index, text)| {
            let key = format!("kit.scanPaths[{index}]");
            paths::resolve(&text, self.home()).map_err(|problem| self.invalid(&key, problem))
        });
        Ok(Kit::new(paths.collect::<Result<_, _>>()?))
    }

    fn trust(&self, raw: RawTrust) -> Result<Trust, ConfigError> {
        let issuer_set = raw.issuer_set.unwrap_or_default();
        // An entry that means nothing must not turn into "no filter".
        if let Some(index) = issuer_set.iter().position(|identity| identity.trim().is_empty()) {
            return Err(self.invalid(&format!("trust.issuerSet[{index}]"), "is empty; name an identity or remove it"));
        }
        let identities = issuer_set.iter().enumerate().map(|(index, text)| {
            AllowedIdentity::parse(text)
                .map_err(|error| self.invalid(&format!("trust.issuerSet[{index}]"), error.to_string()))
        });
        let issuer_set = identities.collect::<Result<_, _>>()?;
        Ok(Trust {
            mode: raw.mode.unwrap_or_default(),
            issuer_set,
            actor: given(raw.actor),
            root_path: self.path("trust.rootPath", raw.root_path)?,
        })
    }

    fn path(&self, key: &str, text: Option<String>) -> Result<Option<PathBuf>, ConfigError> {
        let path = given(text).map(|text| paths::resolve(&text, self.home())).transpose();
        path.map_err(|problem| self.invalid(key, problem))
    }

    fn number(&self, key: &str, value: Option<Whole>, max: u64) -> Result<Option<u64>, ConfigError> {
        let Some(Whole(value)) = value else { return Ok(None) };
        let number = u64::try_from(value).ok().filter(|number| *number <= max);
        number.map(Some).ok_or_else(|| self.invalid(key, format!("must be from 0 to {max}, not {value}")))
    }

    fn home(&self) -> Option<&str> {
        self.source.env.get("HOME").map(String::as_str)
    }

    fn warn(&mut self, key: String, message: String, hint: &str) {
        self.warnings.push(ConfigWarning { key, message, hint: hint.to_owned() });
    }

    fn invalid(&self, key: &str, problem: impl Into<String>) -> ConfigError {
        let document = self.document.get_or_init(|| Document::parse(self.source.text).ok());
        ConfigError::Invalid {
            path: self.source.path.to_owned(),
            location: document.as_ref().and_then(|document| document.locate(key)),
            key: key.to_owned(),
            problem: problem.into(),
        }
    }
}

/// A value that says something.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}
