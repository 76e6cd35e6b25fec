//! A pool of your own: sessions work in plain directories that were prepared beforehand, without git.
//!
//! `cargo run -p rensei-daemon-core --example custom_pool`

use rensei_daemon_core::{
    AcquireRequest, Daemon, DaemonHandle, Phase, ReleaseMode, SessionEvent, SessionEvents, WorkareaError,
    WorkareaFuture, WorkareaProvider,
};
use rensei_proto::SessionId;
use rensei_proto::control::{
    EvictPoolRequest, EvictPoolResponse, PoolMemberStatus, PostSession, Workarea, WorkareaPoolMember, WorkareaPoolStats,
};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Directories, and who has them.
#[derive(Debug)]
struct Desks(Mutex<Vec<(PathBuf, Option<SessionId>)>>);

impl Desks {
    /// Two directories with what sessions need in them.
    fn prepare(root: &Path) -> io::Result<Self> {
        let desks = [root.join("desk-1"), root.join("desk-2")];
        desks.iter().try_for_each(|desk| lay(desk))?;
        Ok(Self(Mutex::new(desks.map(|desk| (desk, None)).to_vec())))
    }

    fn all(&self) -> MutexGuard<'_, Vec<(PathBuf, Option<SessionId>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn assign(&self, session: &SessionId) -> Result<PathBuf, WorkareaError> {
        if let Some(path) = self.path(session) {
            return Ok(path);
        }
        match self.all().iter_mut().find(|(_, holder)| holder.is_none()) {
            Some((path, holder)) => {
                *holder = Some(session.clone());
                Ok(path.clone())
            }
            None => Err(failed("find a free desk", io::ErrorKind::NotFound.into())),
        }
    }
}

fn lay(desk: &Path) -> io::Result<()> {
    std::fs::create_dir_all(desk)?;
    std::fs::write(desk.join("task.txt"), "count the chairs\n")
}

fn failed(operation: &str, error: io::Error) -> WorkareaError {
    WorkareaError::Io { operation: operation.to_owned(), source: Arc::new(error) }
}

impl WorkareaProvider for Desks {
    fn acquire<'a>(&'a self, session: &'a SessionId, request: AcquireRequest) -> WorkareaFuture<'a, Workarea> {
        Box::pin(async move {
            let path = self.assign(session)?;
            Ok(Workarea {
                session_id: session.clone(),
                path: path.display().to_string(),
                repository: request.repository,
                r#ref: request.r#ref,
                commit: String::new(),
                branch: String::new(),
                acquire_path: "pool-warm".to_owned(),
                duration_ms: 0,
                notes: Vec::new(),
            })
        })
    }

    fn release<'a>(&'a self, session: &'a SessionId, mode: ReleaseMode) -> WorkareaFuture<'a, ()> {
        Box::pin(async move {
            let Some(path) = self.path(session) else { return Ok(()) };
            tokio::fs::remove_dir_all(&path).await.map_err(|error| failed("clear a desk", error))?;
            if mode == ReleaseMode::Destroy {
                self.all().retain(|(desk, _)| *desk != path);
                return Ok(());
            }
            lay(&path).map_err(|error| failed("lay a desk", error))?;
            self.all().iter_mut().filter(|(desk, _)| *desk == path).for_each(|(_, holder)| *holder = None);
            Ok(())
        })
    }

    fn path(&self, session: &SessionId) -> Option<PathBuf> {
        let desks = self.all();
        desks.iter().find(|(_, holder)| holder.as_ref() == Some(session)).map(|(path, _)| path.clone())
    }

    fn stats(&self) -> WorkareaPoolStats {
        let members = self.all().iter().map(|(path, holder)| member(path, holder.as_ref())).collect();
        WorkareaPoolStats::of(members, String::new())
    }

