//! What the configuration says of kits, as their registry wants it.

use crate::config::Config;
use rensei_kits::{Registry, RegistryOptions, Target, TrustPolicy};
use std::collections::BTreeSet;
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

/// Toolchains that sessions of this host may run with, such as `java-17+node-20`: all that kits in use name. Which of them
/// apply is known only when there are files to look at, so a workarea that is handed on has at worst been made anew for
/// nothing when a kit names another version. Looks at the disk.
pub(crate) fn toolchain(registry: &Registry) -> String {
    let target = Target::host();
    let kits = registry.active();
    let usable = kits.iter().map(|kit| &kit.manifest).filter(|manifest| target.refusal(manifest).is_none());
    let tools: BTreeSet<String> = usable
        .flat_map(|manifest| manifest.detect.toolchain.iter().map(|(name, version)| format!("{name}-{version}")))
        .collect();
    tools.into_iter().collect::<Vec<_>>().join("+")
}
