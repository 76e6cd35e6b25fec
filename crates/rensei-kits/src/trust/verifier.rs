//! Verification of sigstore bundles, without any network.

use super::{AllowedIdentity, Signature, crypto};
use crate::digest::sha256_hex;
use rensei_proto::control::KitTrust;
use serde::Deserialize;
use sigstore_verify::crypto::{SubjectAltName, parse_certificate_info};
use sigstore_verify::trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};
use sigstore_verify::types::Bundle;
use sigstore_verify::{VerificationPolicy, VerificationResult};
use std::path::PathBuf;

/// Largest bundle that is read.
pub const MAX_BUNDLE_BYTES: u64 = 4 << 20;
/// Largest trusted root that is read.
const MAX_ROOT_BYTES: u64 = 4 << 20;

/// Forms of a bundle that are understood. The library takes one without a form for the oldest.
const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle.v0.3+json",
];

/// Whose certificates and logs count.
#[derive(Debug, Clone)]
pub enum TrustRoot {
    /// The public-good instance, as it was when this program was built.
    PublicGood,
    /// A file.
    File(PathBuf),
    /// JSON text.
    Json(String),
}

/// Verifies bundles against one root. Made once; verifying shares it.
pub struct Verifier {
    /// Or why there is none: then nothing verifies.
    inner: Result<sigstore_verify::Verifier, String>,
    /// The root, for people.
    root: String,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("root", &self.root).field("problem", &self.problem()).finish()
    }
}

impl Verifier {
    /// A verifier for a root. Without a usable root it verifies nothing, and says so with every result.
    #[must_use]
    pub fn new(root: &TrustRoot) -> Self {
        crypto::install();
        let (name, json) = match root {
            TrustRoot::PublicGood => {
                ("the public-good root".to_owned(), Ok(SIGSTORE_PRODUCTION_TRUSTED_ROOT.to_owned()))
            }
            TrustRoot::File(path) => (format!("the root {}", path.display()), read_root(path)),
            TrustRoot::Json(text) => ("a given root".to_owned(), Ok(text.clone())),
        };
        let parsed = json.and_then(|json| TrustedRoot::from_json(&json).map_err(|error| error.to_string()));
        let inner = parsed.and_then(|root| sigstore_verify::Verifier::new(&root).map_err(|error| error.to_string()));
        Self { inner, root: name }
    }

    /// Why nothing verifies, when the root cannot be used.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.inner.as_ref().err().map(|why| format!("{} cannot be used: {why}", self.root))
    }

    /// Looks at the bundle of a manifest. `allowed` empty: any signer whom the root validates.
    #[must_use]
    pub fn verify(&self, manifest: &[u8], bundle: Option<&[u8]>, allowed: &[AllowedIdentity]) -> Signature {
        let Some(bytes) = bundle else {
            return Signature { details: "no sibling bundle".to_owned(), ..Signature::default() };
        };
        let mut signer = None;
        match self.check(manifest, bytes, allowed, &mut signer) {
            Ok(signature) => signature,
            Err(details) => Signature { trust: KitTrust::SignedUnverified, signer, signed_at: None, details },
        }
    }

    /// `signer` is what the bundle claims, as soon as that is known.
    fn check(
        &self,
        manifest: &[u8],
        bytes: &[u8],
        allowed: &[AllowedIdentity],
        signer: &mut Option<String>,
    ) -> Result<Signature, String> {
        let bundle = parse(bytes).map_err(|why| format!("parse bundle: {why}"))?;
        *signer = claimed_signer(&bundle);
        let verifier = self
            .inner
            .as_ref()
            .map_err(|why| format!("no trusted material configured: {} cannot be used: {why}", self.root))?;
        // The oldest form may do without; a promise of the log alone is not enough here.
        if !bundle.has_inclusion_proof() {
            return Err("verify: the bundle has no inclusion proof".to_owned());
        }
        let verified = verifier.verify(manifest, &bundle, &VerificationPolicy::any_identity());
        let verified = verified.map_err(|error| format!("verify: {error}"))?;
        let complete = verified.certificate_verified() && verified.sct_verified() && verified.tlog_verified();
        let subject = verified.identity().map(SubjectAltName::as_str).filter(|_| complete);
        let subject = subject.ok_or("verify: the certificate names nobody")?;
        if !allowed.is_empty() && !allowed.iter().any(|identity| identity.is(subject, verified.issuer())) {
            let issuer = verified.issuer().unwrap_or("no issuer");
            return Err(format!("verify: {subject} ({issuer}) is not in trust.issuerSet"));
        }
        Ok(Signature {
            trust: KitTrust::SignedVerified,
            signer: Some(subject.to_owned()),
            signed_at: signed_at(&verified),
            details: format!("verified against {}, manifest sha256: {}", self.root, sha256_hex(manifest)),
        })
    }
}

fn signed_at(verified: &VerificationResult) -> Option<String> {
    verified.verified_timestamps().iter().min().map(|time| rensei_proto::rfc3339_seconds(*time))
}

fn parse(bytes: &[u8]) -> Result<Bundle, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        media_type: Option<String>,
    }
    if bytes.len() as u64 > MAX_BUNDLE_BYTES {
        return Err(format!("larger than {} KiB", MAX_BUNDLE_BYTES / 1024));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let head: Head = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match head.media_type {
        None => Err("no mediaType".to_owned()),
        Some(form) if !MEDIA_TYPES.contains(&form.as_str()) => Err(format!("unknown mediaType {form:?}")),
        Some(_) => Bundle::from_json(text).map_err(|error| error.to_string()),
    }
}

fn claimed_signer(bundle: &Bundle) -> Option<String> {
    let info = parse_certificate_info(bundle.signing_certificate()?).ok()?;
    info.identity.map(|identity| identity.as_str().to_owned())
}

fn read_root(path: &PathBuf) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_ROOT_BYTES {
        return Err(format!("it is larger than {} KiB", MAX_ROOT_BYTES / 1024));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}
