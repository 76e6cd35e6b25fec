//! A new configuration for a running host: what it serves changes at once, what it is changes with the next start.

use crate::config::{self, Reloaded};
use crate::host::Host;

impl Host {
    /// Takes over what can be taken over and remembers what cannot.
    pub(crate) fn reload(&self, reloaded: &Reloaded) {
        let (config, changes) = (&reloaded.config, &reloaded.changes);
        if changes.projects {
            tracing::info!(event = "projects", count = config.projects.len(), "projects changed");
            self.serving.set_projects(config.projects.clone());
        }
        let token = config.orchestrator.as_ref().and_then(|orchestrator| orchestrator.auth_token.clone());
        // Against what the host started with: what was changed back needs no start any more.
        let since_start = config::changes(&self.config, config);
        let mut stale = since_start.restart_needed;
        match (&self.link, token) {
            (Some(link), Some(token)) => {
                if changes.token {
                    link.replace_registration_token(token);
                }
            }
            // Without a token there was no link, and without a link nothing runs that could use one.
            (None, _) | (_, None) if since_start.token => stale.push("orchestrator.authToken"),
            (None, _) | (_, None) => {}
        }
        if !changes.restart_needed.is_empty() {
            tracing::warn!(keys = stale.join(", "), "these take effect with the next start");
        }
        self.serving.set_stale(stale);
        self.beat.notify_one();
    }
}
