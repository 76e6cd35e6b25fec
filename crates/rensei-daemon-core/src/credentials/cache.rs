//! `daemon.jwt`: the last identity, so that a restart is the same worker.

use crate::state::write_atomic;
use rensei_proto::platform::RegisterResponse;
use rensei_proto::{Secret, lenient};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

/// Largest cache file that is read.
const MAX_BYTES: u64 = 64 * 1024;

/// The file, and the control plane whose identity it may hold.
#[derive(Debug)]
pub(crate) struct CredentialCache {
    path: PathBuf,
    orchestrator_url: String,
    sealed: AtomicBool,
    /// Generation of what was written last. Held while something is written.
    written: Mutex<u64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CachedJwt {
    worker_id: String,
    #[serde(serialize_with = "Secret::serialize_exposed")]
    runtime_token: Secret,
    heartbeat_interval: u64,
    poll_interval: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_token_expires_at: Option<String>,
    cached_at: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extensions: Vec<String>,
    /// Control plane that minted the identity. Absent in files of older daemons.
    #[serde(skip_serializing_if = "Option::is_none")]
    orchestrator_url: Option<String>,
    // Spellings of older daemons, read only.
    #[serde(skip_serializing)]
    runtime_jwt: Secret,
    #[serde(skip_serializing)]
    heartbeat_interval_seconds: u64,
    #[serde(skip_serializing)]
    poll_interval_seconds: u64,
}

impl CredentialCache {
    pub(crate) fn new(path: PathBuf, orchestrator_url: &str) -> Self {
        let orchestrator_url = orchestrator_url.trim_end_matches('/').to_owned();
        Self { path, orchestrator_url, sealed: AtomicBool::new(false), written: Mutex::default() }
    }

    /// Whether nothing is written any more: somebody removes what is there.
    pub(crate) fn seal(&self, sealed: bool) {
        self.sealed.store(sealed, Ordering::Release);
    }

