//! A directory of kits, and repositories to install from.

use rensei_kits::{FetchLimits, Registry, RegistryOptions, TrustPolicy};
use rensei_proto::control::{KitInstallRequest, KitInstallResult, KitInstallSource};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub(crate) fn kit(id: &str, more: &str) -> String {
    format!("{more}\n[kit]\nid = \"{id}\"\n")
}

pub(crate) fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// A host's kits.
pub(crate) struct Home {
    dir: TempDir,
    registry: Arc<Registry>,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::trusting(TrustPolicy::default())
    }

    pub(crate) fn trusting(trust: TrustPolicy) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let limits = FetchLimits { time: Duration::from_secs(60), bytes: 4 << 20 };
        let options = RegistryOptions { scan_paths: vec![dir.path().join("kits")], trust, limits };
        Self { dir, registry: Arc::new(Registry::new(options)) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.registry.scan_paths()[0]
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn shared(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }

    /// Names in the directory of kits, without the lock.
    pub(crate) fn names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.dir.path().join("kits")) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != ".install.lock").collect();
        names.sort();
        names
    }

    pub(crate) async fn install(
        &self,
        id: &str,
        source: &KitInstallSource,
    ) -> Result<KitInstallResult, rensei_kits::KitError> {
        let request = KitInstallRequest { source: Some(source.clone()), ..KitInstallRequest::default() };
        self.shared().install(id, request).await
    }

    /// Status and whole text of a refusal.
    pub(crate) async fn refused(&self, id: &str, source: &KitInstallSource) -> (u16, String) {
        let error = self.install(id, source).await.unwrap_err();
        (error.http_status(), rensei_proto::error_chain(&error))
    }
}

/// A repository.
pub(crate) struct Repo {
    dir: TempDir,
}

impl Repo {
    pub(crate) fn new() -> Self {
        let repo = Self { dir: tempfile::tempdir().unwrap() };
        repo.git(&["init", "-q", "-b", "main"]);
        repo
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    pub(crate) fn source(&self) -> KitInstallSource {
        let url = format!("file://{}", self.dir.path().display());
        KitInstallSource { kind: "git".to_owned(), url, ..KitInstallSource::default() }
    }

    pub(crate) fn put(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Commits everything and returns the id.
    pub(crate) fn commit(&self) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "x"]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "core.autocrlf=false"])
            .args(args)
            .current_dir(self.dir.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}
