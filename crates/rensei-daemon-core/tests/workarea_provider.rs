//! Sessions get their directories from an embedder's provider, and do not depend on its manners.

use rensei_daemon_core::{
    AcceptError, AcquireError, AcquireRequest, Daemon, Phase, ReleaseMode, WorkareaError, WorkareaFuture,
    WorkareaProvider,
};
use rensei_proto::SessionId;
use rensei_proto::control::{EvictPoolRequest, EvictPoolResponse, PostSession, Workarea, WorkareaPoolStats};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

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
