//! What can be wrong with a request about kits.

use crate::git::{FetchError, SnapshotError};
use crate::manifest::ManifestError;
use crate::names::InvalidKitId;
use rensei_proto::ErrorBody;
use rensei_proto::control::KitTrust;
use std::path::PathBuf;

/// What can be wrong with a request about kits.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// The id is none.
    #[error(transparent)]
    Id(InvalidKitId),
    /// No kit of that id.
    #[error("{id}: kit not found")]
    NotFound {
        /// The id.
        id: String,
    },
    /// No source of that name.
    #[error("{name}: kit source not found")]
    SourceNotFound {
        /// The name.
        name: String,
    },
    /// The request does not say where the kit is.
    #[error("{id}: kit install: remote registry fetch not implemented in this wave")]
    NoSource {
        /// The kit.
        id: String,
    },
    /// The source is of a kind that exists and that nothing is fetched from yet.
    #[error("{id}: kit install: federation source kind not yet implemented (kind={kind}; use git)")]
    NotYet {
        /// The kit.
        id: String,
        /// The kind.
        kind: String,
    },
    /// The source is of no known kind.
    #[error("kit install: unknown source kind {kind:?} for {id}")]
    UnknownKind {
        /// The kit.
        id: String,
        /// The kind.
        kind: String,
    },
    /// The operator has switched the scan paths off.
    #[error("{id}: kit install: source local is disabled")]
    LocalDisabled {
        /// The kit.
        id: String,
    },
    /// The repository could not be fetched.
    #[error("kit install: source fetch failed")]
    Fetch {
        /// The kit.
        id: String,
        /// The URL, without credentials.
        url: String,
        /// The cause.
        #[source]
        source: FetchError,
    },
    /// There is no usable manifest of that kit in it.
    #[error("kit install: manifest not found in fetched source")]
    Manifest {
        /// The kit.
        id: String,
        /// The cause.
        #[source]
        source: Unusable,
    },
    /// The kit is not trusted.
    #[error("{id}: kit install: trust gate rejected (signed-by-allowlist requires verified signature)")]
    Gate {
        /// The kit.
        id: String,
        /// What its signature is worth.
        trust: KitTrust,
        /// Why it is not worth more.
        details: String,
    },
    /// The kit's file name is that of another kit.
    #[error("{id}: kit install: {} belongs to kit {owner}", path.display())]
    NameTaken {
        /// The kit.
        id: String,
        /// The file.
        path: PathBuf,
        /// Id of the other kit.
        owner: String,
    },
    /// The disk refused.
    #[error("failed to store {what} in {}", path.display())]
    Store {
        /// What was to be stored.
        what: String,
        /// Where.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// Why what was fetched holds no such kit.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The path leads out of the repository.
    #[error("manifestPath {path:?} must be a relative path without `..`")]
    Path {
        /// As it was given.
        path: String,
    },
    /// A file cannot be read.
    #[error(transparent)]
    File(SnapshotError),
    /// It is no manifest.
    #[error(transparent)]
    Manifest(ManifestError),
    /// No manifest has the id.
    #[error("{}", none_of(found, broken))]
    NoneOfThatId {
        /// Ids of the kits that there are.
        found: Vec<String>,
        /// Manifests that cannot be read, with the reason.
        broken: Vec<String>,
    },
    /// Several manifests have the id.
    #[error("several manifests have that id ({}); name one with manifestPath", paths.join(", "))]
    Several {
        /// Their paths.
        paths: Vec<String>,
    },
    /// It is another kit.
    #[error("the manifest's kit.id is {found}")]
    OtherId {
        /// Its id.
        found: String,
    },
    /// It is another version.
    #[error("the manifest's kit.version is {found:?}, not {wanted:?}")]
    OtherVersion {
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// A file that it describes is another one.
    #[error("{path} is not the file that [files] describes")]
    OtherFile {
        /// Its path.
        path: String,
    },
    /// It brings too much.
    #[error("its files are more than {limit} KiB")]
    TooLarge {
        /// The bound, KiB.
        limit: u64,
    },
}

fn none_of(found: &[String], broken: &[String]) -> String {
    let mut parts = match found {
        [] => vec!["there is no kit".to_owned()],
        found => vec![format!("the kits there are: {}", found.join(", "))],
    };
    parts.extend(broken.iter().cloned());
    parts.join("; ")
}

impl KitError {
    /// Status of the answer that says so.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        match self {
            Self::Id(_) | Self::UnknownKind { .. } => 400,
            Self::Gate { .. } => 403,
            Self::NotFound { .. } | Self::SourceNotFound { .. } => 404,
            Self::LocalDisabled { .. } | Self::NameTaken { .. } => 409,
            Self::Manifest { .. } => 422,
            Self::Store { .. } => 500,
            Self::NoSource { .. } | Self::NotYet { .. } => 501,
            Self::Fetch { .. } => 502,
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Fetch { source, .. } if source.is_retryable())
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } => Some("kits of this host: `rensei kit list`".to_owned()),
            Self::SourceNotFound { .. } => Some("sources of this host: `rensei kit sources list`".to_owned()),
            Self::NoSource { id } | Self::NotYet { id, .. } | Self::UnknownKind { id, .. } => {
                Some(format!("name its repository: `rensei kit install {id} --git <url>`"))
            }
            Self::LocalDisabled { .. } => Some("use it again: `rensei kit sources enable local`".to_owned()),
            Self::Gate { id, .. } => Some(format!(
                "name the signer in trust.issuerSet, or install it once without: \
                 `rensei kit install {id} --git <url> --trust-override allowed-this-once`"
            )),
            Self::Manifest { .. } => Some("name what the repository has: `rensei kit install --help`".to_owned()),
            Self::Id(_) | Self::Fetch { .. } | Self::NameTaken { .. } | Self::Store { .. } => None,
        }
    }

    /// Body of the answer that says so.
    #[must_use]
    pub fn body(&self, message: String) -> ErrorBody {
        let body = ErrorBody::new(message);
        let body = match self {
            Self::Id(_) | Self::NotFound { .. } | Self::UnknownKind { .. } | Self::Store { .. } => body,
            Self::SourceNotFound { name } => body.with("source", name.clone()),
            Self::NoSource { id } => body.with("kitId", id.clone()).with("details", "the body has no `source`"),
            Self::NotYet { id, kind } => body
                .with("kitId", id.clone())
                .with("kind", kind.clone())
                .with("details", "kits are installed from git; registries follow"),
            Self::LocalDisabled { id } | Self::Manifest { id, .. } | Self::NameTaken { id, .. } => {
                body.with("kitId", id.clone())
            }
            Self::Fetch { id, url, .. } => body.with("kitId", id.clone()).with("source", url.clone()),
            Self::Gate { id, trust, details } => {
                body.with("kitId", id.clone()).with("trust", trust.as_str()).with("details", details.clone())
            }
        };
        match self.hint() {
            Some(hint) => body.hint(hint),
            None => body,
        }
    }
}
