//! What this host can run sessions with.

use rensei_process::find_program;
use rensei_proto::control::Provider;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a look at the file system is good for.
const FRESH: Duration = Duration::from_secs(10);

/// Says what a host can run sessions with. An embedder may bring its own.
///
/// It is asked while a session is being accepted and may be asked often, so it should answer at once: what takes longer
/// is to be done beforehand. One that panics is taken as having nothing.
pub trait ProviderRegistry: Send + Sync + 'static {
    /// All of them, in any order. An id that comes twice counts once.
    fn providers(&self) -> Vec<Provider>;
}

/// One agent runtime that the worker of a host may be asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalRuntime {
    /// Name by which sessions ask for it.
    pub name: String,
    /// Program that it needs: a name to be found in `PATH`, or a path.
    pub program: Option<String>,
    /// Why the worker cannot run it even with its program; `None` when it can.
    pub unsupported: Option<String>,
    /// What it can do.
    pub capabilities: Map<String, Value>,
}

impl LocalRuntime {
    /// An agent that people know and that the worker has no runtime for.
    #[must_use]
    pub fn unsupported(name: &str, program: &str, reason: &str) -> Self {
        Self {
            name: name.to_owned(),
            program: Some(program.to_owned()),
            unsupported: Some(reason.to_owned()),
            capabilities: Map::new(),
        }
    }
}

/// The registry of a host whose worker has its runtimes built in. Whether a program is there is looked up in `PATH` when
/// somebody asks, and then known for ten seconds. No program is ever started for it.
#[derive(Debug)]
pub struct LocalRuntimes {
    runtimes: Vec<LocalRuntime>,
    version: String,
    path: Option<OsString>,
    seen: Mutex<Option<(Instant, Vec<Provider>)>>,
}

impl LocalRuntimes {
    /// These `runtimes` of a worker of this `version`, with programs from the `PATH` of `environment`.
    #[must_use]
    pub fn new(
        runtimes: Vec<LocalRuntime>,
        version: impl Into<String>,
        environment: &BTreeMap<String, String>,
    ) -> Self {
        Self {
            runtimes,
            version: version.into(),
            path: environment.get("PATH").map(Into::into),
            seen: Mutex::default(),
        }
    }

    fn look(&self, runtime: &LocalRuntime) -> Provider {
        let provider = Provider {
            capabilities: runtime.capabilities.clone(),
            ..Provider::runtime(runtime.name.as_str(), self.version.as_str())
        };
        let missing = runtime.program.as_deref().and_then(|program| self.missing(program));
        match (missing, &runtime.unsupported) {
            (None, None) => provider,
            (Some(missing), None) => provider.inactive(missing),
            (None, Some(reason)) => provider.inactive(reason.as_str()),
            (Some(missing), Some(reason)) => provider.inactive(format!("{missing}; {reason}")),
        }
    }

    fn missing(&self, program: &str) -> Option<String> {
        let found = find_program(OsStr::new(program), self.path.as_deref());
        match found {
            Ok(path) if path.is_file() => None,
            Ok(path) => Some(format!("there is no program {}", path.display())),
            Err(error) => Some(error.to_string()),
        }
    }
}

impl ProviderRegistry for LocalRuntimes {
    fn providers(&self) -> Vec<Provider> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, providers)) = &*seen
            && when.elapsed() < FRESH
        {
            return providers.clone();
        }
        let providers: Vec<_> = self.runtimes.iter().map(|runtime| self.look(runtime)).collect();
        *seen = Some((Instant::now(), providers.clone()));
        providers
    }
}

/// The registry of a host, if it has one, made harmless.
#[derive(Clone, Default)]
pub(crate) struct Providers(Option<Arc<dyn ProviderRegistry>>);

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Providers").field(&self.0.is_some()).finish()
    }
}

impl Providers {
    pub(crate) fn new(registry: Arc<dyn ProviderRegistry>) -> Self {
        Self(Some(registry))
    }

    /// All of them, by id.
    pub(crate) fn list(&self) -> Vec<Provider> {
        let Some(registry) = &self.0 else { return Vec::new() };
        let mut providers = catch_unwind(AssertUnwindSafe(|| registry.providers())).unwrap_or_else(|_panic| {
            tracing::error!(event = "panic", task = "providers", "the provider registry panicked");
            Vec::new()
        });
        providers.sort_by(|a, b| a.id.cmp(&b.id));
        providers.dedup_by(|a, b| a.id == b.id);
        providers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rensei_proto::control::ProviderStatus;
    use std::os::unix::fs::PermissionsExt as _;

    fn runtime(name: &str, program: Option<&str>) -> LocalRuntime {
        LocalRuntime {
            name: name.to_owned(),
            program: program.map(str::to_owned),
            unsupported: None,
            capabilities: Map::new(),
        }
    }

    #[test]
    fn a_runtime_is_ready_only_with_its_program_and_no_program_is_started() {
        let dir = tempfile::tempdir().unwrap();
        let started = dir.path().join("started");
        let program = dir.path().join("agent");
        std::fs::write(&program, format!("#!/bin/sh\ntouch {}\n", started.display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let environment = BTreeMap::from([("PATH".to_owned(), dir.path().display().to_string())]);
        let runtimes = vec![
            runtime("builtin", None),
            runtime("here", Some("agent")),
            runtime("gone", Some("no-such-agent")),
            runtime("path", Some("/no/such/program")),
            LocalRuntime::unsupported("known", "agent", "no runtime for it"),
            LocalRuntime::unsupported("unknown", "no-such-agent", "no runtime for it"),
        ];
        let registry = LocalRuntimes::new(runtimes, "1.2.3", &environment);
        let shown: Vec<_> =
            registry.providers().into_iter().map(|p| (p.id, p.status, p.status_reason.unwrap_or_default())).collect();
        let inactive = ProviderStatus::Inactive;
        let expected = [
            ("builtin", ProviderStatus::Ready, ""),
            ("here", ProviderStatus::Ready, ""),
            ("gone", inactive, "no program `no-such-agent` in PATH"),
            ("path", inactive, "there is no program /no/such/program"),
            ("known", inactive, "no runtime for it"),
            ("unknown", inactive, "no program `no-such-agent` in PATH; no runtime for it"),
        ];
        assert_eq!(shown, expected.map(|(id, status, why)| (id.to_owned(), status, why.to_owned())));
        std::fs::remove_file(&program).unwrap();
        assert_eq!(registry.providers()[1].status, ProviderStatus::Ready, "known for a while");
        assert!(!started.exists());
    }

    #[test]
    fn a_registry_that_panics_has_nothing_and_twins_count_once() {
        struct Broken;
        impl ProviderRegistry for Broken {
            fn providers(&self) -> Vec<Provider> {
                panic!("broken")
            }
        }
        struct Twins;
        impl ProviderRegistry for Twins {
            fn providers(&self) -> Vec<Provider> {
                ["b", "a", "b"].map(|id| Provider::runtime(id, "1")).to_vec()
            }
        }
        assert!(Providers::new(Arc::new(Broken)).list().is_empty());
        let ids: Vec<_> = Providers::new(Arc::new(Twins)).list().into_iter().map(|p| p.id).collect();
        assert_eq!(ids, ["a", "b"]);
    }
}
