//! Remotes by the `git` executable: with the credential helpers, ssh configuration and proxies of its user.

use super::{Advertised, Answer, Failure, Fetch, Network, Push, Upstream, Verdict};
use crate::blocking::blocking;
use crate::git::{GitCall, GitEnvironment, GitFailure, REMOTE, classify, readable};
use crate::mirror::remove_stale_locks;
use git2::Oid;
use std::path::Path;

/// How a fetch runs. Refs that are gone at the remote go here, too; objects never do, as checkouts borrow them.
const FETCH: [&str; 10] = [
    "fetch",
    "--quiet",
    "--no-auto-maintenance",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--no-tags",
    "--force",
    "--update-shallow",
    "--prune",
    "--",
];

/// Runs git.
#[derive(Debug)]
pub(super) struct Executable {
    git: GitEnvironment,
}

impl Executable {
    pub(super) fn new(git: GitEnvironment) -> Self {
        Self { git }
    }

    fn call<'a>(&'a self, upstream: &'a Upstream, git_dir: &'a Path) -> GitCall<'a> {
        GitCall { git: &self.git, hints: &upstream.hints, git_dir, url: &upstream.repository.url }
    }

    /// Leaves none of git's locks behind. When it does not end well, the note of it stays: whoever comes next looks, too.
    async fn fetch_once(&self, from: &Upstream, fetch: &Fetch, args: &[&str]) -> Result<(), GitFailure> {
        let result = self.call(from, &fetch.git_dir).run(args, |process| fetch.lock.note(process)).await;
        match &result {
            Ok(_) => fetch.lock.clear(),
            Err(failure) if failure.may_leave_locks() => {
                let git_dir = fetch.git_dir.clone();
                blocking(move || remove_stale_locks(&git_dir)).await;
            }
            Err(_) => {}
        }
        result.map(drop)
    }
}

impl Network for Executable {
    fn fetch<'a>(&'a self, from: &'a Upstream, fetch: Fetch) -> Answer<'a, ()> {
        Box::pin(async move {
            let refspecs = fetch.refspecs.iter().map(String::as_str);
            let args: Vec<&str> = FETCH.into_iter().chain([REMOTE]).chain(refspecs).collect();
            let mut result = self.fetch_once(from, &fetch, &args).await;
            if result.as_ref().is_err_and(GitFailure::met_lock) {
                // Left by somebody who is no more, as nobody else may change the repository now. It is gone.
                result = self.fetch_once(from, &fetch, &args).await;
            }
            result.map_err(|failure| failed(fetch.operation, from, &failure, Some(&fetch.git_dir)))
        })
    }

    fn look_up<'a>(&'a self, at: &'a Upstream, name: &'a str) -> Answer<'a, Option<Advertised>> {
        Box::pin(async move {
            // No repository here has a part in this.
            let call = self.call(at, Path::new("/"));
            let listing = call.run(&["ls-remote", "--symref", "--", REMOTE, name], |_| ()).await;
            let listing = listing.map_err(|failure| failed("list", at, &failure, None))?;
            Ok(find(&String::from_utf8_lossy(&listing), name))
        })
    }

    fn push<'a>(&'a self, to: &'a Upstream, push: Push) -> Answer<'a, Verdict> {
        Box::pin(async move {
            let Push { git_dir, commit, branch, replacing } = &push;
            let mut args = ["push", "--porcelain", "--no-verify", "--no-signed"].map(str::to_owned).to_vec();
            args.extend(replacing.map(|observed| format!("--force-with-lease=refs/heads/{branch}:{observed}")));
            args.extend(["--".to_owned(), REMOTE.to_owned(), format!("{commit}:refs/heads/{branch}")]);
            match self.call(to, git_dir).run(&args, |_| ()).await {
                Ok(_) => Ok(Verdict::Taken),
                Err(failure) => verdict(&failure).ok_or_else(|| failed("push to", to, &failure, None)),
            }
        })
    }
}

fn failed(operation: &str, upstream: &Upstream, failure: &GitFailure, git_dir: Option<&Path>) -> Failure {
    Failure {
        error: classify(operation, &upstream.repository.shown, failure),
        damage: git_dir.is_some_and(|git_dir| failure.is_damage(&git_dir.display().to_string())),
        ended: matches!(failure, GitFailure::Exit { .. }),
    }
}

/// Reads the listing of `git ls-remote --symref`, which has more than what was asked for.
fn find(listing: &str, name: &str) -> Option<Advertised> {
    let (mut id, mut points_to) = (None, None);
    for (value, _) in listing.lines().filter_map(|line| line.split_once('\t')).filter(|(_, found)| *found == name) {
        match value.strip_prefix("ref: ") {
            Some(target) => points_to = Some(target.to_owned()),
            None => id = id.or_else(|| Oid::from_str(value).ok()),
        }
    }
    Some(Advertised { id: id?, points_to })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reference_of_a_listing() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let found = |points_to: Option<&str>| {
            Some(Advertised { id: Oid::from_str(id).unwrap(), points_to: points_to.map(str::to_owned) })
        };
        let listing = format!("ref: refs/heads/a/b\tHEAD\n{id}\tHEAD\n{id}\trefs/remotes/origin/HEAD\n");
        assert_eq!(find(&listing, "HEAD"), found(Some("refs/heads/a/b")));
        assert_eq!(find(&listing, "refs/remotes/origin/HEAD"), found(None));
        for nothing in ["", "garbage", "x\tHEAD\n", "ref: refs/heads/x\tHEAD\n", &format!("{id}\trefs/x/HEAD\n")] {
            assert_eq!(find(nothing, "HEAD"), None, "{nothing}");
        }
    }
}
