//! From an accepted session to a running process.

use super::environment::{SessionVariables, compose, invalid_name};
use super::monitor::{Monitor, Watched, supervise};
use super::record::OUTPUT_FILE;
use super::table::Entry;
use super::token::TokenDigest;
use super::{MARKER, Origin, Sessions, record, token};
use crate::accept::AcceptError;
use crate::config::Project;
use crate::events::SessionEvent;
use crate::hook::WorkerEnvironment;
use crate::routing::Facts;
use rensei_process::{GroupChild, SpawnSpec, output_log, spawn_group};
use rensei_proto::control::{SessionHandle, SessionState, SessionView};
use rensei_proto::{GitAccess, Secret, SessionDetail, SessionId, SessionSpec};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Checks, reserves, starts. Nothing awaits in here, so a caller that goes away cannot leave a half-started session.
pub(super) fn accept(
    sessions: &Arc<Sessions>,
    spec: SessionSpec,
    detail: SessionDetail,
    origin: Origin,
) -> Result<(SessionHandle, Decision), AcceptError> {
    let begun = Instant::now();
    let token = token::mint();
    let project = reserve(sessions, &spec, Offer { detail, origin, token: TokenDigest::of(token.expose()) })?;
    let id = spec.session_id.clone();
    match start(sessions, &spec, &project, &token) {
        Ok(child) => Ok(commit(sessions, spec, child, begun)),
        Err(error) => {
            // In this order: whoever comes under that id next must find nothing, and keep what is theirs.
            record::remove(&sessions.directory(&id));
            sessions.with_table(|table| table.remove(&id));
            Err(error)
        }
    }
}

/// What comes with a spec.
struct Offer {
    detail: SessionDetail,
    origin: Origin,
    token: TokenDigest,
}

/// All checks in their order, and the slot, in one critical section.
fn reserve(sessions: &Sessions, spec: &SessionSpec, offer: Offer) -> Result<Project, AcceptError> {
    let parts = &sessions.parts;
    let Offer { mut detail, origin, token } = offer;
    if let Some(name) = invalid_name(&spec.env) {
        return Err(AcceptError::InvalidEnv { name: name.escape_debug().to_string() });
    }
    // Work of this machine itself is for what the main organisation serves.
    let main = parts.orgs.main();
    let org = origin.org().unwrap_or(&main);
    if org.is_leaving() {
        return Err(AcceptError::Leaving { file: org.name.to_string() });
    }
    let allowlist = Arc::clone(&org.allowlist);
    sessions.with_table(|table| {
        // Read under the lock: a stop that comes later finds this session in the table.
        let phase = parts.lifecycle.phase();
        if !phase.accepts() {
            return Err(AcceptError::NotRunning { state: phase.name() });
        }
        table.check_admission(&spec.session_id, detail.attempt, parts.serving.max_sessions())?;
        let project = allowlist
            .find(&spec.repository)
            .ok_or_else(|| AcceptError::NotAllowed { repository: spec.repository.clone() })?;
        detail.repository.clone_from(&project.repository);
        detail.project_name.clone_from(&project.id);
        detail.auth_token = None;
        // Kept apart from the detail, which goes into the journal.
        let git_token = detail.git.take().and_then(|access| access.token);
        detail.git = git_access(&project);
        let view = SessionView { resources: spec.resources, ..first_view(&detail, &project, &origin) };
        let mut entry = Entry::new(view, detail, origin);
        (entry.token, entry.git_token) = (Some(token), git_token);
        entry.max_duration_seconds = spec.max_duration_seconds.filter(|seconds| *seconds > 0);
        table.insert(entry);
        Ok(project)
    })
}

/// What the worker needs to push, when the project says how.
fn git_access(project: &Project) -> Option<GitAccess> {
    let hints = &project.git;
    let said = hints.credential_helper.is_some() || hints.ssh_key.is_some();
    said.then(|| GitAccess {
        credential_helper: hints.credential_helper.clone(),
        ssh_key: hints.ssh_key.clone(),
        token: None,
    })
}

fn first_view(detail: &SessionDetail, project: &Project, origin: &Origin) -> SessionView {
    SessionView {
        session_id: detail.session_id.clone(),
        state: SessionState::Starting,
        pid: 0,
        project_id: project.id.clone(),
        organization: origin.org().and_then(|org| org.name.slug()).map(str::to_owned),
        // Shown to people and in lists; the worker gets the real one with its detail.
        repository: rensei_workarea::redact(&project.repository),
        r#ref: detail.r#ref.clone(),
        title: detail.title.clone(),
        resources: None,
        accepted_at: rensei_proto::rfc3339_millis(jiff::Timestamp::now()),
        ended_at: None,
        exit_code: None,
        signal: None,
        reason: None,
        notes: Vec::new(),
        adopted: false,
        reported: false,
        outcome: None,
    }
}

