//! What handlers reach.

use super::journal::Journal;
use axum::body::Bytes;
use axum::extract::FromRef;
use rensei_daemon_core::DaemonHandle;

/// State of the router. A handler takes the part that it needs: `State(daemon): State<DaemonHandle>`.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub(super) daemon: DaemonHandle,
    /// The OpenAPI document, as it is served.
    pub(super) document: Document,
    pub(super) journal: Journal,
}

/// The OpenAPI document, as it is served.
#[derive(Debug, Clone)]
pub(super) struct Document(pub(super) Bytes);

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

impl FromRef<Api> for Document {
    fn from_ref(api: &Api) -> Self {
        api.document.clone()
    }
}