    /// The cached identity, if it is usable here. A damaged file is moved aside, never fatal.
    pub(crate) fn load(&self) -> Option<RegisterResponse> {
        let bytes = match read_bounded(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "cached identity cannot be read; registering anew");
                return None;
            }
        };
        let Ok(cached) = lenient::from_slice::<CachedJwt>(&bytes) else {
            self.set_aside();
            return None;
        };
        let foreign = cached.orchestrator_url.as_ref().is_some_and(|url| *url != self.orchestrator_url);
        let token = if cached.runtime_token.is_empty() { cached.runtime_jwt } else { cached.runtime_token };
        let stub = token.expose().starts_with("stub.") || cached.worker_id.ends_with("-stub");
        if foreign || stub || token.is_empty() || cached.worker_id.is_empty() {
            return None;
        }
        let interval = |ms: u64, seconds: u64| if ms == 0 { seconds.saturating_mul(1000) } else { ms };
        Some(RegisterResponse {
            worker_id: cached.worker_id,
            runtime_token: token,
            runtime_token_expires_at: cached.runtime_token_expires_at,
            heartbeat_interval: interval(cached.heartbeat_interval, cached.heartbeat_interval_seconds),
            poll_interval: interval(cached.poll_interval, cached.poll_interval_seconds),
            extensions: cached.extensions,
        })
    }

    /// Writes through, unless a later generation is there already. A failure costs a registration after the next restart
    /// and nothing else, so it is only logged. Waits for the disk.
    pub(crate) fn store(&self, answer: &RegisterResponse, generation: u64) {
        let mut last = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if self.sealed.load(Ordering::Acquire) || *last > generation {
            return;
        }
        *last = generation;
        let cached = CachedJwt {
            worker_id: answer.worker_id.clone(),
            runtime_token: answer.runtime_token.clone(),
            heartbeat_interval: answer.heartbeat_interval,
            poll_interval: answer.poll_interval,
            runtime_token_expires_at: answer.runtime_token_expires_at.clone(),
            cached_at: rensei_proto::rfc3339_seconds(jiff::Timestamp::now()),
            extensions: answer.extensions.clone(),
            orchestrator_url: Some(self.orchestrator_url.clone()),
            ..CachedJwt::default()
        };
        let written = serde_json::to_vec_pretty(&cached)
            .map_err(io::Error::from)
            .and_then(|json| write_atomic(&self.path, &json));
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "identity could not be cached");
        }
    }

    /// A disk on which nothing is written before this is dropped.
    #[cfg(test)]
    pub(crate) fn stalled(&self) -> std::sync::MutexGuard<'_, u64> {
        self.written.lock().unwrap()
    }

    fn set_aside(&self) {
        let mut aside = self.path.clone().into_os_string();
        aside.push(".corrupt");
        let moved = fs::rename(&self.path, &aside);
        tracing::warn!(path = %self.path.display(), moved = moved.is_ok(), "cached identity is damaged; registering anew");
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(dir: &tempfile::TempDir) -> CredentialCache {
        CredentialCache::new(dir.path().join("daemon.jwt"), "http://h/")
    }

    fn answer() -> RegisterResponse {
        RegisterResponse {
            worker_id: "wkr_1".to_owned(),
            runtime_token: Secret::from("a.b.c"),
            heartbeat_interval: 1500,
            poll_interval: 200,
            extensions: vec!["long-poll".to_owned()],
            ..RegisterResponse::default()
        }
    }

    #[test]
    fn round_trip_is_private_and_bound_to_the_control_plane() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        assert!(cache(&dir).load().is_none());
        cache(&dir).store(&answer(), 1);
        let loaded = cache(&dir).load().unwrap();
        assert_eq!((loaded.worker_id.as_str(), loaded.heartbeat_interval), ("wkr_1", 1500));
        assert!(loaded.has_extension("long-poll"));
        let mode = fs::metadata(dir.path().join("daemon.jwt")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(CredentialCache::new(dir.path().join("daemon.jwt"), "http://other").load().is_none());
    }

    #[test]
    fn an_older_identity_that_comes_late_does_not_replace_a_newer_one() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(&dir);
        for (worker, generation) in [("one", 1), ("three", 3), ("two", 2)] {
            cache.store(&RegisterResponse { worker_id: worker.to_owned(), ..answer() }, generation);
        }
        assert_eq!(cache.load().unwrap().worker_id, "three");
    }

    #[test]
    fn legacy_fields_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"workerId":"legacy-wid","runtimeJwt":"legacy.jwt","heartbeatIntervalSeconds":30,"pollIntervalSeconds":5}"#;
        fs::write(dir.path().join("daemon.jwt"), text).unwrap();
        let loaded = cache(&dir).load().unwrap();
        assert_eq!(
            (loaded.runtime_token.expose(), loaded.heartbeat_interval, loaded.poll_interval),
            ("legacy.jwt", 30_000, 5_000)
        );
    }

    #[test]
    fn null_is_the_same_as_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"workerId":"w","runtimeToken":null,"runtimeJwt":"a.b.c","heartbeatInterval":null,"cachedAt":null,
            "pollInterval":null,"runtimeTokenExpiresAt":null,"extensions":null,"orchestratorUrl":null,
            "heartbeatIntervalSeconds":null,"pollIntervalSeconds":null}"#;
        fs::write(dir.path().join("daemon.jwt"), text).unwrap();
        assert_eq!(cache(&dir).load().unwrap().runtime_token.expose(), "a.b.c");
    }

    #[test]
    fn garbage_and_stub_entries_are_no_identity() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.jwt");
        fs::write(&path, "{\"workerId\":").unwrap();
        assert!(cache(&dir).load().is_none());
        assert!(dir.path().join("daemon.jwt.corrupt").exists() && !path.exists());
        for text in [
            r#"{"workerId":"w-stub","runtimeToken":"a.b.c"}"#,
            r#"{"workerId":"w","runtimeToken":"stub.x"}"#,
            r#"{"workerId":"w"}"#,
            r#"{"runtimeToken":"a.b.c"}"#,
        ] {
            fs::write(&path, text).unwrap();
            assert!(cache(&dir).load().is_none(), "{text}");
        }
    }
}