fn start(
    sessions: &Sessions,
    spec: &SessionSpec,
    project: &Project,
    token: &Secret,
) -> Result<GroupChild, AcceptError> {
    let parts = &sessions.parts;
    let id = &spec.session_id;
    let directory = sessions.directory(id);
    let output = prepare(sessions, id).map_err(AcceptError::Prepare)?;
    let org = sessions.with_table(|table| table.entry(id).and_then(|entry| entry.origin.org().cloned()));
    let org = org.unwrap_or_else(|| parts.orgs.main());
    let current = org.link().and_then(|link| link.cell.current());
    let env = compose(
        &parts.environment,
        SessionVariables {
            spec,
            repository: &rensei_workarea::redact(&project.repository),
            project_id: &project.id,
            orchestrator_url: &org.orchestrator_url,
            secrets: &parts.orgs.secrets(),
            worker_id: current.as_ref().map_or("", |credentials| credentials.worker_id.as_str()),
            directory: &directory,
            token,
        },
    );
    let env = match &parts.pre_spawn {
        Some(hook) => with_marker(hook.run(spec, env)?, &directory),
        None => env,
    };
    let Some((program, args)) = parts.worker_command.split_first() else {
        return Err(AcceptError::Spawn(io::Error::new(io::ErrorKind::NotFound, "no worker command is configured")));
    };
    spawn_group(SpawnSpec { program: program.clone(), args: args.to_vec(), env, cwd: directory, output })
        .map_err(AcceptError::Spawn)
}

/// Whatever a hook does: the host must find the worker again after a crash.
fn with_marker(mut env: WorkerEnvironment, directory: &Path) -> WorkerEnvironment {
    env.insert(MARKER.into(), directory.into());
    env
}

/// The session's directory with its record and its empty output.
fn prepare(sessions: &Sessions, id: &SessionId) -> io::Result<std::fs::File> {
    let directory = sessions.directory(id);
    // An earlier attempt of the same session may have left its own, which may be large.
    let (earlier, created) =
        sessions.directories.alone(|| (record::set_aside(&directory), std::fs::create_dir(&directory)));
    if let Some(earlier) = earlier {
        tokio::task::spawn_blocking(move || record::remove(&earlier));
    }
    created?;
    // Written without the table's lock: nobody who only asks waits for the disk.
    let opening = sessions.with_table(|table| table.entry(id).map(record::opening)).transpose()?;
    record::begin(&directory, &opening.unwrap_or_default())?;
    output_log::create(&directory.join(OUTPUT_FILE))
}

fn commit(sessions: &Arc<Sessions>, spec: SessionSpec, child: GroupChild, begun: Instant) -> (SessionHandle, Decision) {
    let id = &spec.session_id.clone();
    let took = begun.elapsed();
    let pid = child.pid();
    let (handle, monitor, origin, decision) = sessions.with_table(|table| {
        let active = table.live_count();
        let entry = table.entry_mut(id).expect("a reservation is only removed by its own start or monitor");
        entry.view.pid = pid;
        entry.view.state = SessionState::Running;
        let decision = Decision {
            id: id.clone(),
            runtime: entry.detail.provider().to_owned(),
            named: entry.detail.named_provider().is_some(),
            project: entry.view.project_id.clone(),
            active,
            took,
        };
        (entry.handle(), Monitor::of(sessions, entry), entry.origin.clone(), decision)
    });
    tracing::info!(event = "session-accepted", session_id = %id, pid, "session started");
    sessions.note_occupancy(&origin);
    sessions.parts.events.publish(SessionEvent::Started { handle: handle.clone(), spec });
    sessions.parts.feed.follow(id, sessions.directory(id).join(OUTPUT_FILE), 0);
    supervise(sessions, monitor, Watched::Child(child));
    (handle, decision)
}

/// What is known of a start for its record. Making that asks the embedder's registry, which may take its time: it is for
/// the caller to do when the worker is looked after.
pub(crate) struct Decision {
    id: SessionId,
    runtime: String,
    named: bool,
    project: String,
    active: usize,
    took: Duration,
}

impl Decision {
    pub(crate) fn record(self, sessions: &Sessions) {
        let parts = &sessions.parts;
        let facts = Facts {
            session: &self.id,
            runtime: &self.runtime,
            named: self.named,
            project: &self.project,
            candidates: &parts.providers.list(),
            active: self.active,
            max: parts.serving.max_sessions(),
        };
        parts.routing.record(&facts, self.took);
    }
}
