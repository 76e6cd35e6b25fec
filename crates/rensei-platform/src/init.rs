//! Setting up a tenant.

use crate::clock::SystemClock;
use crate::data_dir::{DataDir, DataDirError};
use crate::storage::sqlite::SqliteStorage;
use crate::storage::{Bootstrap, StorageError, Store, Timing};
use crate::tokens::{Minted, TokenKind};
use rensei_proto::Secret;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;

/// Longest slug: it fits a DNS label.
const MAX_SLUG: usize = 63;

/// What to set up, and where.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// Directory of the control plane; created if it is not there.
    pub data_dir: PathBuf,
    /// Slug of the organisation.
    pub org: String,
    /// Slug of the project.
    pub project: String,
    /// Repository of the project; `None` leaves that of an existing project as it is.
    pub repository: Option<String>,
}

/// What was set up. The tokens are shown here and never again.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InitOutput {
    /// Id of the organisation.
    pub org_id: String,
    /// Id of the project.
    pub project_id: String,
    /// Registers hosts that work for this project.
    #[serde(serialize_with = "Secret::serialize_exposed")]
    pub registration_token: Secret,
    /// Operates the organisation: sessions and workers; also registers hosts that work for all its projects.
    #[serde(serialize_with = "Secret::serialize_exposed")]
    pub api_key: Secret,
    /// Reports on sessions on behalf of any worker of the organisation.
    #[serde(serialize_with = "Secret::serialize_exposed")]
    pub worker_api_key: Secret,
}

/// The tenant could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A name does not follow the grammar.
    #[error(
        "invalid {field} `{}`: use 1 to {MAX_SLUG} of a-z, 0-9 and -, starting and ending with a letter or digit",
        value.escape_debug()
    )]
    InvalidSlug {
        /// Which name.
        field: &'static str,
        /// The name.
        value: String,
    },
    /// The repository cannot be one.
    #[error("invalid repository: {reason}")]
    InvalidRepository {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The directory cannot be used.
    #[error("cannot use the data directory")]
    DataDir(#[from] DataDirError),
    /// The database failed.
    #[error("cannot set up the database in {}", data_dir.display())]
    Storage {
        /// Directory of the control plane.
        data_dir: PathBuf,
        /// Why.
        source: StorageError,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random(#[from] getrandom::Error),
}

impl InitError {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::InvalidSlug { field, .. } => Some(format!("for example `--{field} my-{field}`")),
            Self::InvalidRepository { .. } => Some("pass the URL or path that `git clone` takes".to_owned()),
            Self::DataDir(error) => error.hint(),
            Self::Storage { .. } | Self::Random(_) => None,
        }
    }
}

fn check_slug(field: &'static str, value: &str) -> Result<(), InitError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let well_formed = (1..=MAX_SLUG).contains(&value.len())
        && value.bytes().all(allowed)
        && !value.starts_with('-')
        && !value.ends_with('-');
    if well_formed { Ok(()) } else { Err(InitError::InvalidSlug { field, value: value.chars().take(80).collect() }) }
}

/// Whether `text` can be handed to git as a repository; else what is wrong with it.
pub(crate) fn check_repository(text: &str) -> Result<(), &'static str> {
    match text {
        "" => Err("it is empty"),
        text if text.len() > 2_048 => Err("it is longer than 2048 bytes"),
        text if text.starts_with('-') => Err("it starts with `-`"),
        text if text.chars().any(char::is_control) => Err("it has control characters"),
        text if text.trim() != text => Err("it starts or ends with white space"),
        _ => Ok(()),
    }
}

/// Makes organisation and project unless they exist, and mints a set of tokens. Works beside a running server.
///
/// # Errors
/// [`InitError`]; nothing was set up then.
pub async fn init(options: InitOptions) -> Result<InitOutput, InitError> {
    check_slug("org", &options.org)?;
    check_slug("project", &options.project)?;
    if let Some(repository) = &options.repository {
        check_repository(repository).map_err(|reason| InitError::InvalidRepository { reason })?;
    }
    let path = DataDir::open(&options.data_dir)?.database()?;
    let registration = Minted::new(TokenKind::Registration)?;
    let (api, worker) = (Minted::new(TokenKind::Api)?, Minted::new(TokenKind::Worker)?);
    let wanted = Bootstrap {
        org: options.org,
        project: options.project,
        repository: options.repository,
        tokens: vec![(registration.clone(), true), (api.clone(), false), (worker.clone(), false)],
    };
    let made = set_up(&path, wanted).await;
    let made = made.map_err(|source| InitError::Storage { data_dir: options.data_dir, source })?;
    Ok(InitOutput {
        org_id: made.org_id,
        project_id: made.project_id,
        registration_token: registration.secret,
        api_key: api.secret,
        worker_api_key: worker.secret,
    })
}

async fn set_up(path: &std::path::Path, wanted: Bootstrap) -> Result<crate::storage::Bootstrapped, StorageError> {
    // No lease is granted here, so the periods do not matter.
    let timing = Timing { lease: 0, accept: 0, offline: 0 };
    let storage = SqliteStorage::open(path, Arc::new(SystemClock::default()), timing).await?;
    let made = storage.bootstrap(wanted).await;
    storage.close().await;
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_and_repositories() {
        for good in ["a", "acme", "acme-2", "0-0", &"x".repeat(63)] {
            assert!(check_slug("org", good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a b", "ä", "a/b", &"x".repeat(64)] {
            assert!(check_slug("org", bad).is_err(), "{bad}");
        }
        for good in ["https://example.com/a.git", "git@example.com:a/b.git", "/srv/git/a", "file:///a b"] {
            assert!(check_repository(good).is_ok(), "{good}");
        }
        for bad in ["", "--upload-pack=x", "a\nb", " a", "a\0"] {
            assert!(check_repository(bad).is_err(), "{bad}");
        }
    }
}
