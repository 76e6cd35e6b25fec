//! Remotes by libgit2, on a machine without the `git` executable.
//!
//! libgit2 speaks git's protocol. Over http and https it does so through a [`Relay`](relay::Relay) in this process,
//! which has the TLS, the proxies, the bounds and the credentials; what is on this machine it opens in place.

mod local;
mod place;
mod relay;
mod wire;

use super::{Advertised, Answer, Failure, Fetch, Network, Push, Upstream, Verdict};
use crate::WorkareaError;
use crate::blocking::blocking;
use crate::git::{GitEnvironment, readable};
use crate::mirror::remove_stale_locks;
use git2::{ErrorClass, ErrorCode};
use place::Place;
use relay::Relay;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long work that is not wanted any more may take to notice.
const GRACE: Duration = Duration::from_secs(2);

/// Calls libgit2.
#[derive(Debug)]
pub(super) struct Library {
    git: GitEnvironment,
}

/// How libgit2 gets to a remote.
#[derive(Debug, Clone)]
struct Route {
    /// What libgit2 is given.
    url: String,
    /// The repository's own directory when it is on this machine.
    local: Option<PathBuf>,
    /// Whether the answer is no longer wanted.
    abandoned: Arc<AtomicBool>,
}

/// Tells the work of a call that nobody waits for it any more.
struct Leash(Arc<AtomicBool>);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Network for Library {
    fn fetch<'a>(&'a self, from: &'a Upstream, fetch: Fetch) -> Answer<'a, ()> {
        let git = self.git.clone();
        Box::pin(self.call(fetch.operation, from, move |route| {
            fetch.lock.note_own_work();
            let mut fetched = wire::fetch(route, &fetch, &git);
            if fetched.as_ref().is_err_and(|error| error.code() == ErrorCode::Locked) {
                // Left by somebody who is no more, as nobody else may change the repository now.
                remove_stale_locks(&fetch.git_dir);
                fetched = wire::fetch(route, &fetch, &git);
            }
            // Otherwise whoever comes next looks after locks.
            if fetched.is_ok() {
                fetch.lock.clear();
            }
            fetched
        }))
    }

    fn look_up<'a>(&'a self, at: &'a Upstream, name: &'a str) -> Answer<'a, Option<Advertised>> {
        let name = name.to_owned();
        Box::pin(self.call("list", at, move |route| wire::look_up(route, &name)))
    }

    fn push<'a>(&'a self, to: &'a Upstream, push: Push) -> Answer<'a, Verdict> {
        let git = self.git.clone();
        Box::pin(self.call("push to", to, move |route| match &route.local {
            Some(target) => local::push(target, &push, &git),
            None => wire::push(route, &push, &git),
        }))
    }
}

impl Library {
    pub(super) fn new(git: GitEnvironment) -> Self {
        Self { git }
    }

    /// Lets libgit2 work on a thread of its own.
    async fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        upstream: &Upstream,
        work: impl FnOnce(&Route) -> Result<T, git2::Error> + Send + 'static,
    ) -> Result<T, Failure> {
        let shown = &upstream.repository.shown;
        let repository = upstream.repository.clone();
        let (relay, url, local) = match blocking(move || Place::of(&repository)).await? {
            Place::Local(path) => (None, path.display().to_string(), Some(path)),
            Place::Http(url) => {
                let relay = Relay::open(upstream, url, &self.git).await?;
                let url = relay.url();
                (Some(relay), url, None)
            }
        };
        let route = Route { url, local, abandoned: Arc::default() };
        let leash = Leash(Arc::clone(&route.abandoned));
        let mut job = Box::pin(blocking(move || work(&route)));
        let Ok(result) = tokio::time::timeout(self.git.time_limit, &mut job).await else {
            drop((leash, relay));
            // It still writes to what is going to be removed.
            let _ = tokio::time::timeout(GRACE, job).await;
            return Err(stopped(shown, self.git.time_limit));
        };
        // The relay knows best what is wrong with the remote.
        let trouble = relay.and_then(|relay| relay.trouble());
        result.map_err(|error| match trouble {
            Some(error) => error.into(),
            None => failed(operation, shown, &error),
        })
    }
}

impl From<WorkareaError> for Failure {
    fn from(error: WorkareaError) -> Self {
        Self { error, damage: false, ended: true }
    }
}

fn stopped(shown: &str, limit: Duration) -> Failure {
    let detail = format!("it was given up after {} seconds", limit.as_secs_f32());
    let error = WorkareaError::Unreachable { repository: shown.to_owned(), detail };
    Failure { error, damage: false, ended: false }
}

/// What an error of libgit2 stands for.
fn failed(operation: &str, shown: &str, error: &git2::Error) -> Failure {
    let (repository, detail) = (shown.to_owned(), readable(error.message().as_bytes()));
    let damage = matches!(
        error.class(),
        ErrorClass::Odb
            | ErrorClass::Object
            | ErrorClass::Zlib
            | ErrorClass::Indexer
            | ErrorClass::Config
            | ErrorClass::Repository
            | ErrorClass::Reference
    );
    let error = match (error.code(), error.class()) {
        (ErrorCode::Owner, _) => WorkareaError::Denied { repository, detail: format!("dubious ownership: {detail}") },
        (ErrorCode::Eof, _) | (_, ErrorClass::Net | ErrorClass::Http) => {
            WorkareaError::Unreachable { repository, detail }
        }
        _ => WorkareaError::local(&format!("{operation} `{repository}`"), error),
    };
    Failure { error, damage, ended: true }
}
