//! Pushing what is checked out.

use super::{Checkout, WorkareaError};
use crate::alternates::{cut_off_alike, lend};
use crate::blocking::blocking;
use crate::git::GitHints;
use crate::names;
use crate::network::{self, Network, Upstream, Verdict};
use crate::repository::Repository;
use crate::scratch;
use git2::Oid;
use std::path::PathBuf;
use std::sync::Arc;

/// Where to push.
#[derive(Debug, Clone, Default)]
pub struct PushRequest {
    /// Repository; empty: the one that the checkout was made from.
    pub repository: String,
    /// Branch; empty: the one that the checkout was made with.
    pub branch: String,
    /// How to access the repository.
    pub hints: GitHints,
}

/// What the remote has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Branch that holds the work.
    pub branch: String,
    /// Commit at its tip, full id.
    pub commit: String,
    /// Why the branch is another than was asked for.
    pub note: Option<String>,
}

/// Branches that sessions never push to, whatever they were asked.
const RESERVED: [&str; 4] = ["main", "master", "trunk", "HEAD"];

/// Where the work goes.
struct Remote {
    network: Arc<dyn Network>,
    upstream: Upstream,
    /// But for the branch.
    push: network::Push,
}

impl Remote {
    async fn push(&self, branch: &str, replacing: Option<Oid>) -> Result<Verdict, WorkareaError> {
        let push = network::Push { branch: branch.to_owned(), replacing, ..self.push.clone() };
        self.network.push(&self.upstream, push).await.map_err(|failure| failure.error)
    }
}

/// A bare repository that borrows the checkout's objects, removed when dropped.
///
/// The checkout's own configuration and hooks were in the hands of an agent and could make git run anything, with the
/// user's credentials at hand.
struct Sender(PathBuf);

impl Drop for Sender {
    fn drop(&mut self) {
        // It goes with the checkout at the latest.
        let _ = scratch::remove_tree(&self.0);
    }
}

impl Checkout {
    /// Pushes what is checked out. Never overwrites what others pushed: when the branch is reserved or has other
    /// commits on the remote, or the remote refuses it, the work goes to the session's own branch `agent/<session id>`
    /// and the answer says so. That one is replaced if an earlier attempt of the session left it.
    ///
    /// # Errors
    /// [`WorkareaError::PushRejected`] when the remote takes none of the branches; else why it could not be asked.
    pub async fn push(&self, request: PushRequest) -> Result<Pushed, WorkareaError> {
        let place = if request.repository.is_empty() { &self.marker.repository } else { &request.repository };
        let repository = Repository::parse(place)?;
        let checkout = self.clone();
        let (commit, sender) = blocking(move || checkout.prepare()).await?;
        let remote = Remote {
            network: network::network(&self.git),
            upstream: Upstream { repository, hints: request.hints.clone() },
            push: network::Push { git_dir: sender.0.clone(), commit, branch: String::new(), replacing: None },
        };
        let (candidates, mut note) = self.candidates(&request.branch);
        let mut first_refusal = None;
        for branch in &candidates {
            let failure = match self.offer(&remote, branch).await? {
                Verdict::Taken => return Ok(Pushed { branch: branch.clone(), commit: commit.to_string(), note }),
                Verdict::Diverged => "the remote has other commits there".to_owned(),
                Verdict::Refused(why) => why,
            };
            note = note.or_else(|| Some(format!("not pushed to `{branch}`: {failure}")));
            first_refusal.get_or_insert((branch.clone(), failure));
        }
        let (branch, detail) = first_refusal.unwrap_or_default();
        Err(WorkareaError::PushRejected { repository: remote.upstream.repository.shown, branch, detail })
    }

    /// Branches to try in turn, and why the wanted one is not among them.
    fn candidates(&self, wanted: &str) -> (Vec<String>, Option<String>) {
        let session = &self.marker.session_id;
        let wanted = if wanted.is_empty() { &self.marker.branch } else { wanted };
        let own = [names::default_branch(session), names::last_resort_branch(session)];
        let refusal = if !names::is_branch(wanted) {
            Some("is not a valid name")
        } else if RESERVED.contains(&wanted) {
            Some("is reserved")
        } else if self.marker.base_branch.as_deref() == Some(wanted) {
            Some("is the branch that the session started from")
        } else {
            None
        };
        let mut candidates: Vec<String> = refusal.is_none().then(|| wanted.to_owned()).into_iter().collect();
        candidates.extend(own.into_iter().filter(|branch| branch != wanted));
        let shown: String = wanted.chars().take(80).flat_map(char::escape_debug).collect();
        (candidates, refusal.map(|why| format!("not pushed to `{shown}`: it {why}")))
    }

    /// One branch; the session's own one a second time in place of what an earlier attempt left.
    async fn offer(&self, remote: &Remote, branch: &str) -> Result<Verdict, WorkareaError> {
        let verdict = remote.push(branch, None).await?;
        let session = &self.marker.session_id;
        let own = [names::default_branch(session), names::last_resort_branch(session)];
        if !matches!(verdict, Verdict::Diverged) || !own.iter().any(|name| name == branch) {
            return Ok(verdict);
        }
        let name = format!("refs/heads/{branch}");
        let observed = remote.network.look_up(&remote.upstream, &name).await.map_err(|failure| failure.error)?;
        remote.push(branch, observed.map(|observed| observed.id)).await
    }

    fn prepare(&self) -> Result<(Oid, Sender), WorkareaError> {
        let commit = self.tip()?.ok_or_else(|| WorkareaError::Git {
            operation: "push".to_owned(),
            detail: "there is no commit yet".to_owned(),
        })?;
        let git_dir = self.path.join(".git");
        let sender = Sender(scratch::building(&git_dir));
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).no_reinit(true).external_template(false).mkpath(true);
        git2::Repository::init_opts(&sender.0, &options).map_err(|error| WorkareaError::local("push", &error))?;
        lend(&git_dir, &sender.0)
            .and_then(|()| cut_off_alike(&git_dir, &sender.0))
            .map_err(|error| WorkareaError::io("write", &sender.0, error))?;
        Ok((commit, sender))
    }
}