    fn evict(&self, _request: EvictPoolRequest) -> WorkareaFuture<'_, EvictPoolResponse> {
        Box::pin(async move {
            let mut desks = self.all();
            let before = desks.len();
            desks.retain(|(_, holder)| holder.is_some());
            let evicted = before - desks.len();
            Ok(EvictPoolResponse { evicted, message: format!("{evicted} desks gone"), correlation_id: String::new() })
        })
    }
}

fn member(path: &Path, holder: Option<&SessionId>) -> WorkareaPoolMember {
    WorkareaPoolMember {
        id: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        repository: String::new(),
        r#ref: String::new(),
        toolchain_key: String::new(),
        status: if holder.is_some() { PoolMemberStatus::Acquired } else { PoolMemberStatus::Ready },
        clean_state_checksum: String::new(),
        acquired_by: holder.cloned(),
        created_at: String::new(),
        last_acquired_at: String::new(),
        disk_usage_mb: 0,
    }
}

/// Waits to be told its desk, then works there: fails if there is no task, or if it is told to.
const WORKER: &str = r#"read -r desk < "$MAILBOX"; cat "$desk/task.txt" && echo 12 > "$desk/answer.txt"; exit "$CODE""#;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "shows what happens")]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let state = tempfile::tempdir()?;
    let office = tempfile::tempdir()?;
    std::fs::write(state.path().join("daemon.yaml"), "projects:\n- {id: app, repository: /srv/app}\n")?;
    let daemon = Daemon::builder(state.path().to_owned())
        .environment(std::env::vars().filter(|(name, _)| name == "PATH").collect())
        .worker_command(["/bin/sh", "-c", WORKER].map(Into::into).to_vec())
        .workarea_provider(Desks::prepare(office.path())?)
        .build()?
        .with_control_url("http://127.0.0.1:1");
    let handle = daemon.handle();
    let mut events = handle.events();
    let running = tokio::spawn(daemon.run());
    handle.wait_for_phase(|phase| *phase == Phase::Running).await;

    let first = work(&handle, &mut events, office.path(), ("good", "0")).await?;
    assert!(first.ends_with("desk-1") && first.join("task.txt").exists() && !first.join("answer.txt").exists());
    println!("a session that completed gave {} back; it is laid again", first.display());

    let second = work(&handle, &mut events, office.path(), ("bad", "3")).await?;
    let stats = handle.pool_stats();
    assert!(!second.exists() && (stats.total_members, stats.ready_members) == (1, 1));
    let archived = handle.workareas().await?.archived;
    assert_eq!(archived.first().map(|archive| archive.session_id.as_str()), Some("bad"));
    println!("one that failed did not: what it left is archived, the pool has {} desk", stats.total_members);

    let evicted = handle.evict_pool(EvictPoolRequest::default()).await?;
    assert_eq!((evicted.evicted, handle.pool_stats().total_members), (1, 0));
    println!("eviction: {}", evicted.message);

    handle.stop();
    running.await?;
    Ok(())
}

/// Runs one session to the end; the answer is where it worked.
async fn work(
    handle: &DaemonHandle,
    events: &mut SessionEvents,
    office: &Path,
    (id, code): (&str, &str),
) -> Result<PathBuf, Box<dyn Error>> {
    let mailbox = office.join(id);
    assert!(Command::new("mkfifo").arg(&mailbox).status()?.success());
    let env = serde_json::json!({"MAILBOX": mailbox, "CODE": code});
    let post = serde_json::json!({"sessionId": id, "repository": "app", "env": env});
    let session = handle.post_session(serde_json::from_value::<PostSession>(post)?).await?.session_id;

    let workarea = handle.acquire_workarea(&session).await?;
    assert_eq!(handle.acquire_workarea(&session).await?.path, workarea.path);
    assert_eq!(handle.pool_stats().acquired_members, 1);
    tokio::fs::write(mailbox, format!("{}\n", workarea.path)).await?;
    while let Some(event) = events.next().await {
        if matches!(event.as_ref(), SessionEvent::WorkareaReleased { session_id } if *session_id == session) {
            break;
        }
    }
    Ok(workarea.path.into())
}
