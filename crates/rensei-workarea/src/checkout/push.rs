//! Pushing what is checked out.

use super::{Checkout, WorkareaError};
use crate::git::{GitCall, GitFailure, GitHints, REMOTE, classify, readable};
use crate::mirror::blocking;
use crate::names;
use crate::repository::Repository;
use crate::scratch;
use std::path::{Path, PathBuf};

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

/// What a remote made of one push.
enum Verdict {
    Taken,
    /// It has other commits on that branch.
    Diverged,
    /// It does not want that branch.
    Refused(String),
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
        let hints = &request.hints;
        let call = GitCall { git: &self.git, hints, git_dir: &sender.0, url: &repository.url };
        let (candidates, mut note) = self.candidates(&request.branch);
        let mut first_refusal = None;
        for branch in &candidates {
            let failure = match self.offer(&call, branch, &commit, &repository.shown).await? {
                Verdict::Taken => return Ok(Pushed { branch: branch.clone(), commit, note }),
                Verdict::Diverged => "the remote has other commits there".to_owned(),
                Verdict::Refused(why) => why,
            };
            note = note.or_else(|| Some(format!("not pushed to `{branch}`: {failure}")));
            first_refusal.get_or_insert((branch.clone(), failure));
        }
        let (branch, detail) = first_refusal.unwrap_or_default();
        Err(WorkareaError::PushRejected { repository: repository.shown, branch, detail })
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
    async fn offer(
        &self,
        call: &GitCall<'_>,
        branch: &str,
        commit: &str,
        shown: &str,
    ) -> Result<Verdict, WorkareaError> {
        let verdict = push_once(call, branch, commit, None, shown).await?;
        let session = &self.marker.session_id;
        let own = [names::default_branch(session), names::last_resort_branch(session)];
        if !matches!(verdict, Verdict::Diverged) || !own.iter().any(|name| name == branch) {
            return Ok(verdict);
        }
        match remote_value(call, branch, shown).await? {
            Some(observed) => push_once(call, branch, commit, Some(&observed), shown).await,
            None => push_once(call, branch, commit, None, shown).await,
        }
    }

    fn prepare(&self) -> Result<(String, Sender), WorkareaError> {
        let commit = self.head()?.ok_or_else(|| WorkareaError::Git {
            operation: "push".to_owned(),
            detail: "there is no commit yet".to_owned(),
        })?;
        let git_dir = self.path.join(".git");
        let sender = Sender(scratch::building(&git_dir));
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).no_reinit(true).external_template(false).mkpath(true);
        git2::Repository::init_opts(&sender.0, &options).map_err(|error| WorkareaError::local("push", &error))?;
        lend(&git_dir, &sender.0).map_err(|error| WorkareaError::io("write", &sender.0, error))?;
        Ok((commit, sender))
    }
}

/// Lets `to` use the objects of `from`, and know where its history is cut off if it is.
fn lend(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to.join("objects/info"))?;
    std::fs::write(to.join("objects/info/alternates"), format!("{}\n", from.join("objects").display()))?;
    match std::fs::copy(from.join("shallow"), to.join("shallow")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn push_once(
    call: &GitCall<'_>,
    branch: &str,
    commit: &str,
    replacing: Option<&str>,
    shown: &str,
) -> Result<Verdict, WorkareaError> {
    let mut args =
        vec!["push".to_owned(), "--porcelain".to_owned(), "--no-verify".to_owned(), "--no-signed".to_owned()];
    args.extend(replacing.map(|observed| format!("--force-with-lease=refs/heads/{branch}:{observed}")));
    args.extend(["--".to_owned(), REMOTE.to_owned(), format!("{commit}:refs/heads/{branch}")]);
    let failure = match call.run(&args, |_| ()).await {
        Ok(_) => return Ok(Verdict::Taken),
        Err(failure) => failure,
    };
    verdict(&failure).ok_or_else(|| classify("push to", shown, &failure))
}

/// What the remote said about the branch; none when the push did not get that far.
fn verdict(failure: &GitFailure) -> Option<Verdict> {
    let GitFailure::Exit { stdout, stderr, .. } = failure else { return None };
    let report = String::from_utf8_lossy(stdout);
    let summary = report.lines().find_map(|line| line.strip_prefix("!\t")?.split('\t').nth(1))?;
    let remote_words = String::from_utf8_lossy(stderr);
    let remote_words: Vec<&str> = remote_words.lines().filter(|line| line.starts_with("remote:")).take(4).collect();
    let said = readable(format!("{summary}\n{}", remote_words.join("\n")).as_bytes());
    Some(if summary.starts_with("[rejected]") { Verdict::Diverged } else { Verdict::Refused(said) })
}

/// Commit that a branch of the remote is at.
async fn remote_value(call: &GitCall<'_>, branch: &str, shown: &str) -> Result<Option<String>, WorkareaError> {
    let name = format!("refs/heads/{branch}");
    let listing = call.run(&["ls-remote", "--", REMOTE, &name], |_| ()).await;
    let listing = listing.map_err(|failure| classify("list", shown, &failure))?;
    let text = String::from_utf8_lossy(&listing).into_owned();
    let value = text.lines().filter_map(|line| line.split_once('\t')).find(|(_, found)| *found == name);
    Ok(value.map(|(id, _)| id.to_owned()).filter(|id| crate::mirror::is_full_id(id)))
}
