//! The daemon as its control API and its embedder see it.

use crate::accept::AcceptError;
use crate::admissions::Admissions;
use crate::config::Project;
use crate::events::SessionEvents;
use crate::host::Host;
use crate::lifecycle::{Action, Phase, TransitionError, deadline_in};
use crate::org::{Org, RegistrationChanges};
use crate::sessions::Caller;
use rensei_proto::control::{
    DrainRequest, EvictPoolRequest, EvictPoolResponse, Organization, PostSession, Provider, Registration,
    RoutingConfig, RoutingExplanation, SessionHandle, SessionView, Status, StopResponse, Workarea, WorkareaPoolStats,
};
use rensei_proto::{Secret, SessionDetail, SessionId};
use rensei_workarea::WorkareaError;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Cloneable front of a running daemon.
#[derive(Debug, Clone)]
pub struct DaemonHandle {
    pub(crate) host: Arc<Host>,
}

/// Why a session got no workarea.
#[derive(Debug, thiserror::Error)]
pub enum AcquireError {
    /// No live session of that id.
    #[error("session not found")]
    UnknownSession,
    /// Git or the disk refused.
    #[error("failed to make a workarea")]
    Workarea(#[source] WorkareaError),
}

/// Who may call the control API (`control.auth`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlAuth {
    /// Processes of the daemon's own user, or root.
    #[default]
    SameUser,
    /// Whoever knows the token in `<state>/control-token`.
    Token,
    /// Anyone on this machine.
    Open,
}

impl DaemonHandle {
    /// Answer to `GET /api/daemon/status`.
    #[must_use]
    pub fn status(&self) -> Status {
        let host = &self.host;
        Status {
            status: host.lifecycle.phase().wire(),
            version: host.version.clone(),
            machine_id: host.config.machine.id.clone(),
            pid: std::process::id(),
            uptime_seconds: host.started.elapsed().as_secs(),
            active_sessions: host.sessions.live_count(),
            max_sessions: host.serving.max_sessions(),
            projects_allowed: host.orgs.main().allowlist.projects().len(),
            timestamp: rensei_proto::rfc3339_seconds(jiff::Timestamp::now()),
            registration: Some(self.registration()),
            restart_needed: host.serving.stale(),
            incident: host.incidents.last(),
            organizations: self.organizations(),
            update: host.updates.last(),
        }
    }

    /// Whom the host works for, that of `daemon.yaml` first, and last the files that it cannot use at all.
    #[must_use]
    pub fn organizations(&self) -> Vec<Organization> {
        let shown = |org: &Arc<Org>| org.shown(self.host.sessions.live_count_of(org));
        let mut shown: Vec<_> = self.host.orgs.all().iter().map(shown).collect();
        shown.extend(self.host.files.unusable());
        shown
    }

    /// How registration with the control plane stands.
    #[must_use]
    pub fn registration(&self) -> Registration {
        self.host.orgs.main().registration()
    }

    /// Wakes whenever [`DaemonHandle::organizations`] may answer something else, from now on.
    #[must_use]
    pub fn registration_changes(&self) -> RegistrationChanges {
        self.host.orgs.registration_changes()
    }

