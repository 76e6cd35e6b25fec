//! Places where kits come from, in the order in which they are asked.

use super::state::State;
use rensei_proto::control::KitSource;
use std::path::Path;

/// The scan paths of this host. Switched off, none of their kits is in use or can be installed.
pub(super) const LOCAL: &str = "local";

/// Names with their places. Nothing is fetched from these yet; their state is kept.
const OTHERS: [(&str, &str); 5] = [
    ("bundled", ""),
    ("rensei", "https://registry.rensei.dev"),
    ("tessl", "https://registry.tessl.io"),
    ("agentskills", "https://agentskills.io"),
    ("community", ""),
];

/// Kinds that exist and that a kit cannot be installed from yet.
pub(super) const NOT_YET: [&str; 3] = ["tessl", "agentskills", "community"];

pub(super) fn all(home: &Path, state: &State) -> Vec<KitSource> {
    let local = (LOCAL, home.to_string_lossy().into_owned());
    let others = OTHERS.into_iter().map(|(name, url)| (name, url.to_owned()));
    let sources = std::iter::once(local).chain(others).zip(1..);
    sources
        .map(|((name, url), priority)| KitSource {
            name: name.to_owned(),
            url,
            enabled: state.source_enabled(name),
            priority,
            kind: name.to_owned(),
        })
        .collect()
}
