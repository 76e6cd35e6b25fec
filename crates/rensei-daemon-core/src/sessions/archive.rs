//! Archives of the workareas of sessions: of those that failed, and of live ones on request.
//!
//! What a failed session left is first moved out of everybody's hands, where it is kept until it is archived. Only a
//! provider that cannot do that has it archived where it is.

use super::{Sessions, record};
use crate::config::OnFailure;
use rensei_proto::control::{SessionState, SessionView};
use rensei_proto::{SessionId, error_chain};
use rensei_workarea::{ArchiveError, ArchiveManifest, ArchiveMetadata, Archives, WorkareaError, blocking};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why there is an archive of a session of which nothing is known.
const NO_RECORD: &str = "the record of the session was lost or could not be read";

/// What a session left, after a look at whether it is to be archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leftover {
    /// It is where it was, and can go.
    Unwanted,
    /// The session has it no longer.
    Taken,
    /// It is where it was, and there is nothing else of it: deleting it would lose it, handing it on would show it to
    /// others.
    Needed,
}

impl Sessions {
    pub(crate) const fn archives(&self) -> &Archives {
        &self.parts.archives
    }

    /// Archives the workarea of a live session as it is now, or that of an ended one that could not be archived yet.
    pub(crate) async fn archive_now(&self, id: &SessionId, reason: String) -> Result<ArchiveManifest, ArchiveError> {
        let path = self.parts.workareas.path(id).filter(|path| path.is_dir());
        let live = path.zip(self.view(id).filter(|_| self.is_live(id)));
        let live = live.map(|(path, view)| (path, self.metadata(id, Some(view))));
        let (archives, session) = (self.parts.archives.clone(), id.clone());
        let manifest = blocking(move || {
            if let Some((path, metadata)) = live {
                let metadata = ArchiveMetadata {
                    disposition: "live".to_owned(),
                    reason: reason.chars().take(2000).collect(),
                    ..metadata
                };
                return archives.create(&path, &metadata);
            }
            let retained = archives.retained_of(session.as_str());
            archives.settle(&retained.ok_or_else(|| ArchiveError::NotFound { id: session.to_string() })?)
        })
        .await?;
        tracing::info!(event = "workarea-archived", session_id = %id, archive = manifest.id, "workarea archived");
        Ok(manifest)
    }

    /// Keeps what a session that failed left at `path`; where that is then.
    pub(super) async fn archive_failed(&self, id: &SessionId, path: PathBuf, view: Option<SessionView>) -> Leftover {
        let Some(metadata) = self.wanted(id, view) else { return Leftover::Unwanted };
        let (archives, workareas) = (self.parts.archives.clone(), Arc::clone(&self.parts.workareas));
        let session = id.clone();
        let archived = tokio::task::spawn_blocking(move || {
            match archives.retain(&metadata, |to| workareas.set_aside(&session, to)) {
                Ok(Some(retained)) => {
                    tell(&session, archives.settle(&retained));
                    Leftover::Taken
                }
                // Somebody else was faster: there is none any more.
                Ok(None) if !path.exists() => Leftover::Taken,
                Ok(None) if tell(&session, archives.create(&path, &metadata)) => Leftover::Unwanted,
                Ok(None) => Leftover::Needed,
                Err(error) => {
                    tell_left(&session, &path, &error);
                    Leftover::Needed
                }
            }
        });
        archived.await.unwrap_or_else(|error| {
            tracing::error!(session_id = %id, %error, "a workarea could not be archived");
            Leftover::Needed
        })
    }

    /// Gets the workarea of a session that is not live out of the way; what it costs to archive it comes later. Whatever
    /// is not known to have succeeded may be all that is left of somebody's work.
    pub(super) fn discard_stray(&self, id: &SessionId) {
        let view = self.view(id);
        let succeeded = view.as_ref().is_some_and(|view| view.state == SessionState::Completed);
        let wanted = if succeeded { None } else { self.wanted(id, view) };
        let workareas = &self.parts.workareas;
        let mut before: Box<dyn FnOnce(&Path) + Send> = Box::new(|_| ());
        if let Some(metadata) = wanted {
            match self.parts.archives.retain(&metadata, |to| workareas.set_aside(id, to)) {
                Ok(Some(_)) => return,
                Ok(None) => {
                    let (archives, session) = (self.parts.archives.clone(), id.clone());
                    before = Box::new(move |path| {
                        tell(&session, archives.create(path, &metadata));
                    });
                }
                Err(error) => return tell_left(id, &workareas.path(id).unwrap_or_default(), &error),
            }
        }
        if let Err(error) = workareas.discard(id, before) {
            tracing::warn!(session_id = %id, error = error_chain(&error), "workarea could not be discarded");
        }
    }

    /// What to note on the archive of a session, if there is to be one.
    fn wanted(&self, id: &SessionId, view: Option<SessionView>) -> Option<ArchiveMetadata> {
        (self.parts.workarea_policy.on_failure == OnFailure::Archive).then(|| self.metadata(id, view))
    }

    /// Of a session of which nothing is known, what its workarea says.
    fn metadata(&self, id: &SessionId, view: Option<SessionView>) -> ArchiveMetadata {
        let held = self.parts.workareas.held(id);
        let held = held.map(|held| (held.branch, held.commit, (held.repository, held.r#ref)));
        let (branch, commit, asked_for) = held.unwrap_or_default();
        let terminated = view.as_ref().is_some_and(|view| view.state == SessionState::Terminated);
        let (project_id, repository, r#ref, reason) = match view {
            Some(view) => (view.project_id, view.repository, view.r#ref, view.reason.unwrap_or_default()),
            None => (String::new(), asked_for.0, asked_for.1, NO_RECORD.to_owned()),
        };
        ArchiveMetadata {
            session_id: id.to_string(),
            attempt: self.with_table(|table| table.run_of(id)),
            project_id,
            repository: rensei_workarea::redact(&repository),
            r#ref,
            branch,
            commit,
            disposition: if terminated { "terminated" } else { "failed" }.to_owned(),
            reason,
            toolchain: record::read_toolchain(&self.directory(id)),
            created_at: jiff::Timestamp::now(),
        }
    }
}

/// Whether there is an archive.
fn tell(session: &SessionId, archived: Result<ArchiveManifest, ArchiveError>) -> bool {
    match archived {
        Ok(made) => {
            tracing::info!(event = "workarea-archived", session_id = %session, archive = made.id, "workarea archived");
            true
        }
        Err(error) => {
            let error = error_chain(&error);
            tracing::error!(event = "workarea-retained", session_id = %session, error, "a workarea could not be archived and is kept");
            false
        }
    }
}

fn tell_left(session: &SessionId, path: &Path, error: &WorkareaError) {
    let (path, error) = (path.display(), error_chain(error));
    tracing::error!(event = "workarea-retained", session_id = %session, %path, error, "a workarea could not be archived and stays where it is");
}
