//! A new configuration for a running host: what it serves changes at once, what it is changes with the next start.

use crate::config::{self, ConfigWriter, Reloaded};
use crate::host::Host;
use crate::org::OrgName;

impl Host {
    /// Takes over what an organisation's file says by now.
    pub(crate) fn reload(&self, name: &OrgName, file: &ConfigWriter, reloaded: &Reloaded) {
        if *name == OrgName::MAIN {
            self.note_stale(reloaded);
            // Only where the file says something new: what was set over the API stays otherwise.
            if reloaded.changes.pool {
                self.sessions.configure_pool(&reloaded.config);
            }
            if reloaded.changes.max_sessions {
                self.set_max_sessions(reloaded.config.max_sessions());
            }
        }
        self.orgs.apply(name, file, &reloaded.config);
        if reloaded.changes.projects {
            self.sessions.look_ahead();
        }
    }

    /// Accepts up to so many sessions from now on. 0: none.
    pub(crate) fn set_max_sessions(&self, max: usize) {
        tracing::info!(event = "capacity", max, "capacity changed");
        self.serving.set_max_sessions(max);
        self.orgs.beat();
    }

    /// Remembers what waits for the next start. Only the main file describes the process.
    fn note_stale(&self, reloaded: &Reloaded) {
        // Against what the host started with: what was changed back needs no start any more.
        let stale = config::changes(&self.config, &reloaded.config).restart_needed;
        if !reloaded.changes.restart_needed.is_empty() {
            tracing::warn!(keys = stale.join(", "), "these take effect with the next start");
        }
        self.serving.set_stale(stale);
    }
}
