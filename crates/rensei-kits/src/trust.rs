//! Who made a kit: sigstore bundles beside manifests, and who may sign.

mod crypto;
mod identity;
mod verifier;

pub use identity::{AllowedIdentity, InvalidIdentity};
pub use verifier::{MAX_BUNDLE_BYTES, TrustRoot, Verifier};

use rensei_proto::control::{KitSettings, KitTrust, TrustMode};
use std::path::PathBuf;

/// What the operator trusts (`trust`).
#[derive(Debug, Clone, Default)]
pub struct TrustPolicy {
    /// What a kit must bring.
    pub mode: TrustMode,
    /// Who may sign; nobody named: everybody whom the root validates.
    pub identities: Vec<AllowedIdentity>,
    /// Trusted root other than the built-in one.
    pub root: Option<PathBuf>,
    /// Name for the audit log.
    pub actor: Option<String>,
}

impl TrustPolicy {
    /// The policy that a daemon tells its workers.
    ///
    /// # Errors
    /// [`InvalidIdentity`].
    pub fn from_settings(settings: &KitSettings) -> Result<Self, InvalidIdentity> {
        Ok(Self {
            mode: settings.trust_mode,
            identities: settings
                .issuer_set
                .iter()
                .map(|text| AllowedIdentity::parse(text))
                .collect::<Result<_, _>>()?,
            root: settings.trust_root.as_ref().map(PathBuf::from),
            actor: None,
        })
    }

    /// Whether a kit with this result may be installed, and may run what it brings.
    #[must_use]
    pub fn admits(&self, trust: KitTrust) -> bool {
        match self.mode {
            TrustMode::Permissive => true,
            TrustMode::SignedByAllowlist | TrustMode::Attested => trust == KitTrust::SignedVerified,
        }
    }
}

/// Result of looking at a signature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// The result.
    pub trust: KitTrust,
    /// Who signed; without a verified signature what the bundle claims.
    pub signer: Option<String>,
    /// When, RFC 3339; only when verified.
    pub signed_at: Option<String>,
    /// What was checked, or what is wrong.
    pub details: String,
}
