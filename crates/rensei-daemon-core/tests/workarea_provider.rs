//! Sessions get their directories from an embedder's provider, and do not depend on its manners.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use rensei_daemon_core::{
    AcceptError, AcquireError, AcquireRequest, Daemon, Phase, ReleaseMode, WorkareaError, WorkareaFuture,
    WorkareaProvider,
};
use rensei_proto::SessionId;
use rensei_proto::control::{EvictPoolRequest, EvictPoolResponse, PostSession, Workarea, WorkareaPoolStats};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Remembers what it was asked for, and what it is to keep ready, and gives nothing.
#[derive(Debug, Clone, Default)]
struct Asked(Arc<Mutex<Vec<AcquireRequest>>>, Arc<Mutex<Vec<AcquireRequest>>>, Arc<AtomicBool>);

impl WorkareaProvider for Asked {
    fn acquire<'a>(&'a self, _: &'a SessionId, request: AcquireRequest) -> WorkareaFuture<'a, Workarea> {
        self.0.lock().unwrap().push(request);
        let source = Arc::new(io::Error::other("no"));
        Box::pin(async move { Err(WorkareaError::Io { operation: "give".to_owned(), source }) })
    }

    fn release<'a>(&'a self, _: &'a SessionId, _: ReleaseMode) -> WorkareaFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn path(&self, _: &SessionId) -> Option<PathBuf> {
        None
    }

    fn stats(&self) -> WorkareaPoolStats {
        WorkareaPoolStats::default()
    }

    fn evict(&self, _: EvictPoolRequest) -> WorkareaFuture<'_, EvictPoolResponse> {
        Box::pin(async { Ok(EvictPoolResponse::default()) })
    }

    fn prewarm(&self, ahead: Vec<AcquireRequest>, _: usize) {
        *self.1.lock().unwrap() = ahead;
    }

    fn interrupt(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.2.store(true, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_ready_follows_what_is_served() {
    let state = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| std::fs::write(state.path().join(file), text).unwrap();
    write("daemon.yaml", "workarea: {prewarm: 1}\nprojects:\n- {id: app, repository: /srv/app}\n");
    std::fs::create_dir(state.path().join("kits")).unwrap();
    let asked = Asked::default();
    let builder = Daemon::builder(state.path().to_owned()).workarea_provider(asked.clone());
    let daemon = builder.build().unwrap().with_control_url("http://127.0.0.1:1");
    let handle = daemon.handle();
    let running = tokio::spawn(daemon.run());
    let kept = async |expected: &[(&str, &str)]| {
        let seen = || {
            let ahead = asked.1.lock().unwrap();
            let rows = ahead.iter().map(|request| (request.repository.clone(), request.toolchain.clone()));
            rows.collect::<Vec<_>>()
        };
        let is_so = || {
            seen().iter().map(|(repository, tools)| (repository.as_str(), tools.as_str())).eq(expected.iter().copied())
        };
        let reached = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{:?} is not {expected:?}", seen()));
    };
    kept(&[("/srv/app", "")]).await;
    write("daemon-p.yaml", "projects:\n- {id: app, repository: /srv/p}\n");
    kept(&[("/srv/app", ""), ("/srv/p", "")]).await;
    let kit = "api = \"rensei.dev/v1\"\n[kit]\nid = \"web\"\nversion = \"1.0.0\"\nname = \"web\"\n[detect]\n\
        files = [\"x\"]\n[detect.toolchain]\nnode = \"20\"\n";
    write("kits/web.kit.toml", kit);
    handle.kits_changed();
    kept(&[("/srv/app", "node-20"), ("/srv/p", "node-20")]).await;
    std::fs::remove_file(state.path().join("daemon-p.yaml")).unwrap();
    kept(&[("/srv/app", "node-20")]).await;
    handle.set_projects(Vec::new());
    kept(&[]).await;
    handle.stop();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn workareas_are_shared_by_sessions_with_the_toolchains_that_kits_name() {
    let state = tempfile::tempdir().unwrap();
    std::fs::write(state.path().join("daemon.yaml"), "projects:\n- {id: app, repository: /srv/app}\n").unwrap();
    let kits = state.path().join("kits");
    std::fs::create_dir(&kits).unwrap();
    let kit = |id: &str, rest: &str| {
        let text =
            format!("api = \"rensei.dev/v1\"\n[kit]\nid = \"{id}\"\nversion = \"1.0.0\"\nname = \"{id}\"\n{rest}\n");
        std::fs::write(kits.join(format!("{id}.kit.toml")), text).unwrap();
    };
    kit("web", "[detect]\nfiles = [\"package.json\"]\n[detect.toolchain]\nnode = \"20\"\njava = \"17\"");
    kit("mac", "[supports]\nos = [\"macos\"]\n[detect]\nfiles = [\"x\"]\n[detect.toolchain]\nswift = \"6.0\"");
    let asked = Asked::default();
    let daemon = Daemon::builder(state.path().to_owned())
        .worker_command(["/bin/sh", "-c", "sleep 300"].map(Into::into).to_vec())
        .environment(BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]))
        .workarea_provider(asked.clone())
        .build()
        .unwrap()
        .with_control_url("http://127.0.0.1:1");
    let handle = daemon.handle();
    let running = tokio::spawn(daemon.run());
    handle.wait_for_phase(|phase| *phase == Phase::Running).await;
    let body = serde_json::json!({"sessionId": "s", "repository": "app"});
    let session = handle.post_session(serde_json::from_value::<PostSession>(body).unwrap()).await.unwrap().session_id;
    handle.acquire_workarea(&session).await.unwrap_err();
    // Another version is another toolchain, without a restart.
    kit("web", "[detect]\nfiles = [\"package.json\"]\n[detect.toolchain]\nnode = \"22\"");
    handle.acquire_workarea(&session).await.unwrap_err();
    let toolchains: Vec<String> = asked.0.lock().unwrap().iter().map(|request| request.toolchain.clone()).collect();
    let expected: &[&str] = if cfg!(target_os = "macos") {
        &["java-17+node-20+swift-6.0", "node-22+swift-6.0"]
    } else {
        &["java-17+node-20", "node-22"]
    };
    assert_eq!(toolchains, expected);
    assert!(!asked.2.load(Ordering::SeqCst));
    handle.stop();
    running.await.unwrap();
    assert!(asked.2.load(Ordering::SeqCst), "nothing goes on in the background when the daemon has ended");
}

/// Refuses to give, and panics when something is given back.
#[derive(Debug)]
struct Rude(PathBuf);

impl WorkareaProvider for Rude {
    fn acquire<'a>(&'a self, _: &'a SessionId, _: AcquireRequest) -> WorkareaFuture<'a, Workarea> {
        let source = Arc::new(io::Error::other("no"));
        Box::pin(async move { Err(WorkareaError::Io { operation: "give".to_owned(), source }) })
    }

    fn release<'a>(&'a self, session: &'a SessionId, _: ReleaseMode) -> WorkareaFuture<'a, ()> {
        Box::pin(async move { panic!("{session} gives something back") })
    }

    fn path(&self, _: &SessionId) -> Option<PathBuf> {
        Some(self.0.clone())
    }

    fn stats(&self) -> WorkareaPoolStats {
        WorkareaPoolStats { total_disk_usage_mb: 7, ..WorkareaPoolStats::default() }
    }

    fn evict(&self, request: EvictPoolRequest) -> WorkareaFuture<'_, EvictPoolResponse> {
        Box::pin(async move { Ok(EvictPoolResponse { message: request.repo_url, ..EvictPoolResponse::default() }) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_panics_or_refuses_costs_no_session_its_end() {
    let (state, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(state.path().join("daemon.yaml"), "projects:\n- {id: app, repository: /srv/app}\n").unwrap();
    let daemon = Daemon::builder(state.path().to_owned())
        .worker_command(["/bin/sh", "-c", "eval \"$SCRIPT\""].map(Into::into).to_vec())
        .environment(BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]))
        .workarea_provider(Rude(place.path().to_owned()))
        .build()
        .unwrap()
        .with_control_url("http://127.0.0.1:1");
    let handle = daemon.handle();
    let running = tokio::spawn(daemon.run());
    handle.wait_for_phase(|phase| *phase == Phase::Running).await;

    let post = |script: &str| -> PostSession {
        let body = serde_json::json!({"sessionId": "s", "repository": "app", "env": {"SCRIPT": script}});
        serde_json::from_value(body).unwrap()
    };
    let session = handle.post_session(post("sleep 300")).await.unwrap().session_id;
    let refused = handle.acquire_workarea(&session).await.unwrap_err();
    assert!(matches!(refused, AcquireError::Workarea(WorkareaError::Io { .. })), "{refused}");
    assert_eq!(handle.pool_stats().total_disk_usage_mb, 7);
    // A project's name stands for its repository with every provider.
    let request = EvictPoolRequest { repo_url: "app".to_owned(), older_than_seconds: 0 };
    assert_eq!(handle.evict_pool(request).await.unwrap().message, "/srv/app");

    assert!(handle.stop_session(&session, None).unwrap().stopped);
    // Its id is free again only when its end is complete.
    let again = async {
        loop {
            match handle.post_session(post("true")).await {
                Ok(_) => break,
                Err(AcceptError::Duplicate { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
    handle.stop();
    running.await.unwrap();
}
