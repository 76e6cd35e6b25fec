//! Workareas of sessions: asked for by workers, taken back by the host, whatever the worker did.

use super::Sessions;
use super::archive::Leftover;
use crate::config::{CloneStrategy, Config, Project};
use crate::events::SessionEvent;
use crate::handle::AcquireError;
use crate::org::Org;
use rensei_proto::control::{EvictPoolRequest, EvictPoolResponse, SessionState, Workarea, WorkareaPoolStats};
use rensei_proto::{Secret, SessionDetail, SessionId, error_chain};
use rensei_workarea::{AcquireRequest, GitHints, GitToken, PoolSettings, ReleaseMode, WorkareaError, blocking};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

const GIB: u64 = 1 << 30;

impl Sessions {
    /// The workarea of a live session, made on the first call.
    pub(crate) async fn workarea(&self, id: &SessionId) -> Result<Workarea, AcquireError> {
        let detail = self.detail(id).ok_or(AcquireError::UnknownSession)?;
        let kits = Arc::clone(&self.parts.kits);
        let toolchain = blocking(move || crate::kits::toolchain(&kits)).await;
        let request = self.request(&detail, toolchain);
        let workarea = self.parts.workareas.acquire(id, request).await.map_err(AcquireError::Workarea)?;
        tracing::info!(
            event = "workarea-acquired",
            session_id = %id,
            r#ref = detail.r#ref,
            commit = workarea.commit,
            acquire_path = workarea.acquire_path,
            duration_ms = workarea.duration_ms,
            "workarea acquired"
        );
        for note in &workarea.notes {
            tracing::warn!(event = "workarea-note", session_id = %id, note, "the workarea is not complete");
        }
        self.with_table(|table| {
            if let Some(entry) = table.entry_mut(id) {
                entry.view.notes.clone_from(&workarea.notes);
            }
        });
        // The session may have ended meanwhile; then nobody else would give the workarea back.
        if !self.is_live(id) {
            self.release_workarea(id).await;
            return Err(AcquireError::UnknownSession);
        }
        self.parts.events.publish(SessionEvent::WorkareaAcquired { workarea: workarea.clone() });
        Ok(workarea)
    }

    fn request(&self, detail: &SessionDetail, toolchain: String) -> AcquireRequest {
        let access = detail.git.clone().unwrap_or_default();
        let origin = self.with_table(|table| table.entry(&detail.session_id).map(|entry| entry.origin.clone()));
        // What was posted on this machine is the main organisation's.
        let org = origin.as_ref().and_then(|origin| origin.org().cloned()).unwrap_or_else(|| self.parts.orgs.main());
        let project = org.allowlist.find(&detail.repository);
        AcquireRequest {
            repository: detail.repository.clone(),
            r#ref: detail.r#ref.clone(),
            branch: detail.branch_name(),
            hints: GitHints {
                credential_helper: access.credential_helper,
                ssh_key: access.ssh_key.map(PathBuf::from),
                tokens: access.token.map(|token| lent(&detail.repository, token)).into_iter().collect(),
            },
            strategy: project.map(|project| strategy(project.clone_strategy)).unwrap_or_default(),
            toolchain,
            attempt: detail.attempt,
            scope: org.name.slug().unwrap_or_default().to_owned(),
        }
    }

    /// Takes the workarea of an ended session back: to the pool when the session succeeded, into an archive otherwise.
    pub(crate) async fn release_workarea(&self, id: &SessionId) {
        // The provider may be somebody else's; the end of a session must not depend on it.
        if unless_panicked(self.give_back(id)).await.is_none() {
            tracing::error!(session_id = %id, "releasing a workarea panicked");
        }
    }

    async fn give_back(&self, id: &SessionId) {
        // Most programs that are not our worker never ask for one; a look is cheaper than a thread.
        let Some(path) = self.parts.workareas.path(id) else { return };
        let view = self.view(id);
        let released = if view.as_ref().is_some_and(|view| view.state == SessionState::Completed) {
            // What moved out of the worker's group must not write into the next session's files.
            super::monitor::kill_marked(self, id).await;
            self.parts.workareas.release(id, ReleaseMode::ReturnToPool).await
        } else {
            match self.archive_failed(id, path, view).await {
                Leftover::Unwanted => self.parts.workareas.release(id, ReleaseMode::Destroy).await,
                Leftover::Taken => Ok(()),
                Leftover::Needed => return,
            }
        };
        match released {
            Ok(()) => self.parts.events.publish(SessionEvent::WorkareaReleased { session_id: id.clone() }),
            Err(error) => {
                tracing::warn!(session_id = %id, error = error_chain(&error), "workarea could not be released");
            }
        }
    }

