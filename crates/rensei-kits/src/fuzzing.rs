//! Entry points for fuzzers: what must hold for any bytes. `fuzz/` runs them with coverage, a test with mutations of real
//! files.

use crate::kit::Kit;
use crate::trust::{TrustRoot, Verifier};
use crate::{Composition, Detection, Match, Purpose, Target};
use rensei_proto::control::KitTrust;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Bytes are a manifest, which can be composed, or are refused with a message that names the file.
///
/// # Panics
/// When that does not hold.
pub fn manifest(bytes: &[u8]) {
    match Kit::read(Path::new("fuzz.kit.toml"), bytes) {
        Err(error) => assert!(error.to_string().starts_with("fuzz.kit.toml"), "{error}"),
        Ok(kit) => {
            assert!(!kit.id().as_str().is_empty());
            let found = Match { kit: Arc::new(kit), root: String::new(), confidence: 60, reasons: Vec::new() };
            let tree = std::env::temp_dir().join("no-such-tree");
            let detection = Detection { tree, matches: vec![found], rejected: Vec::new(), truncated: false };
            let purpose = Purpose { target: Target::host(), work_type: "", unsigned_files: true };
            // A kit never contradicts itself.
            let composed = Composition::of(&detection, purpose);
            assert_eq!(composed.map(|composed| composed.kits.len()), Ok(1));
        }
    }
}

/// Bytes are no valid signature of a text that nobody has signed.
///
/// # Panics
/// When that does not hold.
pub fn bundle(bytes: &[u8]) {
    static VERIFIER: OnceLock<Verifier> = OnceLock::new();
    let verifier = VERIFIER.get_or_init(|| Verifier::new(&TrustRoot::PublicGood));
    let signature = verifier.verify(b"nobody has signed this", Some(bytes), &[]);
    assert_eq!(signature.trust, KitTrust::SignedUnverified);
    assert!(!signature.details.is_empty());
}
