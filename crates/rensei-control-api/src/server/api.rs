//! What handlers reach.

use super::journal::Journal;
use axum::extract::FromRef;
use rensei_daemon_core::DaemonHandle;

/// State of the router. A handler takes the part that it needs: `State(daemon): State<DaemonHandle>`.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub(super) daemon: DaemonHandle,
    pub(super) journal: Journal,
}

impl FromRef<Api> for DaemonHandle {
    fn from_ref(api: &Api) -> Self {
        api.daemon.clone()
    }
}

impl FromRef<Api> for Journal {
    fn from_ref(api: &Api) -> Self {
        api.journal.clone()
    }
}
