//! The kits of a host: files in scan paths, what operators have switched off, and what is known of their signatures.
//!
//! Every question looks at the directories again, and reads only files that have changed. Methods that touch the disk
//! block.

mod error;
mod install;
mod scan;
mod sources;
mod state;
mod store;
mod view;

pub use error::{KitError, Unusable};

use crate::git::FetchLimits;
use crate::kit::Kit;
use crate::names::KitId;
use crate::trust::{Signature, TrustPolicy, TrustRoot, Verifier};
use rensei_proto::control::{
    KitDetail, KitList, KitSettings, KitSignature, KitSource, KitSourceList, KitSourceToggle, KitSummary, TrustMode,
};
use scan::Scan;
use state::State;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What a registry is made with.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Directories with kits. The first one is where kits are installed and the state is kept; a later one wins when both
    /// have the same kit.
    pub scan_paths: Vec<PathBuf>,
    /// What the operator trusts.
    pub trust: TrustPolicy,
    /// Bounds of an installation.
    pub limits: FetchLimits,
}

/// The kits of a host. Shared by reference.
#[derive(Debug)]
pub struct Registry {
    options: RegistryOptions,
    /// Made when the first signature is looked at: parsing a root costs time and memory that most starts have no use for.
    verifier: OnceLock<Verifier>,
    cache: Mutex<scan::Cache>,
}

/// A kit with everything that is known about it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) kit: Arc<Kit>,
    pub(crate) signature: Arc<Signature>,
    pub(crate) enabled: bool,
    /// Files of the same id that are not used.
    pub(crate) shadows: Vec<PathBuf>,
}

impl Registry {
    /// A registry. Touches no disk but for the trusted root. A root that cannot be used is logged and verifies nothing.
    #[must_use]
    pub fn new(options: RegistryOptions) -> Self {
        let registry = Self { options, verifier: OnceLock::new(), cache: Mutex::default() };
        // The built-in root is known to be usable; what an operator names is looked at at once.
        let named = registry.options.trust.root.is_some();
        if let Some(problem) = named.then(|| registry.verifier().problem()).flatten() {
            tracing::error!(event = "kit.trust", problem, "no kit will verify");
        }
        registry
    }

    fn verifier(&self) -> &Verifier {
        self.verifier.get_or_init(|| {
            let root = self.options.trust.root.clone().map_or(TrustRoot::PublicGood, TrustRoot::File);
            Verifier::new(&root)
        })
    }

    /// Directories with kits, in order.
    #[must_use]
    pub fn scan_paths(&self) -> &[PathBuf] {
        &self.options.scan_paths
    }

    /// What the operator trusts.
    #[must_use]
    pub const fn trust(&self) -> &TrustPolicy {
        &self.options.trust
    }

    /// What a worker needs to see the same kits.
    #[must_use]
    pub fn settings(&self) -> KitSettings {
        let trust = &self.options.trust;
        let shown = |path: &PathBuf| path.to_string_lossy().into_owned();
        KitSettings {
            scan_paths: self.options.scan_paths.iter().map(shown).collect(),
            trust_mode: trust.mode,
            issuer_set: trust.identities.iter().map(|identity| identity.entry()).collect(),
            trust_root: trust.root.as_ref().map(shown),
        }
    }

    /// All kits, by id, and what in the scan paths is none.
    #[must_use]
    pub fn list(&self) -> KitList {
        let (entries, problems) = self.entries();
        KitList { kits: entries.iter().map(view::summary).collect(), problems }
    }

    /// One kit in full.
    ///
    /// # Errors
    /// [`KitError::NotFound`], [`KitError::Id`].
    pub fn get(&self, id: &str) -> Result<KitDetail, KitError> {
        self.entry(id).map(|entry| view::detail(&entry))
    }

    /// What is known of a kit's signature.
    ///
    /// # Errors
    /// [`KitError::NotFound`], [`KitError::Id`].
    pub fn verify(&self, id: &str) -> Result<KitSignature, KitError> {
        self.entry(id).map(|entry| view::signature(&entry))
    }

