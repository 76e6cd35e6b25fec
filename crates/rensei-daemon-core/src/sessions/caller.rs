//! Who asks about a session over the control API.
//!
//! A worker of ours shows the token that it found in its environment. A worker of another generation shows nothing and is
//! known by the process that holds the other end of its connection. Both are the host's own children, so neither can be
//! feigned by a process of another session without first taking over one of this session's.

use super::{MARKER, Sessions};
use rensei_process::{env_values, lineage, socket_holders};
use rensei_proto::SessionId;
use std::path::Path;

/// Who asks about a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The session's own worker, which is told everything.
    Worker,
    /// What the worker has started: part of the session, but not trusted with its credentials.
    Descendant,
    /// Nobody's process: a person, or a program of theirs.
    Operator,
    /// A process of another session.
    OtherSession,
}

/// Which sessions run, for a look at processes.
#[derive(Debug)]
struct Workers {
    own: Option<u32>,
    others: Vec<u32>,
    own_directory: String,
    sessions: String,
}

impl Sessions {
    /// Who asks about `id`, having shown `token` over a connection whose other end is the socket with this inode.
    pub(crate) async fn caller(&self, id: &SessionId, token: Option<&str>, socket: Option<u64>) -> Caller {
        if let Some(caller) = token.and_then(|token| self.by_token(id, token)) {
            return caller;
        }
        let Some(inode) = socket else { return Caller::Operator };
        let workers = self.workers(id);
        // A walk over the descriptors of all processes.
        tokio::task::spawn_blocking(move || workers.owner_of(inode)).await.unwrap_or(Caller::Operator)
    }

    /// A token that is nobody's says nothing: clients of other daemons send theirs to everybody.
    fn by_token(&self, id: &SessionId, token: &str) -> Option<Caller> {
        if self.is_token_of(id, token) {
            return Some(Caller::Worker);
        }
        let others =
            self.with_table(|table| table.live().map(|entry| entry.view.session_id.clone()).collect::<Vec<_>>());
        others.iter().any(|other| self.is_token_of(other, token)).then_some(Caller::OtherSession)
    }

    fn workers(&self, id: &SessionId) -> Workers {
        let live = self.with_table(|table| {
            table.live().map(|entry| (entry.view.session_id == *id, entry.view.pid)).collect::<Vec<_>>()
        });
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Workers {
            own: live.iter().find(|(own, _)| *own).map(|(_, pid)| *pid),
            others: live.iter().filter(|(own, _)| !own).map(|(_, pid)| *pid).collect(),
            own_directory: text(&self.directory(id)),
            sessions: text(&self.parts.state.sessions()),
        }
    }
}

impl Workers {
    fn owner_of(&self, inode: u64) -> Caller {
        let holders = socket_holders(inode);
        if self.own.is_some_and(|own| holders.contains(&own)) {
            return Caller::Worker;
        }
        let ancestors: Vec<u32> = holders.iter().flat_map(|pid| lineage(*pid)).collect();
        if ancestors.iter().any(|pid| self.others.contains(pid)) {
            Caller::OtherSession
        } else if self.own.is_some_and(|own| ancestors.contains(&own)) {
            Caller::Descendant
        } else {
            self.marked(&holders)
        }
    }

    /// What has lost its parents still carries its session's marker, unless it hides.
    fn marked(&self, holders: &[u32]) -> Caller {
        let in_sessions = |directory: &str| Path::new(directory).parent() == Some(Path::new(&self.sessions));
        let values = env_values(MARKER);
        let mut carried = values.iter().filter(|(_, pids)| pids.iter().any(|pid| holders.contains(pid)));
        let other = |directory: &str| directory != self.own_directory && in_sessions(directory);
        if carried.any(|(directory, _)| other(directory)) { Caller::OtherSession } else { Caller::Operator }
    }
}