    /// Workareas that no session claims: out of the way at once, so that a session that comes again starts from
    /// nothing. Those of sessions that failed are archived.
    pub(super) fn discard_strays(&self) {
        let workareas = self.parts.workareas.list().unwrap_or_default();
        for stray in workareas.iter().filter(|id| !self.is_live(id)) {
            tracing::info!(session_id = %stray, "discarding the workarea of an ended session");
            self.discard_stray(stray);
        }
    }

    /// What workareas are made ahead for may have changed.
    pub(crate) fn look_ahead(&self) {
        self.ahead.notify_one();
    }

    /// Keeps workareas ready for what the host serves, also when that changes. Ends when dropped.
    pub(crate) async fn keep_ahead(self: Arc<Self>) {
        let mut orgs = self.parts.orgs.changes();
        loop {
            let sessions = Arc::clone(&self);
            let _panicked = tokio::task::spawn_blocking(move || sessions.prewarm()).await;
            // Both only wait.
            tokio::select! {
                _sender_is_ours = orgs.changed() => {}
                () = self.ahead.notified() => {}
            }
        }
    }

    /// Has workareas made ahead for every project that is served, if the configuration asks for it. Looks at the disk.
    fn prewarm(&self) {
        let count = self.parts.workarea_policy.prewarm;
        if count > 0 {
            let toolchain = crate::kits::toolchain(&self.parts.kits);
            let orgs = self.parts.orgs.all();
            let served = orgs.iter().filter(|org| !org.is_leaving());
            let ahead = served.flat_map(|org| all_ahead(org, &toolchain)).collect();
            self.parts.workareas.prewarm(ahead, count as usize);
        }
    }

    /// Takes over what a new configuration says of the pool.
    pub(crate) fn configure_pool(&self, config: &Config) {
        self.parts.workareas.configure(pool_settings(config));
    }

    /// Changes how much disk idle workareas may take, GiB; 0: any.
    pub(crate) fn set_pool_limit(&self, gib: u32) {
        self.parts.workareas.limit_idle(u64::from(gib) * GIB);
    }

    /// Ends what is done about workareas in the background.
    pub(crate) async fn interrupt_pool(&self) {
        self.parts.workareas.interrupt().await;
    }

    /// The pool as it is now.
    pub(crate) fn pool_stats(&self) -> WorkareaPoolStats {
        self.parts.workareas.stats()
    }

    /// Deletes idle workareas of a repository, named as in the allowlist or by its URL.
    pub(crate) async fn evict_pool(&self, mut request: EvictPoolRequest) -> Result<EvictPoolResponse, WorkareaError> {
        let named = self.parts.orgs.all().iter().find_map(|org| org.allowlist.find(&request.repo_url));
        if let Some(project) = named {
            request.repo_url = project.repository;
        }
        self.parts.workareas.evict(request).await
    }
}

/// What `future` answers; nothing when it panics.
async fn unless_panicked<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| {
        // After a panic it is not polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        polled.map_or(Poll::Ready(None), |poll| poll.map(Some))
    })
    .await
}

/// What the control plane lends for the session's repository.
fn lent(repository: &str, token: Secret) -> GitToken {
    GitToken { url: repository.to_owned(), username: String::new(), token }
}

fn all_ahead(org: &Org, toolchain: &str) -> Vec<AcquireRequest> {
    let scope = org.name.slug().unwrap_or_default();
    let projects = org.allowlist.projects();
    projects
        .iter()
        .map(|project| AcquireRequest { scope: scope.to_owned(), toolchain: toolchain.to_owned(), ..ahead(project) })
        .collect()
}

fn ahead(project: &Project) -> AcquireRequest {
    AcquireRequest {
        repository: project.repository.clone(),
        hints: GitHints {
            credential_helper: project.git.credential_helper.clone(),
            ssh_key: project.git.ssh_key.clone().map(PathBuf::from),
            ..GitHints::default()
        },
        strategy: strategy(project.clone_strategy),
        ..AcquireRequest::default()
    }
}

const fn strategy(configured: CloneStrategy) -> rensei_workarea::CloneStrategy {
    match configured {
        CloneStrategy::Shallow => rensei_workarea::CloneStrategy::Shallow,
        CloneStrategy::Full => rensei_workarea::CloneStrategy::Full,
        CloneStrategy::ReferenceClone => rensei_workarea::CloneStrategy::ReferenceClone,
    }
}

/// How the pool is to behave.
pub(crate) fn pool_settings(config: &Config) -> PoolSettings {
    let workarea = &config.workarea;
    PoolSettings {
        max_idle_bytes: u64::from(config.capacity.pool_max_disk_gb) * GIB,
        max_age: Duration::from_secs(u64::from(workarea.max_age_hours) * 3600),
        keep: workarea.keep.clone(),
        clean: workarea.clean.clone(),
        ..PoolSettings::default()
    }
}
