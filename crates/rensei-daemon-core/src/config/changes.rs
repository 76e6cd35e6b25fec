//! What is different between two configurations, and what a running host can do about it.

use super::keys::{Applies, KEYS};
use super::model::Config;

/// What a new configuration means for a running host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// `projects` differ, also in git hints or order alone: take the new ones. Running sessions are not touched.
    pub projects: bool,
    /// The control plane or the registration token for it differs: talk to the new one, with the new one.
    pub orchestrator: bool,
    /// `capacity.maxConcurrentSessions` differs: accept up to the new number. Running sessions are not touched.
    pub max_sessions: bool,
    /// What rules idle workareas differs, `capacity.poolMaxDiskGb` or `workarea`: tend them by that from now on.
    pub pool: bool,
    /// Keys that take effect with the next start only, in the order of the reference.
    pub restart_needed: Vec<&'static str>,
}

impl Changes {
    /// Whether nothing differs.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        !self.projects && !self.orchestrator && !self.max_sessions && !self.pool && self.restart_needed.is_empty()
    }
}

/// Compares two configurations.
#[must_use]
pub fn changes(old: &Config, new: &Config) -> Changes {
    let orchestrator = |config: &Config| config.orchestrator.as_ref().map(|o| (o.url.clone(), o.auth_token.clone()));
    let pool = |config: &Config| (config.capacity.pool_max_disk_gb, config.workarea.clone());
    let restart = KEYS.iter().filter(|key| key.applies == Applies::Restart && (key.differs)(old, new));
    Changes {
        projects: old.projects != new.projects,
        orchestrator: orchestrator(old) != orchestrator(new),
        max_sessions: old.max_sessions() != new.max_sessions(),
        pool: pool(old) != pool(new),
        restart_needed: restart.map(|key| key.path).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Defaults, parse};
    use std::collections::BTreeMap;
    use std::path::Path;

    const BASE: &str = "machine: {id: m}\norchestrator: {url: 'http://h', authToken: a}\nprojects:\n- {id: p, repository: r}\n\
                        - {id: q, repository: s}\n";

    fn between(old: &str, new: &str) -> Changes {
        let defaults = Defaults { hostname: "h".to_owned(), cpus: 1 };
        let config = |text| parse(Path::new("daemon.yaml"), text, &BTreeMap::new(), &defaults).unwrap().config;
        changes(&config(old), &config(new))
    }

    #[test]
    fn config_changes_are_hot_for_what_is_served_only() {
        let hot = Changes { projects: true, ..Changes::default() };
        let swapped = "machine: {id: m}\norchestrator: {url: 'http://h', authToken: a}\nprojects:\n\
                       - {id: q, repository: s}\n- {id: p, repository: r}\n";
        let cases = [
            (BASE.to_owned(), Changes::default()),
            (format!("# comment\n{BASE}unknown: 1\n"), Changes::default()),
            (BASE.replace("repository: r", "repository: x"), hot.clone()),
            (BASE.replace("repository: r", "repository: r, git: {sshKey: /k}"), hot.clone()),
            (BASE.replace("repository: r", "repository: r, cloneStrategy: full"), hot.clone()),
            (swapped.to_owned(), hot.clone()),
            (BASE.replace("authToken: a", "authToken: b"), Changes { orchestrator: true, ..Changes::default() }),
            (BASE.replace("http://h", "http://i"), Changes { orchestrator: true, ..Changes::default() }),
            (
                BASE.replace("id: p", "id: z").replace("{id: m}", "{id: n}") + "capacity: {maxConcurrentSessions: 1}\n",
                Changes { max_sessions: true, restart_needed: vec!["machine.id"], ..hot },
            ),
            (format!("{BASE}capacity: {{poolMaxDiskGb: 3}}\n"), Changes { pool: true, ..Changes::default() }),
            (format!("{BASE}workarea: {{maxAgeHours: 3}}\n"), Changes { pool: true, ..Changes::default() }),
        ];
        for (text, expected) in cases {
            assert_eq!(between(BASE, &text), expected, "{text}");
        }
    }
}
