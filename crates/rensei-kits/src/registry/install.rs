//! Installation: fetch, find the manifest, look at its signature, and only then write.

use super::sources::{LOCAL, NOT_YET};
use super::store::{self, Bytes};
use super::{Entry, KitError, Registry, view};
use crate::git::{self, Location, Snapshot, SnapshotError};
use crate::kit::Kit;
use crate::manifest::{MAX_MANIFEST_BYTES, Manifest};
use crate::names::{KitId, is_relative};
use crate::trust::{MAX_BUNDLE_BYTES, Signature};
use rensei_proto::control::{KitInstallRequest, KitInstallResult, KitInstallSource};
use rensei_proto::error_chain;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::Unusable;

/// The one value of `trustOverride` that has an effect.
const ALLOWED_ONCE: &str = "allowed-this-once";
/// Largest file that a kit brings, and largest sum of them.
const MAX_FILE: u64 = 1 << 20;
const MAX_FILES_KIB: u64 = 8 << 10;

/// A kit as it was fetched, in memory: what is verified is what is written.
struct Fetched {
    kit: Kit,
    bytes: Bytes,
    warnings: Vec<String>,
}

impl Registry {
    /// Installs a kit into the first scan path, replacing an earlier version. Nothing is written unless everything else has
    /// succeeded.
    ///
    /// # Errors
    /// [`KitError`].
    pub async fn install(self: Arc<Self>, id: &str, request: KitInstallRequest) -> Result<KitInstallResult, KitError> {
        let id = KitId::parse(id).map_err(KitError::Id)?;
        let source = self.check_request(&id, &request)?;
        let failed = |url: &str, source| KitError::Fetch { id: id.to_string(), url: url.to_owned(), source };
        let location = Location::parse(&source.url).map_err(|error| failed("", error))?;
        let snapshot = git::fetch(&location, &source.r#ref, self.options.limits).await;
        let snapshot = snapshot.map_err(|error| failed(location.shown(), error))?;
        let work = tokio::task::spawn_blocking(move || self.land(&id, &request, &source.manifest_path, &snapshot));
        work.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    fn check_request(&self, id: &KitId, request: &KitInstallRequest) -> Result<KitInstallSource, KitError> {
        let id = id.to_string();
        let Some(source) = request.source.clone() else { return Err(KitError::NoSource { id }) };
        match source.kind.as_str() {
            "git" if !self.state().source_enabled(LOCAL) => Err(KitError::LocalDisabled { id }),
            "git" => Ok(source),
            kind if NOT_YET.contains(&kind) => Err(KitError::NotYet { id, kind: source.kind }),
            _ => Err(KitError::UnknownKind { id, kind: source.kind.chars().take(80).collect() }),
        }
    }

    fn land(
        &self,
        id: &KitId,
        request: &KitInstallRequest,
        manifest_path: &str,
        snapshot: &Snapshot,
    ) -> Result<KitInstallResult, KitError> {
        let unusable = |source| KitError::Manifest { id: id.to_string(), source };
        let fetched = collect(id, &request.version, manifest_path, snapshot).map_err(unusable)?;
        let allowed = &self.options.trust.identities;
        let signature = self.verifier().verify(&fetched.bytes.manifest, fetched.bytes.bundle.as_deref(), allowed);
        self.gate(id, &fetched.kit, &signature, &request.trust_override)?;
        let path = self.write(id, &fetched.bytes)?;
        let trust = signature.trust.as_str();
        tracing::info!(event = "kit.install", kit = id.as_str(), trust, path = %path.display(), "kit installed");
        let kit = Arc::new(Kit { path, ..fetched.kit });
        let entry = Entry { kit, signature: Arc::new(signature), enabled: true, shadows: Vec::new() };
        let message = "kit installed from git source".to_owned();
        Ok(KitInstallResult { kit: view::summary(&entry), message, warnings: fetched.warnings })
    }

    fn gate(&self, id: &KitId, kit: &Kit, signature: &Signature, trust_override: &str) -> Result<(), KitError> {
        let trust = &self.options.trust;
        if trust.admits(signature.trust) {
            return Ok(());
        }
        if trust_override != ALLOWED_ONCE {
            let details = signature.details.clone();
            return Err(KitError::Gate { id: id.to_string(), trust: signature.trust, details });
        }
        let signer = signature.signer.as_deref().unwrap_or(&kit.manifest.kit.author_identity);
        let actor = trust.actor.clone().unwrap_or_else(|| format!("uid:{}", rustix::process::getuid().as_raw()));
        tracing::info!(
            event = "kit.trust.override",
            kitId = id.as_str(),
            signerId = signer,
            actor,
            at = rensei_proto::rfc3339_seconds(jiff::Timestamp::now()),
            "kit install: trust gate bypassed via trustOverride=allowed-this-once"
        );
        Ok(())
    }

    fn write(&self, id: &KitId, bytes: &Bytes) -> Result<PathBuf, KitError> {
        let _held = self.cache();
        let (home, stem) = (self.home(), id.file_stem());
        let path = store::manifest_path(home, &stem);
        if let Some(owner) = owner(&path).filter(|owner| owner != id) {
            return Err(KitError::NameTaken { id: id.to_string(), path, owner: owner.to_string() });
        }
        store::write(home, &stem, bytes).map_err(|source| KitError::Store {
            what: format!("kit {id}"),
            path: home.to_owned(),
            source,
        })
    }
}

/// The kit whose manifest the file is.
fn owner(path: &Path) -> Option<KitId> {
    let bytes = super::scan::read_bounded(path, MAX_MANIFEST_BYTES).ok()?;
    Manifest::parse(path, &bytes).ok().map(|(manifest, _)| manifest.kit.id)
}

/// Everything of the kit that was asked for.
fn collect(id: &KitId, version: &str, manifest_path: &str, snapshot: &Snapshot) -> Result<Fetched, Unusable> {
    let (path, manifest) = if manifest_path.is_empty() { find(id, snapshot)? } else { named(manifest_path, snapshot)? };
    let kit = Kit::read(Path::new(&path), &manifest).map_err(Unusable::Manifest)?;
    if kit.id() != id {
        return Err(Unusable::OtherId { found: kit.id().to_string() });
    }
    let found = &kit.manifest.kit.version;
    if !version.is_empty() && version != found {
        return Err(Unusable::OtherVersion { wanted: version.to_owned(), found: found.clone() });
    }
    let bundle = match snapshot.read(&format!("{path}.sigstore"), MAX_BUNDLE_BYTES) {
        Ok(bundle) => Some(bundle),
        Err(SnapshotError::Missing { .. }) => None,
        Err(error) => return Err(Unusable::File(error)),
    };
    let mut warnings: Vec<String> = kit.warnings.iter().map(ToString::to_string).collect();
    let files = files(&kit, &path, snapshot, &mut warnings)?;
    Ok(Fetched { kit, bytes: Bytes { manifest, bundle, files }, warnings })
}

fn named(path: &str, snapshot: &Snapshot) -> Result<(String, Vec<u8>), Unusable> {
    // What a shell's completion leaves is no trick.
    let cleaned = path.trim_start_matches("./");
    if !is_relative(cleaned) {
        return Err(Unusable::Path { path: path.chars().take(200).collect() });
    }
    let manifest = snapshot.read(cleaned, MAX_MANIFEST_BYTES).map_err(Unusable::File)?;
    Ok((cleaned.to_owned(), manifest))
}

/// The manifest of that id among all that there are.
fn find(id: &KitId, snapshot: &Snapshot) -> Result<(String, Vec<u8>), Unusable> {
    let is_manifest = |name: &str| name == "kit.toml" || name.ends_with(crate::kit::MANIFEST_SUFFIX);
    let (mut fitting, mut found, mut broken) = (Vec::new(), BTreeSet::new(), Vec::new());
    for path in snapshot.find(is_manifest).map_err(Unusable::File)? {
        let read = snapshot.read(&path, MAX_MANIFEST_BYTES);
        let parsed = read.map_err(|error| error.to_string()).and_then(|bytes| {
            let (manifest, _) = Manifest::parse(Path::new(&path), &bytes).map_err(|error| error.to_string())?;
            Ok((manifest.kit.id, bytes))
        });
        match parsed {
            Ok((other, bytes)) if other == *id => fitting.push((path, bytes)),
            Ok((other, _)) => {
                found.insert(other.to_string());
            }
            Err(problem) => broken.push(problem),
        }
    }
    match fitting.len() {
        0 => Err(Unusable::NoneOfThatId { found: found.into_iter().collect(), broken }),
        1 => Ok(fitting.remove(0)),
        _ => Err(Unusable::Several { paths: fitting.into_iter().map(|(path, _)| path).collect() }),
    }
}

/// Files that the manifest names. One that it describes must be as described; others may be missing.
fn files(
    kit: &Kit,
    manifest: &str,
    snapshot: &Snapshot,
    warnings: &mut Vec<String>,
) -> Result<Vec<(String, Vec<u8>)>, Unusable> {
    let dir = manifest.rsplit_once('/').map_or("", |(dir, _)| dir);
    let (mut files, mut sum) = (Vec::new(), 0);
    for file in kit.manifest.brought_files() {
        let path = if dir.is_empty() { file.clone() } else { format!("{dir}/{file}") };
        let described = kit.manifest.files.get(&file);
        let bytes = match snapshot.read(&path, MAX_FILE) {
            Ok(bytes) => bytes,
            Err(error) if described.is_some() => return Err(Unusable::File(error)),
            Err(error) => {
                warnings.push(error_chain(&error));
                continue;
            }
        };
        if described.is_some_and(|digest| !digest.eq_ignore_ascii_case(&crate::digest::sha256_hex(&bytes))) {
            return Err(Unusable::OtherFile { path });
        }
        sum += bytes.len() as u64;
        if sum > MAX_FILES_KIB * 1024 {
            return Err(Unusable::TooLarge { limit: MAX_FILES_KIB });
        }
        files.push((file, bytes));
    }
    Ok(files)
}
