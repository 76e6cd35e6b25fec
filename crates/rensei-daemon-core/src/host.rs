//! What all parts of a running daemon share.

use crate::accept::AcceptError;
use crate::admissions::Counted;
use crate::clock::{Clock, Suspended};
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::org::{Org, OrgFiles, Orgs, Turns};
use crate::providers::Providers;
use crate::routing::Routing;
use crate::serving::Serving;
use crate::sessions::{Origin, Sessions};
use crate::supervisor::Incidents;
use crate::tasks::Tasks;
use crate::update::Updates;
use rensei_proto::control::SessionHandle;
use rensei_proto::{Secret, SessionDetail, SessionSpec, error_chain};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::time::Instant;

/// Shared parts and settings.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) config: Config,
    pub(crate) version: String,
    pub(crate) serving: Arc<Serving>,
    pub(crate) started: Instant,
    pub(crate) lifecycle: Lifecycle,
    /// Whether what a predecessor left is taken over, so that workers can be answered.
    pub(crate) adopted: AtomicBool,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) routing: Arc<Routing>,
    pub(crate) providers: Providers,
    pub(crate) orgs: Arc<Orgs>,
    pub(crate) kits: Arc<rensei_kits::Registry>,
    pub(crate) files: OrgFiles,
    pub(crate) turns: Turns,
    pub(crate) tasks: Tasks,
    pub(crate) incidents: Incidents,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) suspended: Suspended,
    pub(crate) admissions: Counted,
    /// What callers of the control API must know, when they must know something.
    pub(crate) control_token: Option<Secret>,
    pub(crate) updates: Updates,
}

impl Host {
    /// Accepts work of an organisation's control plane.
    pub(crate) async fn accept_polled(
        &self,
        org: &Arc<Org>,
        spec: SessionSpec,
        detail: SessionDetail,
    ) -> Result<SessionHandle, AcceptError> {
        self.accept(spec, detail, Origin::Platform(Arc::clone(org))).await
    }

    /// Accepts work that was posted on this machine.
    pub(crate) async fn accept_posted(
        &self,
        spec: SessionSpec,
        detail: SessionDetail,
    ) -> Result<SessionHandle, AcceptError> {
        self.accept(spec, detail, Origin::Local).await
    }

    async fn accept(
        &self,
        spec: SessionSpec,
        detail: SessionDetail,
        from: Origin,
    ) -> Result<SessionHandle, AcceptError> {
        let accepted = if self.sessions.has_hook() {
            // A hook may take its time; the threads of the runtime have others to serve. It runs to its end also when
            // the caller goes away.
            let sessions = Arc::clone(&self.sessions);
            let accepted = tokio::task::spawn_blocking(move || sessions.accept(spec, detail, from)).await;
            accepted.unwrap_or_else(|error| Err(AcceptError::Hook(error.into())))
        } else {
            self.sessions.accept(spec, detail, from)
        };
        let (accepted, decision) = match accepted {
            Ok((handle, decision)) => (Ok(handle), Some(decision)),
            Err(error) => (Err(error), None),
        };
        self.admissions.note(&accepted);
        match &accepted {
            Ok(_handle) => self.incidents.no_trouble("sessions"),
            Err(error) if error.is_trouble() => {
                self.incidents.trouble("sessions", &format!("sessions cannot be started: {}", error_chain(error)));
            }
            Err(_refused) => {}
        }
        if let Some(decision) = decision {
            let sessions = Arc::clone(&self.sessions);
            let _recorded = tokio::task::spawn_blocking(move || decision.record(&sessions)).await;
        }
        accepted
    }
}
