//! Git's protocol as libgit2 speaks it.

use super::Route;
use crate::alternates::cut_off_alike;
use crate::git::{GitEnvironment, readable};
use crate::local::open_bare;
use crate::network::{Advertised, Fetch, Push, Verdict};
use git2::{
    AutotagOption, Direction, Error, ErrorCode, FetchOptions, FetchPrune, Oid, PushOptions, Remote, RemoteCallbacks,
    RemoteUpdateFlags,
};
use std::cell::RefCell;
use std::sync::atomic::Ordering;

/// Most that is kept of what a remote says to people.
const MAX_WORDS: usize = 4096;

pub(super) fn fetch(route: &Route, fetch: &Fetch, git: &GitEnvironment) -> Result<(), Error> {
    let repository = open_bare(&fetch.git_dir, git)?;
    let mut remote = repository.remote_anonymous(&route.url)?;
    let mut options = FetchOptions::new();
    options.remote_callbacks(callbacks(route)).download_tags(AutotagOption::None).prune(FetchPrune::Off);
    remote
        .connect_auth(Direction::Fetch, Some(callbacks(route)), None)?
        .remote()
        .download(&fetch.refspecs, Some(&mut options))?;
    // First, as what is gone may be in the way of what is new. The objects are here already.
    if fetch.refspecs.iter().any(|refspec| refspec.contains('*')) {
        remote.prune(None)?;
    }
    remote.update_tips(None, RemoteUpdateFlags::empty(), AutotagOption::None, Some("fetch"))?;
    if let Some(source) = &route.local {
        cut_off_alike(source, &fetch.git_dir).map_err(|error| Error::from_str(&error.to_string()))?;
    }
    Ok(())
}

pub(super) fn look_up(route: &Route, name: &str) -> Result<Option<Advertised>, Error> {
    let mut remote = Remote::create_detached(route.url.as_str())?;
    let connection = remote.connect_auth(Direction::Fetch, Some(callbacks(route)), None)?;
    let found = connection.list()?.iter().find(|head| head.name() == name);
    Ok(found.map(|head| Advertised { id: head.oid(), points_to: head.symref_target().map(str::to_owned) }))
}

pub(super) fn push(route: &Route, push: &Push, git: &GitEnvironment) -> Result<Verdict, Error> {
    let repository = open_bare(&push.git_dir, git)?;
    let mut remote = repository.remote_anonymous(&route.url)?;
    let (refusal, said, lost) = (RefCell::new(None), RefCell::new(Vec::new()), RefCell::new(false));
    let mut callbacks = callbacks(route);
    callbacks.push_update_reference(|_, status| {
        *refusal.borrow_mut() = status.map(str::to_owned);
        Ok(())
    });
    callbacks.sideband_progress(|words| {
        let mut said = said.borrow_mut();
        let room = MAX_WORDS - said.len();
        said.extend_from_slice(&words[..words.len().min(room)]);
        !route.is_abandoned()
    });
    callbacks.push_negotiation(|updates| {
        let observed = |tip: Oid| push.replacing.is_none_or(|replacing| tip == replacing);
        if updates.iter().all(|update| observed(update.src())) {
            return Ok(());
        }
        *lost.borrow_mut() = true;
        Err(Error::from_str("somebody else has pushed"))
    });
    let mut options = PushOptions::new();
    options.remote_callbacks(callbacks);
    let force = if push.replacing.is_some() { "+" } else { "" };
    let refspec = format!("{force}{}:refs/heads/{}", push.commit, push.branch);
    let pushed = remote.push(&[refspec], Some(&mut options));
    drop(options);
    if lost.into_inner() {
        return Ok(Verdict::Diverged);
    }
    match (pushed, refusal.into_inner()) {
        (_, Some(why)) => Ok(Verdict::Refused(readable(&[why.as_bytes(), b"\n", &said.into_inner()].concat()))),
        (Ok(()), None) => Ok(Verdict::Taken),
        (Err(error), None) if error.code() == ErrorCode::NotFastForward => Ok(Verdict::Diverged),
        (Err(error), None) => Err(error),
    }
}

/// Ends a transfer that nobody waits for any more.
fn callbacks(route: &Route) -> RemoteCallbacks<'_> {
    let mut callbacks = RemoteCallbacks::new();
    callbacks.transfer_progress(|_| !route.is_abandoned());
    callbacks.sideband_progress(|_| !route.is_abandoned());
    callbacks
}

impl Route {
    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }
}
