//! A daemon in this process.

use crate::{FakePlatform, PATIENCE, REGISTRATION_TOKEN, SetClock};
use rensei_daemon_core::{Clock, Daemon, DaemonHandle, Finished, Phase};
use rensei_proto::SessionId;
use rensei_proto::control::{RegistrationState, SessionView};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// What is left of a host that does not run: its state directory and its configuration.
#[derive(Debug)]
pub struct TempState {
    dir: TempDir,
    clock: Arc<SetClock>,
}

/// A running host.
#[derive(Debug)]
pub struct TempHost {
    handle: DaemonHandle,
    running: Option<JoinHandle<Finished>>,
    /// A runtime of its own, when the host must be able to vanish.
    runtime: Option<Runtime>,
    /// Present until the host is taken apart.
    state: Option<TempState>,
}

impl TempState {
    /// A host of `platform` with eight slots that serves project `app`.
    #[must_use]
    pub fn new(platform: &FakePlatform) -> Self {
        Self::with_slots(platform, 8)
    }

    /// The same with another number of slots.
    #[must_use]
    pub fn with_slots(platform: &FakePlatform, slots: usize) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), clock: Arc::default() }.configure(platform.url(), slots)
    }

    /// Writes the configuration anew.
    #[must_use]
    pub fn configure(self, url: &str, slots: usize) -> Self {
        let yaml = format!(
            "machine: {{id: test}}\ncapacity: {{maxConcurrentSessions: {slots}}}\n\
            orchestrator: {{url: \"{url}\", authToken: {REGISTRATION_TOKEN}}}\n\
            projects:\n- id: app\n  repository: /srv/app\n"
        );
        std::fs::write(self.dir.path().join("daemon.yaml"), yaml).unwrap();
        self
    }

    /// The state directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// The same with a file for the organisation `org` of `platform`, which serves project `app`, too.
    #[must_use]
    pub fn with_org(self, org: &str, url: &str, registration_token: &str) -> Self {
        write_org(self.root(), org, url, registration_token);
        self
    }

    /// Starts the host on the current runtime and waits until it runs.
    pub async fn start(self) -> TempHost {
        let daemon = self.daemon();
        let handle = daemon.handle();
        let running = tokio::spawn(daemon.run());
        running_host(TempHost { handle, running: Some(running), runtime: None, state: Some(self) }).await
    }

    /// The same for a host that has registered in an earlier life: one that must do so again may do it at once.
    ///
    /// # Panics
    /// After [`crate::PATIENCE`].
    pub async fn start_registered(self) -> TempHost {
        let host = self.start().await;
        let state = |host: &TempHost| host.handle.registration().state;
        host.until(|host| (state(host) == RegistrationState::Registered).then_some(())).await;
        let (_finished, state) = host.stop().await;
        state.start().await
    }

    /// Starts the host on a runtime of its own, so that it can [`TempHost::crash`].
    pub async fn start_apart(self) -> TempHost {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let daemon = self.daemon();
        let handle = daemon.handle();
        let running = runtime.spawn(daemon.run());
        running_host(TempHost { handle, running: Some(running), runtime: Some(runtime), state: Some(self) }).await
    }

    fn daemon(&self) -> Daemon {
        let command: Vec<OsString> = ["/bin/sh", "-c", "eval \"$SCRIPT\""].map(OsString::from).to_vec();
        let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        Daemon::builder(self.root().to_owned())
            .worker_command(command)
            .environment(environment)
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
            .build()
            .unwrap()
            .with_control_url("http://127.0.0.1:1")
    }
}

fn write_org(root: &Path, org: &str, url: &str, registration_token: &str) {
    let yaml = format!(
        "orchestrator: {{url: \"{url}\", authToken: {registration_token}}}\n\
        projects:\n- id: app\n  repository: /srv/{org}\n"
    );
    std::fs::write(root.join(format!("daemon-{org}.yaml")), yaml).unwrap();
}

async fn running_host(host: TempHost) -> TempHost {
    host.handle.wait_for_phase(|phase| matches!(phase, Phase::Running)).await;
    host
}

impl TempHost {
    /// Its front.
    #[must_use]
    pub const fn handle(&self) -> &DaemonHandle {
        &self.handle
    }

    /// Its state directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.state.as_ref().expect("present while the host runs").root()
    }

    /// Its clocks.
    #[must_use]
    pub fn clock(&self) -> &SetClock {
        &self.state.as_ref().expect("present while the host runs").clock
    }

    /// Writes a file for the organisation `org`, as [`TempState::with_org`] does.
    pub fn write_org(&self, org: &str, url: &str, registration_token: &str) {
        write_org(self.root(), org, url, registration_token);
    }

    /// A session as the host remembers it.
    #[must_use]
    pub fn view(&self, session_id: &str) -> Option<SessionView> {
        self.handle.session_view(&SessionId::parse(session_id).unwrap())
    }

    /// Waits until `look` sees something.
    ///
    /// # Panics
    /// After [`crate::PATIENCE`].
    pub async fn until<T>(&self, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(seen) = look(self) {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .expect("condition is reached in time")
    }

    /// Waits until the process of a session has ended.
    pub async fn ended(&self, session_id: &str) -> SessionView {
        self.until(|host| host.view(session_id).filter(|view| view.state.is_ended())).await
    }

    /// Stops the host properly. What runs is stopped.
    pub async fn stop(mut self) -> (Finished, TempState) {
        self.handle.stop();
        self.finished().await
    }

    async fn finished(&mut self) -> (Finished, TempState) {
        let running = self.running.take().expect("taken once");
        let finished = tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
        self.dispose().await;
        (finished, self.state.take().expect("taken once"))
    }

    /// The host vanishes without a word, as by `kill -9`; its workers stay. Needs [`TempState::start_apart`].
    pub async fn crash(mut self) -> TempState {
        assert!(self.runtime.is_some(), "only a host on its own runtime can crash");
        if let Some(running) = self.running.take() {
            running.abort();
        }
        self.dispose().await;
        self.state.take().expect("taken once")
    }

    async fn dispose(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(5))).await.unwrap();
        }
    }
}

impl Drop for TempHost {
    fn drop(&mut self) {
        // A failed test: nothing waits for the host any more.
        self.handle.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
