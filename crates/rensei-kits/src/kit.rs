//! A kit as it was found on disk.

use crate::manifest::{Manifest, ManifestError, ManifestWarning};
use crate::names::KitId;
use std::path::{Path, PathBuf};

/// End of the names of manifests in a scan path.
pub const MANIFEST_SUFFIX: &str = ".kit.toml";

/// A manifest, and where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Kit {
    /// What it says.
    pub manifest: Manifest,
    /// What in it has no effect.
    pub warnings: Vec<ManifestWarning>,
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of the file, hexadecimal.
    pub digest: String,
}

impl Kit {
    /// Reads a kit from the bytes of its manifest.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn read(path: &Path, bytes: &[u8]) -> Result<Self, ManifestError> {
        let (manifest, warnings) = Manifest::parse(path, bytes)?;
        Ok(Self { manifest, warnings, path: path.to_owned(), digest: crate::digest::sha256_hex(bytes) })
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &KitId {
        &self.manifest.kit.id
    }

    /// `id@version`, or the id alone.
    #[must_use]
    pub fn label(&self) -> String {
        let identity = &self.manifest.kit;
        if identity.version.is_empty() {
            identity.id.to_string()
        } else {
            format!("{}@{}", identity.id, identity.version)
        }
    }

    /// Where the files that it brings may be, in order: its own directory, then beside the manifest.
    pub(crate) fn file_roots(&self) -> [PathBuf; 2] {
        let beside = self.path.parent().unwrap_or(Path::new("/")).to_owned();
        [files_dir(&self.path), beside]
    }
}

/// Directory with the files of an installed kit: `a.kit.d` of `a.kit.toml`.
pub(crate) fn files_dir(manifest: &Path) -> PathBuf {
    manifest.with_extension("d")
}
