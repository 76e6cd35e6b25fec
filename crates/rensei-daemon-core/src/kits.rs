//! What the configuration says of kits, as their registry wants it.

use crate::config::Config;
use rensei_kits::{Registry, RegistryOptions, TrustPolicy};
use std::path::Path;
use std::sync::Arc;

/// The registry of a host.
pub(crate) fn registry(config: &Config, state_root: &Path) -> Arc<Registry> {
    let trust = &config.trust;
    let policy = TrustPolicy {
        mode: trust.mode,
        identities: trust.issuer_set.clone(),
        root: trust.root_path.clone(),
        actor: trust.actor.clone(),
    };
    let scan_paths = config.kit.scan_paths(state_root);
    Arc::new(Registry::new(RegistryOptions { scan_paths, trust: policy, ..RegistryOptions::default() }))
}
