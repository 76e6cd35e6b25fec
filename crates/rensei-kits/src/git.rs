//! Kits in git: one commit is fetched, and its files are read from the objects. Nothing is ever checked out, so no link is
//! followed, no filter, hook or submodule runs, and no line ending changes.
//!
//! Objects are libgit2's. What is on this machine is read in place. For HTTP the part of git's protocol that a fetch of
//! one commit needs is spoken here, over the HTTP client and the TLS of the rest of the product: libgit2 would bring
//! OpenSSL for it.

mod http;
mod packet;
mod refs;
mod snapshot;
mod url;

pub(crate) use snapshot::Snapshot;
pub use snapshot::SnapshotError;
pub(crate) use url::Location;

use std::path::PathBuf;
use std::time::Duration;

/// Bounds of a fetch.
#[derive(Debug, Clone, Copy)]
pub struct FetchLimits {
    /// How long all of it may take.
    pub time: Duration,
    /// Bytes that the repository may send.
    pub bytes: u64,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self { time: Duration::from_secs(120), bytes: 64 << 20 }
    }
}

/// Why a repository could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL cannot be used.
    #[error("source URL {url:?} {problem}")]
    Url {
        /// As it was given, without credentials.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The reference cannot be used.
    #[error("ref {name:?} is no branch, tag or commit id")]
    BadRef {
        /// As it was given.
        name: String,
    },
    /// There is nothing of that name.
    #[error("clone {url}: no branch, tag or commit `{name}`")]
    NoRef {
        /// The repository.
        url: String,
        /// What was asked for.
        name: String,
    },
    /// There is not a single commit.
    #[error("clone {url}: the repository is empty")]
    Empty {
        /// The repository.
        url: String,
    },
    /// The server said no, or nothing that makes sense.
    #[error("clone {url}: {problem}")]
    Server {
        /// The repository.
        url: String,
        /// What was the matter.
        problem: String,
    },
    /// The server could not be reached.
    #[error("clone {url}")]
    Http {
        /// The repository.
        url: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// The objects cannot be read.
    #[error("clone {url}")]
    Objects {
        /// The repository.
        url: String,
        /// The cause.
        #[source]
        source: git2::Error,
    },
    /// There is no room for the objects.
    #[error("clone {url}: failed to write {}", path.display())]
    Write {
        /// The repository.
        url: String,
        /// Where.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// It took too long.
    #[error("clone {url}: took longer than {} s", limit.as_secs())]
    TooSlow {
        /// The repository.
        url: String,
        /// The bound.
        limit: Duration,
    },
    /// It is too large.
    #[error("clone {url}: larger than {} MiB", limit >> 20)]
    TooLarge {
        /// The repository.
        url: String,
        /// The bound.
        limit: u64,
    },
}

impl FetchError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Http { .. } | Self::Server { .. } | Self::TooSlow { .. } | Self::Write { .. } => true,
            Self::Url { .. }
            | Self::BadRef { .. }
            | Self::NoRef { .. }
            | Self::Empty { .. }
            | Self::Objects { .. }
            | Self::TooLarge { .. } => false,
        }
    }
}

/// Fetches the commit that `reference` names; empty: what HEAD names.
///
/// # Errors
/// [`FetchError`].
pub(crate) async fn fetch(location: &Location, reference: &str, limits: FetchLimits) -> Result<Snapshot, FetchError> {
    let wanted = refs::Wanted::parse(reference)?;
    let url = location.shown().to_owned();
    let fetched = tokio::time::timeout(limits.time, async {
        match location {
            Location::Local { path, .. } => {
                let (path, url) = (path.clone(), url.clone());
                let opened = tokio::task::spawn_blocking(move || Snapshot::local(&path, &wanted, &url)).await;
                opened.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
            }
            Location::Http(base) => http::fetch(base, &url, &wanted, limits).await,
        }
    });
    fetched.await.unwrap_or(Err(FetchError::TooSlow { url: location.shown().to_owned(), limit: limits.time }))
}