    /// Switches a kit on or off.
    ///
    /// # Errors
    /// [`KitError::NotFound`], [`KitError::Id`], or [`KitError::Store`] when that cannot be remembered.
    pub fn set_enabled(&self, id: &str, enabled: bool) -> Result<KitSummary, KitError> {
        let mut entry = self.entry(id)?;
        self.change_state(|state| state.set_kit(id, enabled))?;
        entry.enabled = enabled;
        tracing::info!(event = "kit.toggle", kit = id, enabled, "kit switched");
        Ok(view::summary(&entry))
    }

    /// All sources, in the order in which they are asked.
    #[must_use]
    pub fn sources(&self) -> KitSourceList {
        let state = self.state();
        KitSourceList { sources: sources::all(self.home(), &state) }
    }

    /// Switches a source on or off.
    ///
    /// # Errors
    /// [`KitError::SourceNotFound`], or [`KitError::Store`] when that cannot be remembered.
    pub fn set_source_enabled(&self, name: &str, enabled: bool) -> Result<KitSourceToggle, KitError> {
        let known = |source: KitSource| (source.name == name).then_some(source);
        let source = sources::all(self.home(), &self.state()).into_iter().find_map(known);
        let source = source.ok_or_else(|| KitError::SourceNotFound { name: name.to_owned() })?;
        self.change_state(|state| state.set_source(name, enabled))?;
        let verb = if enabled { "enabled" } else { "disabled" };
        tracing::info!(event = "kit.source", source = name, enabled, "kit source switched");
        Ok(KitSourceToggle { source: KitSource { enabled, ..source }, message: format!("source {name} {verb}") })
    }

    /// Kits that are in use, by id.
    #[must_use]
    pub fn active(&self) -> Vec<Arc<Kit>> {
        let (entries, _) = self.entries();
        entries.into_iter().filter(|entry| entry.enabled).map(|entry| entry.kit).collect()
    }

    /// Why a kit may not run what it brings; `None`: it may.
    #[must_use]
    pub fn refuses_to_run(&self, kit: &Kit) -> Option<String> {
        let mode = self.options.trust.mode;
        if mode == TrustMode::Permissive {
            return None;
        }
        let signature = self.cache().signature(kit, self.verifier(), &self.options.trust.identities);
        let word = signature.trust.as_str();
        (!self.options.trust.admits(signature.trust))
            .then(|| format!("it is {word}, and trust.mode asks for a verified signature"))
    }

    /// The directory that kits are installed into.
    pub(crate) fn home(&self) -> &Path {
        self.options.scan_paths.first().map_or(Path::new("kits"), PathBuf::as_path)
    }

    fn entry(&self, id: &str) -> Result<Entry, KitError> {
        KitId::parse(id).map_err(KitError::Id)?;
        let (entries, _) = self.entries();
        let found = entries.into_iter().find(|entry| entry.kit.id().as_str() == id);
        found.ok_or_else(|| KitError::NotFound { id: id.to_owned() })
    }

    fn entries(&self) -> (Vec<Entry>, Vec<String>) {
        let mut cache = self.cache();
        store::recover(self.home());
        let state = State::load(self.home());
        if !state.source_enabled(sources::LOCAL) {
            return (Vec::new(), Vec::new());
        }
        let Scan { found, problems } = cache.scan(&self.options.scan_paths);
        let entries = found.into_iter().map(|found| Entry {
            signature: cache.signature(&found.kit, self.verifier(), &self.options.trust.identities),
            enabled: state.kit_enabled(found.kit.id().as_str()),
            kit: found.kit,
            shadows: found.shadows,
        });
        (entries.collect(), problems)
    }

    fn state(&self) -> State {
        let _held = self.cache();
        State::load(self.home())
    }

    fn change_state(&self, change: impl FnOnce(&mut State)) -> Result<(), KitError> {
        let _held = self.cache();
        let mut state = State::load(self.home());
        change(&mut state);
        state.save(self.home()).map_err(|source| KitError::Store {
            what: "state".to_owned(),
            path: self.home().to_owned(),
            source,
        })
    }

    /// The lock also keeps two threads of this process from changing the directory at the same time.
    fn cache(&self) -> MutexGuard<'_, scan::Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
