//! Looks through the scan paths, and reads what has changed since it last did.

use crate::kit::{Kit, MANIFEST_SUFFIX};
use crate::manifest::MAX_MANIFEST_BYTES;
use crate::trust::{AllowedIdentity, MAX_BUNDLE_BYTES, Signature, Verifier};
use rensei_process::open_child_file;
use rensei_proto::control::KitTrust;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A file that was changed so shortly before it was read may change again without a trace in its times.
const SETTLED: Duration = Duration::from_millis(100);

/// Tells a file from its next version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// None: read it again next time.
    fn settled(found: &Metadata) -> Option<Self> {
        let since = Duration::new(found.ctime().try_into().ok()?, found.ctime_nsec().try_into().ok()?);
        let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + since).ok()?;
        (age > SETTLED).then(|| Self::of(found))
    }
}

/// What was read of a file, and of which version of it.
type Read1<T> = (Option<Stamp>, T);

/// What was read of the scan paths.
#[derive(Debug, Default)]
pub(super) struct Cache {
    manifests: HashMap<PathBuf, Read1<Result<Arc<Kit>, String>>>,
    /// With the digest of the manifest that the bundle was looked at for.
    bundles: HashMap<PathBuf, Read1<(String, Arc<Signature>)>>,
    /// Files that were opened, ever.
    #[cfg(test)]
    pub(super) reads: usize,
}

/// A kit, and what it hides.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) kit: Arc<Kit>,
    pub(super) shadows: Vec<PathBuf>,
}

/// What the scan paths hold.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// By id.
    pub(super) found: Vec<Found>,
    /// Files that are no kits, with the reason.
    pub(super) problems: Vec<String>,
}

impl Cache {
    /// Looks through the directories, in order. Of kits with the same id the last one counts.
    pub(super) fn scan(&mut self, paths: &[PathBuf]) -> Scan {
        let mut kits: BTreeMap<String, Found> = BTreeMap::new();
        let mut scan = Scan::default();
        let mut before = std::mem::take(&mut self.manifests);
        for dir in paths {
            let names = manifests(dir).unwrap_or_else(|error| {
                scan.problems.push(format!("{}: {error}", dir.display()));
                Vec::new()
            });
            for name in names {
                let path = dir.join(name);
                let known = before.remove(&path);
                match self.read(&path, known) {
                    Ok(kit) => insert(&mut kits, kit),
                    Err(problem) => scan.problems.push(problem),
                }
            }
        }
        scan.found = kits.into_values().collect();
        scan
    }

    fn read(&mut self, path: &Path, known: Option<Read1<Result<Arc<Kit>, String>>>) -> Result<Arc<Kit>, String> {
        let unreadable = |error: io::Error| format!("{}: {error}", path.display());
        let now = path.symlink_metadata().map_err(unreadable)?;
        if let Some((Some(stamp), kit)) = known
            && stamp == Stamp::of(&now)
        {
            self.manifests.insert(path.to_owned(), (Some(stamp), kit.clone()));
            return kit;
        }
        self.count_read();
        let read = read_bounded(path, MAX_MANIFEST_BYTES).map_err(unreadable);
        let kit = read.and_then(|bytes| Kit::read(path, &bytes).map(Arc::new).map_err(|error| error.to_string()));
        if let Err(problem) = &kit {
            tracing::warn!(event = "kit.manifest", problem, "not a kit");
        }
        self.manifests.insert(path.to_owned(), (Stamp::settled(&now), kit.clone()));
        kit
    }

    /// What is known of the kit's signature: looked at again when its manifest or its bundle has changed.
    pub(super) fn signature(&mut self, kit: &Kit, verifier: &Verifier, allowed: &[AllowedIdentity]) -> Arc<Signature> {
        let path = bundle_path(&kit.path);
        let Ok(now) = path.symlink_metadata() else {
            self.bundles.remove(&path);
            return Arc::new(verifier.verify(&[], None, allowed));
        };
        if let Some((Some(stamp), (digest, signature))) = self.bundles.get(&path)
            && *digest == kit.digest
            && *stamp == Stamp::of(&now)
        {
            return Arc::clone(signature);
        }
        self.count_read();
        let signature = Arc::new(verify(kit, &path, verifier, allowed));
        self.bundles.insert(path, (Stamp::settled(&now), (kit.digest.clone(), Arc::clone(&signature))));
        signature
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "only tests count"))]
    const fn count_read(&mut self) {
        #[cfg(test)]
        {
            self.reads += 1;
        }
    }
}

fn verify(kit: &Kit, path: &Path, verifier: &Verifier, allowed: &[AllowedIdentity]) -> Signature {
    let failed = |what: &Path, why: &dyn std::fmt::Display| Signature {
        trust: KitTrust::SignedUnverified,
        details: format!("{}: {why}", what.display()),
        ..Signature::default()
    };
    let bundle = match read_bounded(path, MAX_BUNDLE_BYTES) {
        Ok(bundle) => bundle,
        Err(error) => return failed(path, &error),
    };
    match read_bounded(&kit.path, MAX_MANIFEST_BYTES) {
        // What is verified must be what was read as the kit.
        Ok(manifest) if crate::digest::sha256_hex(&manifest) == kit.digest => {
            verifier.verify(&manifest, Some(&bundle), allowed)
        }
        Ok(_) => failed(&kit.path, &"it has just changed"),
        Err(error) => failed(&kit.path, &error),
    }
}

fn insert(kits: &mut BTreeMap<String, Found>, kit: Arc<Kit>) {
    let id = kit.id().to_string();
    let mut shadows = Vec::new();
    if let Some(hidden) = kits.remove(&id) {
        shadows = hidden.shadows;
        shadows.push(hidden.kit.path.clone());
    }
    kits.insert(id, Found { kit, shadows });
}

/// The bundle beside a manifest.
pub(super) fn bundle_path(manifest: &Path) -> PathBuf {
    let mut path = OsString::from(manifest);
    path.push(".sigstore");
    path.into()
}

/// Names of manifests in a directory, sorted. A directory that does not exist has none.
fn manifests(dir: &Path) -> io::Result<Vec<OsString>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let is_manifest = |name: &OsString| {
        let bytes = name.as_encoded_bytes();
        bytes.ends_with(MANIFEST_SUFFIX.as_bytes()) && !bytes.starts_with(b".")
    };
    let entries = entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()));
    let mut names: Vec<OsString> = entries.map(|entry| entry.file_name()).filter(is_manifest).collect();
    names.sort_unstable();
    Ok(names)
}

/// A regular file, which is no link, of at most `limit` bytes.
pub(super) fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_child_file(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {} KiB", limit / 1024)));
    }
    Ok(bytes)
}