    /// Where the daemon stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.host.lifecycle.phase()
    }

    /// Waits until the control plane has given this host an identity; for ever on a host without one.
    pub async fn registered(&self) -> String {
        let mut changes = self.host.orgs.changes();
        loop {
            let main = self.host.orgs.main();
            let identity = async {
                match main.link() {
                    Some(link) => link.cell.available().await,
                    None => std::future::pending().await,
                }
            };
            // Both only wait.
            tokio::select! {
                credentials = identity => return credentials.worker_id.clone(),
                _sender_is_ours = changes.changed() => {}
            }
        }
    }

    /// Waits until the daemon is in a phase for which `wanted` holds.
    pub async fn wait_for_phase(&self, wanted: impl FnMut(&Phase) -> bool) -> Phase {
        self.host.lifecycle.wait_for(wanted).await
    }

    /// Whether start-up is complete. Before that every route but `/healthz` answers 503.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.host.adopted.load(Ordering::Acquire)
    }

    /// Who may call the control API.
    #[must_use]
    pub fn control_auth(&self) -> ControlAuth {
        self.host.config.control.auth
    }

    /// What callers of the control API must know; nothing unless [`ControlAuth::Token`].
    #[must_use]
    pub fn control_token(&self) -> Option<&Secret> {
        self.host.control_token.as_ref()
    }

    /// Port on loopback on which metrics are wanted.
    #[must_use]
    pub fn metrics_port(&self) -> Option<u16> {
        self.host.config.observability.as_ref().and_then(|observability| observability.metrics_port)
    }

    /// Shows in the status that the metrics cannot be served, and why; `None`: that they are.
    pub fn note_metrics(&self, trouble: Option<&str>) {
        match trouble {
            Some(why) => self.host.incidents.trouble("metrics", &format!("the metrics cannot be served: {why}")),
            None => self.host.incidents.no_trouble("metrics"),
        }
    }

    /// How many sessions were accepted and refused since start.
    #[must_use]
    pub fn admissions(&self) -> Admissions {
        self.host.admissions.get()
    }

    /// Changes how many sessions may run at once, from now on; 0 means none. Sessions that run go on.
    pub fn set_max_sessions(&self, max: usize) {
        self.host.set_max_sessions(max);
    }

    /// Serves these projects from now on. Sessions that run go on, also those of a project that is gone.
    pub fn set_projects(&self, projects: Vec<Project>) {
        tracing::info!(event = "projects", count = projects.len(), "projects changed");
        let main = self.host.orgs.main();
        main.allowlist.replace(projects);
        main.beat.notify_one();
        self.host.sessions.look_ahead();
    }

    /// Takes no more work; what runs goes on.
    ///
    /// # Errors
    /// [`TransitionError`] while draining or stopping.
    pub fn pause(&self) -> Result<(), TransitionError> {
        self.host.lifecycle.apply(Action::Pause).map(|_phase| ())
    }

    /// Takes work again; also cancels a drain.
    ///
    /// # Errors
    /// [`TransitionError`] while stopping.
    pub fn resume(&self) -> Result<(), TransitionError> {
        self.host.lifecycle.apply(Action::Resume).map(|_phase| ())
    }

    /// Starts a drain. The answer is the time that it may take.
    ///
    /// # Errors
    /// [`TransitionError`] while stopping.
    pub fn drain(&self, request: DrainRequest) -> Result<Duration, TransitionError> {
        let configured = self.host.config.auto_update.drain_timeout_seconds;
        let seconds = request.timeout_seconds.filter(|seconds| *seconds > 0).unwrap_or(configured);
        let timeout = Duration::from_secs(seconds);
        let action = Action::Drain { deadline: deadline_in(timeout), keep_alive: request.keep_alive };
        self.host.lifecycle.apply(action).map(|_phase| timeout)
    }

    /// Starts an immediate stop.
    pub fn stop(&self) {
        // A stop is possible in every phase.
        let _phase = self.host.lifecycle.apply(Action::Stop);
    }

    /// Sessions that run, oldest first.
    #[must_use]
    pub fn live_sessions(&self) -> Vec<SessionHandle> {
        self.host.sessions.handles()
    }

    /// Sessions that run or are remembered, oldest first.
    #[must_use]
    pub fn all_sessions(&self) -> Vec<SessionView> {
        self.host.sessions.views()
    }

    /// What happens to sessions from now on.
    #[must_use]
    pub fn events(&self) -> SessionEvents {
        self.host.sessions.events()
    }

    /// Accepts a session that was posted on this machine and starts its worker.
    ///
    /// # Errors
    /// [`AcceptError`], in the order of its checks.
    pub async fn post_session(&self, post: PostSession) -> Result<SessionHandle, AcceptError> {
        let detail = post.to_detail();
        self.host.accept_posted(post.spec, detail).await
    }

    /// What the worker of a live session needs, with current credentials.
    #[must_use]
    pub fn session_detail(&self, id: &SessionId) -> Option<SessionDetail> {
        self.host.sessions.detail(id)
    }

    /// Who asks about a session, having shown this token, from the other end of a connection that is the socket with this
    /// inode. With [`ControlAuth::Open`] everybody but another session is as good as the worker.
    pub async fn caller(&self, id: &SessionId, token: Option<&str>, socket: Option<u64>) -> Caller {
        match (self.host.sessions.caller(id, token, socket).await, self.control_auth()) {
            (Caller::OtherSession, _) => Caller::OtherSession,
            (_, ControlAuth::Open) => Caller::Worker,
            (caller, _) => caller,
        }
    }

    /// A session as the host remembers it, with everything that its worker said of its end.
    #[must_use]
    pub fn session_record(&self, id: &SessionId) -> Option<SessionView> {
        self.host.sessions.record(id)
    }

    /// A session as the host remembers it. Long texts of its outcome are cut.
    #[must_use]
    pub fn session_view(&self, id: &SessionId) -> Option<SessionView> {
        self.host.sessions.view(id)
    }

    /// Asks one session to end. `None`: no session of that id is known.
    #[must_use]
    pub fn stop_session(&self, id: &SessionId, reason: Option<String>) -> Option<StopResponse> {
        self.host.sessions.stop(id, reason)
    }

    /// File with the raw output of a session, live or ended.
    #[must_use]
    pub fn session_output(&self, id: &SessionId) -> Option<PathBuf> {
        self.host.sessions.output_path(id)
    }

    /// What sessions can run with, by id: the answer of the [`ProviderRegistry`](crate::ProviderRegistry).
    pub async fn providers(&self) -> Vec<Provider> {
        let providers = self.host.providers.clone();
        // A registry looks at the file system.
        tokio::task::spawn_blocking(move || providers.list()).await.unwrap_or_default()
    }

    /// What routing has learned, and its last decisions.
    pub async fn routing_config(&self) -> RoutingConfig {
        let runtimes = self.providers().await.into_iter().map(|provider| provider.id);
        self.host.routing.config(runtimes)
    }

    /// Why a session runs, or ran, where and with what it does. `None` when it is not among the last 50 of this daemon.
    #[must_use]
    pub fn explain_routing(&self, id: &SessionId) -> Option<RoutingExplanation> {
        self.host.routing.explain(id)
    }

    /// Bytes of output that the [`OutputSink`](crate::OutputSink) was too slow for. They are in the sessions' files.
    #[must_use]
    pub fn output_missed(&self) -> u64 {
        self.host.sessions.output_missed()
    }

    /// The pool of workareas as it is now.
    #[must_use]
    pub fn pool_stats(&self) -> WorkareaPoolStats {
        self.host.sessions.pool_stats()
    }

    /// Deletes idle workareas of a repository; never one that a session holds.
    ///
    /// # Errors
    /// When it is no repository.
    pub async fn evict_pool(&self, request: EvictPoolRequest) -> Result<EvictPoolResponse, WorkareaError> {
        self.host.sessions.evict_pool(request).await
    }

    /// The workarea of a live session, made on the first call.
    ///
    /// # Errors
    /// [`AcquireError`].
    pub async fn acquire_workarea(&self, id: &SessionId) -> Result<Workarea, AcquireError> {
        self.host.sessions.workarea(id).await
    }

    /// Whoever changes what [`DaemonHandle::kits`] has tells it here: workareas that are kept ready then follow.
    pub fn kits_changed(&self) {
        self.host.sessions.look_ahead();
    }

    /// The kits of this host. Its methods look at the disk: call them where blocking is allowed.
    #[must_use]
    pub fn kits(&self) -> &Arc<rensei_kits::Registry> {
        &self.host.kits
    }
}
